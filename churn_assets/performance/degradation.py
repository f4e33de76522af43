"""Degradation: whether a release has become worse than its gate found it, with a known rate of false alarms.

One measure decides, the excess log loss (``excess``), and it is looked at after every snapshot. So the rule is sequential:

- The excess above what does not matter is divided by its standard error. That holds the sampling variance and the variance between
  snapshots, which is learned from the earlier ones: months differ though nothing has changed.
- Its one-sided p value by Student's t becomes an e-value: a bet that on average loses while nothing is wrong (Vovk and Wang 2021, "E-values:
  calibration, combination and applications", Annals of Statistics 49(3), section 2: the mixture of their calibrators).
- The bets are summed over all possible beginnings of a degradation, as nobody knows it (the e-detector of Shiryaev and Roberts; Shin,
  Ramdas and Rinaldo 2024, "E-detectors: a nonparametric framework for sequential change detection", New England J. of Statistics in Data Science 2). Each beginning has the same
  small stake, so that the probability of a false alarm within five years is bounded, however often one looks and however many releases serve.

Half of the stakes are for all customers, the other half is shared by arms and segments, so that many of them don't make more false alarms.
Where windows overlap, as those of weekly snapshots with a horizon of 30 days, snapshots that share days are in different streams, of
which each has its own stakes.

``make bench-degradation`` measures the rate. Does not belong here: what is measured at a snapshot, and what people are told
(``verdicts``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import scipy

from churn_assets.periods import Cadence

SNAPSHOTS_IN_FIVE_YEARS: dict[Cadence, int] = {"monthly": 60, "weekly": 261, "daily": 1_827}
LONGEST_PERIOD_DAYS: dict[Cadence, int] = {"monthly": 31, "weekly": 7, "daily": 1}

FOR_ALL_CUSTOMERS: Final = 0.5
"""Part of the stakes of all customers together."""

GATE_REACH: Final = 1.645
"""Standard errors of the gate's own figure that don't count, a one-sided bound of 95 %: its error is the same at every snapshot, so that none averages it out."""

PRIOR_SNAPSHOTS, PRIOR_SHARE = 6, 0.01
"""Before any snapshot is known: how many count as seen, and their standard deviation between snapshots as a share of the promised log loss."""

LEAST_P = 1e-12
MOST_EVIDENCE = 10.0
"""Evidence is cut off at so many times what raises an alarm, so that a release that is right again needs months and not years to show it."""


@dataclass(frozen=True)
class Rule:
    """How many false alarms are allowed, and what counts.

    Attributes:
        false_alarms: greatest probability of a false alarm in five years.
        margin: excess that does not matter, as a share of the promised log loss.
        snapshots: number of snapshots in five years.
        streams: number of snapshots after which windows don't overlap any more.
    """

    false_alarms: float
    margin: float
    snapshots: int
    streams: int = 1

    @classmethod
    def of(cls, *, false_alarms: float, margin: float, cadence: Cadence, horizon_days: int) -> "Rule":
        """The rule of a company."""
        streams = -(-horizon_days // LONGEST_PERIOD_DAYS[cadence])
        return cls(false_alarms, margin, SNAPSHOTS_IN_FIVE_YEARS[cadence], max(1, streams))

    @property
    def alarm(self) -> float:
        """The evidence that raises an alarm."""
        return 1 / self.false_alarms


class Series(NamedTuple):
    """What is followed over the snapshots.

    Attributes:
        release: digest of the release.
        arm: arm of an experiment; ``None`` for all.
        segment: segment of the customers; ``None`` for all.
    """

    release: str
    arm: str | None
    segment: str | None

    @property
    def is_whole(self) -> bool:
        """Whether it is about all customers of the release."""
        return self.arm is None and self.segment is None


class Point(NamedTuple):
    """The excess of a series at a snapshot, with the attributes of ``excess.Excess``."""

    excess: float
    variance: float
    promised: float
    gate_error: float


@dataclass(frozen=True)
class Step:
    """What a snapshot adds.

    Attributes:
        evidence: evidence of a degradation after it; of several streams the greatest.
        p_value: one-sided p value of this snapshot alone.
        allowed: excess up to which nothing is said.
        between: standard deviation between snapshots, as it was known before this one.
        is_degraded: whether the evidence raises an alarm.
    """

    evidence: float
    p_value: float
    allowed: float
    between: float
    is_degraded: bool


class Detector:
    """The evidence against one series.

    Args:
        rule: the rule.
        past: excess and sampling variance of earlier snapshots, also of the releases before; each new one is added.
    """

    def __init__(self, rule: Rule, past: list[tuple[float, float]]) -> None:
        self._rule, self._past = rule, past
        self._evidence = [0.0] * rule.streams
        self._seen = 0

    def add(self, point: Point, *, share: float) -> Step:
        """Take the next snapshot.

        Args:
            point: the excess.
            share: part of all stakes that this series has, at most 1.
        """
        stream = self._seen % self._rule.streams
        self._seen += 1
        between, known = between_snapshots(self._past, point.promised)
        variance = point.variance + between**2
        allowed = self._rule.margin * point.promised + GATE_REACH * point.gate_error
        # The sampling variance is known well, that between snapshots from few of them (Satterthwaite 1946).
        freedom = known * (variance / between**2) ** 2
        p_value = float(scipy.stats.t.sf((point.excess - allowed) / np.sqrt(variance), freedom))
        evidence = (self._evidence[stream] + share / self._rule.snapshots) * e_value(p_value)
        self._evidence[stream] = min(evidence, MOST_EVIDENCE * self._rule.alarm)
        self._past.append((point.excess, point.variance))
        most = max(self._evidence)
        return Step(most, p_value, allowed, between, most >= self._rule.alarm)


def detect(snapshots: Sequence[Mapping[Series, Point]], rule: Rule) -> list[dict[Series, Step]]:
    """Look at the snapshots one after the other, as if each had just matured.

    Args:
        snapshots: what was found of each series, by snapshot, the oldest first. What can't be judged is left out.
        rule: the rule.
    """
    detectors: dict[Series, Detector] = {}
    pasts: dict[tuple[str | None, str | None], list[tuple[float, float]]] = {}
    found = []
    for points in snapshots:
        whole = sum(series.is_whole for series in points)
        steps = {}
        for series, point in points.items():
            if series not in detectors:  # what is held against one release is not held against the next
                detectors[series] = Detector(rule, pasts.setdefault((series.arm, series.segment), []))
            alike = whole if series.is_whole else len(points) - whole
            steps[series] = detectors[series].add(
                point, share=FOR_ALL_CUSTOMERS / alike if series.is_whole else (1 - FOR_ALL_CUSTOMERS) / alike
            )
        found.append(steps)
    return found


def between_snapshots(past: Sequence[tuple[float, float]], promised: float) -> tuple[float, float]:
    """The standard deviation between snapshots beyond sampling, and the number of snapshots that it is known from.

    It is taken from the differences of neighbours (von Neumann 1941, "Distribution of the ratio of the mean square successive difference to
    the variance", Annals of Mathematical Statistics 12): a degradation that lasts has one great difference, and does not hide itself by looking like
    months that differ.

    Args:
        past: excess and sampling variance of earlier snapshots.
        promised: log loss that is promised, for the scale of what is assumed before any is known.
    """
    prior = (PRIOR_SHARE * promised) ** 2
    beyond = sum(((after - before) ** 2 - one - other) / 2 for (before, one), (after, other) in pairwise(past))
    known = PRIOR_SNAPSHOTS + max(0, len(past) - 1)
    least = prior * PRIOR_SNAPSHOTS / known
    return float(np.sqrt(max((PRIOR_SNAPSHOTS * prior + beyond) / known, least))), float(known)


def e_value(p_value: float) -> float:
    """An e-value from a p value: the calibrators k p^(k-1) for all k from 0 to 1, mixed evenly."""
    p = min(max(p_value, LEAST_P), 1.0)
    log = float(np.log(p))
    if log > -1e-4:  # noqa: PLR2004 - the limit, where the formula loses its digits
        return 0.5
    return (1 - p + p * log) / (p * log**2)
