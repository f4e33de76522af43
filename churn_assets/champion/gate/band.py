"""Three verdicts by interval: a figure lies within what is allowed, outside of it, or its interval can't tell.

Belongs here: the verdict on one figure, and that the manifest's interval is of that figure. Does not belong here: what is allowed
(``settings.company.Gate``), and what an undecided rule lets through (``churn_store.releases.manifest.Blessing``).
"""

import math
from typing import Literal

from churn_assets.champion.gate.evidence import Evidence
from churn_store.errors import InputError
from churn_store.releases.manifest import Interval

SAME = 1e-9
"""The manifest's figures are those of the judging rows up to rounding."""

Place = Literal["inside", "outside", "undecided"]


def place(interval: Interval, band: tuple[float, float]) -> Place:
    """Where a figure lies by its interval.

    Args:
        interval: the figure with its interval.
        band: the least and the greatest value that is allowed.

    Returns:
        ``inside`` where all of the interval is allowed, ``outside`` where none of it is, else ``undecided``.
    """
    least, greatest = band
    if least <= interval.low and interval.high <= greatest:
        return "inside"
    return "outside" if interval.high < least or interval.low > greatest else "undecided"


def interval_of(case: Evidence, name: str, value: float) -> Interval:
    """The manifest's interval of a measure, once it is known to be of the figure that was just measured.

    Args:
        case: the evidence, with the candidate's evaluation.
        name: name of the measure.
        value: the measure on the judging rows.

    Raises:
        InputError: the manifest has another value, or bounds that are no interval: nothing follows from those.
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
    """A figure with its interval."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
