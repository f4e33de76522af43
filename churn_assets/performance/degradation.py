"""Degradation: whether a release has become worse than its gate found it, with a known rate of false alarms.

One measure decides, the excess log loss (``excess``), and it is looked at after every snapshot. So the rule is sequential:

- The excess above what does not matter is divided by its standard error. That holds the sampling variance and the variance between
  snapshots, which is learned from the earlier ones: months differ though nothing has changed.
- Its one-sided p value by Student's t becomes an e-value: a bet that on average loses while nothing is wrong (Vovk and Wang 2021, "E-values:
  calibration, combination and applications", Annals of Statistics 49(3), section 2: the mixture of their calibrators).
- The bets are summed over all possible beginnings of a degradation, as nobody knows it (the e-detector of Shiryaev and Roberts; Shin,
  Ramdas and Rinaldo 2024, "E-detectors: a nonparametric framework for sequential change detection", section 2). Each beginning has the same
  small stake, so that the probability of a false alarm within five years is bounded, however often one looks and however many releases serve.

Half of the stakes are for all customers, the other half is shared by arms and segments, so that many of them don't make more false alarms.
Where windows overlap, as those of weekly snapshots with a horizon of 30 days, snapshots that share days are in different streams, of
which each has its own stakes.

``make bench-degradation`` measures the rate. Does not belong here: what is measured at a snapshot, and what people are told
(``verdicts``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from churn_assets.periods import Cadence

SNAPSHOTS_IN_FIVE_YEARS: dict[Cadence, int] = {"monthly": 60, "weekly": 261, "daily": 1_827}
LONGEST_PERIOD_DAYS: dict[Cadence, int] = {"monthly": 31, "weekly": 7, "daily": 1}

GATE_REACH = 2.0
"""Standard errors of the gate's own figure that don't count: its error is the same at every snapshot, so that no snapshot averages it out."""

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


@dataclass(frozen=True)
class Point:
    """A snapshot of a series.

    Attributes:
        excess: excess log loss.
        variance: its sampling variance.
        promised: log loss that was promised.
        gate_error: standard error of the promise.
        share: part of the stakes that this series has, at most 1; 0.5 for all customers.
    """

    excess: float
    variance: float
    promised: float
    gate_error: float
    share: float


@dataclass(frozen=True)
class Step:
    """What a snapshot adds.

    Attributes:
        evidence: evidence of a degradation after it, of its own stream.
        p_value: one-sided p value of this snapshot alone.
        allowed: excess up to which nothing is said.
        between: standard deviation between snapshots, as it was known before this one.
        is_degraded: whether the evidence of any stream raises an alarm.
    """

    evidence: float
    p_value: float
    allowed: float
    between: float
    is_degraded: bool


@dataclass
class Detector:
    """The evidence of one series: one release, for all customers, or of an arm or a segment.

    Attributes:
        rule: the rule.
        past: excess and variance of the earlier snapshots, also of the releases before.
    """

    rule: Rule
    past: list[tuple[float, float]] = field(default_factory=list)
    _evidence: dict[int, float] = field(default_factory=dict)
    _seen: int = 0

    def add(self, point: Point) -> Step:
        """Take the next snapshot."""
        stream = self._seen % self.rule.streams
        self._seen += 1
        between, freedom = between_snapshots(self.past, point.promised)
        variance = point.variance + between**2
        allowed = self.rule.margin * point.promised + GATE_REACH * point.gate_error
        # The sampling variance is known well, that between snapshots from few (Welch 1947, Satterthwaite 1946).
        freedom = freedom * (variance / between**2) ** 2 if between > 0 else np.inf
        p_value = float(scipy.stats.t.sf((point.excess - allowed) / np.sqrt(variance), freedom))
        stake = point.share / self.rule.snapshots
        evidence = (self._evidence.get(stream, 0.0) + stake) * e_value(p_value)
        self._evidence[stream] = min(evidence, MOST_EVIDENCE * self.rule.alarm)
        self.past.append((point.excess, point.variance))
        is_degraded = max(self._evidence.values()) >= self.rule.alarm
        return Step(self._evidence[stream], p_value, allowed, between, is_degraded)

    def next_release(self) -> None:
        """Begin anew: what is held against one release is not held against the next. How months differ stays known."""
        self._evidence.clear()


def between_snapshots(past: Sequence[tuple[float, float]], promised: float) -> tuple[float, float]:
    """The standard deviation between snapshots beyond sampling, and the number of snapshots that it is known from.

    It is taken around the promise, so that a lasting difference within the margin counts as one.

    Args:
        past: excess and sampling variance of earlier snapshots.
        promised: log loss that is promised, for the scale of what is assumed before any is known.
    """
    beyond = PRIOR_SNAPSHOTS * (PRIOR_SHARE * promised) ** 2 + sum(excess**2 - variance for excess, variance in past)
    known = PRIOR_SNAPSHOTS + len(past)
    least = (PRIOR_SHARE * promised) ** 2 * PRIOR_SNAPSHOTS / known
    return float(np.sqrt(max(beyond / known, least))), float(known)


def e_value(p_value: float) -> float:
    """An e-value from a p value: the calibrators k p^(k-1) for all k from 0 to 1, mixed evenly."""
    p = min(max(p_value, LEAST_P), 1.0)
    log = float(np.log(p))
    if log > -1e-4:  # noqa: PLR2004 - the limit, where the formula loses its digits
        return 0.5
    return (1 - p + p * log) / (p * log**2)


def evidence_over(points: Sequence[Point], rule: Rule) -> list[Step]:
    """The steps of one release over its snapshots, the oldest first."""
    detector = Detector(rule)
    return [detector.add(point) for point in points]


__all__ = ["Detector", "Point", "Rule", "Step", "between_snapshots", "e_value", "evidence_over"]
