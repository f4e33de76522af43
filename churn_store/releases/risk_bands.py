"""Risk bands: a word for a probability, from what an offer brings and from how the model's probabilities came true.

Belongs here: where the bands of a release begin. Does not belong here: the decision, which is the release's threshold
(``manifest``), and who may set bands of their own (``churn_api.settings``).
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from churn_store.releases.manifest import Evaluation, Manifest, ProfitTerms, ReliabilityBin

LOW, MEDIUM, HIGH, CRITICAL = "low", "medium", "high", "critical"

DIGITS: Final = 4
"""Digits of a bound that is computed here."""

Point = tuple[float, float]
"""A probability of the model, and the share of such customers who churned."""


@dataclass(frozen=True, slots=True)
class RiskBands:
    """Neighbouring ranges of the probability, from 0 up.

    Attributes:
        names: names of the bands, lowest first.
        bounds: probability from which on each band holds; the first is 0.
        origin: ``release`` where they follow from its evaluation, ``threshold`` where a release of format 1 has none,
            ``settings`` where an operator has set them.
    """

    names: tuple[str, ...]
    bounds: tuple[float, ...]
    origin: str

    def of(self, probability: float) -> str:
        """The band of a probability."""
        return self.names[bisect_right(self.bounds, probability) - 1]


def bands_of(manifest: Manifest, bounds: Mapping[str, float] | None = None) -> RiskBands:
    """The bands of a release.

    ``medium`` begins where customers churn more often than on average, ``high`` at the threshold, from which on an offer
    pays, and ``critical`` where an offer is expected to bring half of what it brings for a certain churner. The first and the
    last are shares of churners; they become probabilities by the release's reliability bins, made monotone. A band that
    would be empty is left out. A release without an evaluation has ``low`` below its threshold and ``high`` from it on.

    Args:
        manifest: manifest of the release.
        bounds: bounds by name in place of these, lowest first.
    """
    if bounds is not None:
        return RiskBands(tuple(bounds), tuple(bounds.values()), "settings")
    threshold, evaluation = manifest.threshold, manifest.evaluation
    found = [(LOW, 0.0)] if threshold > 0 else []
    if not isinstance(evaluation, Evaluation):
        return _bands([*found, (HIGH, threshold)], "threshold")
    curve = list(_curve(evaluation.reliability))
    medium = round(_probability_at(_average(evaluation.reliability), curve), DIGITS)
    critical = round(_probability_at(_half_worth(evaluation.profit), curve), DIGITS)
    if 0 < medium < threshold:
        found.append((MEDIUM, medium))
    found.append((HIGH, threshold))
    if critical > threshold:
        found.append((CRITICAL, critical))
    return _bands(found, "release")


def _bands(found: Sequence[tuple[str, float]], origin: str) -> RiskBands:
    names, bounds = zip(*found, strict=True)
    return RiskBands(names, bounds, origin)


def _average(bins: Sequence[ReliabilityBin]) -> float:
    """The share of churners on the judging rows."""
    rows = sum(one.rows for one in bins)
    return sum(one.rows * one.observed for one in bins) / rows if rows else 0.0


def _half_worth(profit: ProfitTerms) -> float:
    """The share of churners at which an offer is expected to bring half of what it brings for a certain churner."""
    kept = profit.acceptance * (profit.customer_value - profit.offer_cost) - profit.contact_cost
    wasted = profit.offer_cost + profit.contact_cost
    return (kept / 2 + wasted) / (kept + wasted) if kept > 0 else 1.0


def _curve(bins: Sequence[ReliabilityBin]) -> Iterator[Point]:
    """Points of the calibration, made monotone by pooling neighbours (Ayer et al. 1955, "An empirical distribution function")."""
    pooled: list[tuple[float, float, float]] = []  # rows, sum of probabilities, sum of churners
    for one in sorted(bins, key=lambda one: one.predicted):
        rows, predicted, churned = float(one.rows), one.rows * one.predicted, one.rows * one.observed
        while pooled and churned * pooled[-1][0] < pooled[-1][2] * rows:
            before = pooled.pop()
            rows, predicted, churned = rows + before[0], predicted + before[1], churned + before[2]
        if rows:
            pooled.append((rows, predicted, churned))
    yield 0.0, 0.0
    yield from ((predicted / rows, churned / rows) for rows, predicted, churned in pooled)
    yield 1.0, 1.0


def _probability_at(share: float, curve: Sequence[Point]) -> float:
    """The smallest probability of the model at which a share of the customers churns, between two points by a straight line."""
    for (low, before), (high, after) in pairwise(curve):
        if after >= share:
            return high if after <= before else low + (high - low) * max(share - before, 0.0) / (after - before)
    return 1.0
