"""Three verdicts on a figure by its interval: inside of the allowed band, outside of it, or undecided.

Belongs here: the verdict on one figure, and the check that the manifest's interval is of that figure. Does not belong here: the band
(``settings.gate.Gate``), and what follows from an undecided rule (``churn_store.releases.manifest.Blessing``).
"""

import math
from typing import Literal

from churn_assets.champion.gate.evidence import Evidence
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

SAME = 1e-9
"""Greatest relative difference between the manifest's figure and that of the judging rows, for rounding."""

Place = Literal["inside", "outside", "undecided"]


def place(interval: Interval, band: tuple[float, float]) -> Place:
    """Whether a figure lies in a band, by its interval.

    Args:
        interval: figure with its interval.
        band: least and greatest allowed value.

    Returns:
        ``inside`` if the whole interval is in the band, ``outside`` if none of it is, else ``undecided``.
    """
    least, greatest = band
    if least <= interval.low and interval.high <= greatest:
        return "inside"
    return "outside" if interval.high < least or interval.low > greatest else "undecided"


def interval_of(case: Evidence, name: str, value: float) -> Interval:
    """The manifest's interval of a measure, after a check that it is of the figure that was just measured.

    Args:
        case: evidence with the candidate's evaluation.
        name: name of the measure.
        value: value of the measure on the judging rows.

    Raises:
        InputError: the manifest has another value, or bounds that are no interval.
    """
    interval = case.evaluation.intervals[name]
    if not abs(interval.value - value) <= SAME * max(1.0, abs(value)):
        raise InputError(
            f"the manifest says {name} {interval.value:.6f}, the judging rows {value:.6f}; materialize candidate_model anew"
        )
    if not (math.isfinite(interval.low) and math.isfinite(interval.high) and interval.low <= interval.high):
        raise InputError(
            f"the manifest's interval of {name} is {interval.low:g} to {interval.high:g}; expected two numbers in order; materialize "
            "candidate_model anew"
        )
    return interval


def in_words(interval: Interval) -> str:
    """A figure with its interval, for people."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
