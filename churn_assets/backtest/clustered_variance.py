"""How sure a figure of a backtest is, where customers come again in many folds: sums of influences by customer.

Each figure here is, to the first order, a sum of one influence a row, so that its variance is the sum over customers of the
square of their rows' summed influences (Cameron and Miller 2015, "A practitioner's guide to cluster-robust inference", section
II); for the AUC the influences are DeLong's placements (DeLong, DeLong and Clarke-Pearson 1988; Obuchowski 1997, clustered).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from churn_assets.evaluation.intervals import customer_codes
from churn_assets.evaluation.measures import Labels, Scores


@dataclass(frozen=True)
class Estimate:
    """A figure, and how each row moved it: ``customer_id`` and ``influence``, one row a row; they sum to zero."""

    value: float
    rows: pl.DataFrame

    @property
    def variance(self) -> float:
        """Clustered by customer."""
        codes = customer_codes(self.rows["customer_id"])
        sums = np.bincount(codes, weights=self.rows["influence"].to_numpy())  # in the order of the rows, so that it repeats
        return float(np.sum(sums**2) * len(sums) / max(len(sums) - 1, 1))


def auc(churned: Labels, scores: Scores, customers: pl.Series) -> Estimate:
    """The AUC."""
    ranks, among = stats.rankdata(scores), np.empty(len(scores))
    for part in (churned, ~churned):
        among[part] = stats.rankdata(scores[part])
    churners, stayers = int(churned.sum()), int((~churned).sum())
    below = (ranks - among) / np.where(churned, stayers, churners)
    placements = np.where(churned, below, 1 - below)
    value = float(placements[churned].mean())
    influence = (placements - value) / np.where(churned, churners, stayers)
    return Estimate(value, _rows(customers, influence))


def mean(values: Scores, customers: pl.Series) -> Estimate:
    """The mean of one number a row."""
    value = float(values.mean())
    return Estimate(value, _rows(customers, (values - value) / len(values)))


def weighted(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """A weighted sum of estimates that share customers, such as their mean or their slope over time."""
    parts = [
        estimate.rows.with_columns(pl.col("influence") * weight)
        for estimate, weight in zip(estimates, weights, strict=True)
    ]
    value = sum(estimate.value * weight for estimate, weight in zip(estimates, weights, strict=True))
    return Estimate(float(value), pl.concat(parts))


def slope(estimates: Sequence[Estimate], times: Sequence[float], *, confidence: float) -> tuple[float, float, float]:
    """The least-squares slope of a figure over time, with its interval.

    Its variance is the larger of two: what the drawing of customers makes, and what the figures' distances from the line show,
    so that months which are odd for all customers alike make no trend either (Student's t with two degrees less than figures).

    Returns:
        The slope in units a time unit, its lower and its upper bound.
    """
    at = np.asarray(times, dtype=np.float64) - np.mean(times)
    weights = at / np.sum(at**2)
    found = weighted(estimates, weights.tolist())
    values = np.array([estimate.value for estimate in estimates])
    left, freedom = values - values.mean() - found.value * at, len(values) - 2
    scatter = float(np.sum(left**2)) / freedom / float(np.sum(at**2)) if freedom > 0 else 0.0
    quantile = stats.t.ppf(0.5 + confidence / 2, freedom) if freedom > 0 else stats.norm.ppf(0.5 + confidence / 2)
    half = float(quantile) * float(np.sqrt(max(found.variance, scatter)))
    return found.value, found.value - half, found.value + half


def _rows(customers: pl.Series, influence: Scores) -> pl.DataFrame:
    return pl.DataFrame({"customer_id": customers, "influence": influence})
