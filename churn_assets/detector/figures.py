"""Counting: false alarms as episodes with their interval, and shares.

Belongs here: figures of flags. Does not belong here: whose flags they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from churn_assets.detector.moves import Flags

CONFIDENCE = 0.95


@dataclass(frozen=True)
class FalseAlarms:
    """What a rule says of years without a change.

    Attributes:
        windows: share of the windows that are called drifted, before windows must agree.
        alert: share of the windows with an alert.
        episodes: number of episodes a year; a false alarm that stays is one.
        low: lower bound of the episodes a year (Garwood 1936: as of a Poisson count).
        high: upper bound.
        years: number of years.
    """

    windows: float
    alert: float
    episodes: float
    low: float
    high: float
    years: int


def false_alarms(windows: Sequence[Flags], alert: Sequence[Flags]) -> FalseAlarms:
    """Count over years.

    Args:
        windows: by year, whether each window is called drifted.
        alert: by year, whether each window has an alert.
    """
    count, of = sum(map(episodes, alert)), len(alert)
    outside = (1 - CONFIDENCE) / 2
    low = scipy.special.gammaincinv(count, outside) if count else 0.0
    high = scipy.special.gammaincinv(count + 1, 1 - outside)
    return FalseAlarms(
        float(np.mean(np.concatenate(windows))),
        float(np.mean(np.concatenate(alert))),
        count / of,
        float(low) / of,
        float(high) / of,
        of,
    )


def episodes(alert: Flags) -> int:
    """The number of stretches of windows with an alert."""
    return int(np.sum(alert & ~np.concatenate([[False], alert[:-1]])))


def share_interval(hits: int, of: int) -> tuple[float, float]:
    """The interval of a share (Clopper and Pearson 1934)."""
    outside = (1 - CONFIDENCE) / 2
    low = float(scipy.stats.beta.ppf(outside, hits, of - hits + 1)) if hits else 0.0
    high = float(scipy.stats.beta.ppf(1 - outside, hits + 1, of - hits)) if hits < of else 1.0
    return low, high
