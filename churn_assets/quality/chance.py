"""What chance alone can explain: tails of counts, so that few rows never block a period.

Belongs here: probabilities of counts. Does not belong here: which counts are looked at (the rules).
"""

from typing import Final

from scipy.special import bdtrc, pdtr

RARE: Final = 1e-6
"""A probability below which chance is no explanation: with 50 looks a period, less than one false block in a thousand years of months."""


def too_many(found: int, rows: int, share: float) -> bool:
    """Whether so many rows with a share at most this large are beyond chance (upper tail of the binomial distribution).

    Args:
        found: rows with the property.
        rows: all rows.
        share: largest share that is usual.
    """
    return found > 0 and share < 1 and float(bdtrc(found - 1, rows, share)) < RARE


def too_few(found: int, expected: float) -> bool:
    """Whether so few rows are beyond chance where this many were expected (lower tail of the Poisson distribution)."""
    return expected > 0 and float(pdtr(found, expected)) < RARE
