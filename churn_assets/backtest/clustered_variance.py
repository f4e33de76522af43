"""Variances of a backtest's figures, clustered by customer, as customers appear in many folds.

To first order each figure is a sum with one influence for each row. So its variance is the sum over customers of the squared sum of
their rows' influences (Cameron and Miller 2015, "A practitioner's guide to cluster-robust inference", section
II). For the AUC the influences are DeLong's placements (DeLong, DeLong and Clarke-Pearson 1988; Obuchowski 1997, clustered).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy

from churn_assets.evaluation.intervals import customer_codes
from churn_assets.evaluation.measures import Labels, Scores


@dataclass(frozen=True)
class Estimate:
    """A figure, and the influence of each row on it.

    Attributes:
        value: the figure.
        rows: ``customer_id`` and ``influence`` of each row; the influences sum to zero.
    """

    value: float
    rows: pl.DataFrame

    @property
    def variance(self) -> float:
        """The variance, clustered by customer."""
        codes = customer_codes(self.rows["customer_id"])
        sums = np.bincount(
            codes, weights=self.rows["influence"].to_numpy()
        )  # summed in the order of the rows, so that it can be reproduced
        return float(np.sum(sums**2) * len(sums) / max(len(sums) - 1, 1))


def auc(churned: Labels, scores: Scores, customers: pl.Series) -> Estimate:
    """The AUC with its influences."""
    ranks, within_class = scipy.stats.rankdata(scores), np.empty(len(scores))
    for of_class in (churned, ~churned):
        within_class[of_class] = scipy.stats.rankdata(scores[of_class])
    churners, stayers = int(churned.sum()), int((~churned).sum())
    below = (ranks - within_class) / np.where(churned, stayers, churners)
    placements = np.where(churned, below, 1 - below)
    value = float(placements[churned].mean())
    influence = (placements - value) / np.where(churned, churners, stayers)
    return Estimate(value, _rows(customers, influence))


def mean(values: Scores, customers: pl.Series) -> Estimate:
    """The mean of the rows' values with its influences."""
    value = float(values.mean())
    return Estimate(value, _rows(customers, (values - value) / len(values)))


def weighted(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """A weighted sum of estimates that share customers, such as their mean or their slope over time."""
    weighted_rows = [
        estimate.rows.with_columns(pl.col("influence") * weight)
        for estimate, weight in zip(estimates, weights, strict=True)
    ]
    value = sum(estimate.value * weight for estimate, weight in zip(estimates, weights, strict=True))
    return Estimate(float(value), pl.concat(weighted_rows))


def slope(estimates: Sequence[Estimate], times: Sequence[float], *, confidence: float) -> tuple[float, float, float]:
    """The least-squares slope of a figure over time, with its interval.

    Its variance is the larger of two: the sampling variance over customers, and that of the figures' residuals from the line (Student's t
    with two degrees of freedom less than figures). So months that are unusual for all customers don't look like a trend either.

    Args:
        estimates: figures with their influences.
        times: time of each figure.
        confidence: confidence of the two-sided interval.

    Returns:
        The slope per unit of time, its lower and its upper bound.
    """
    at = np.asarray(times, dtype=np.float64) - np.mean(times)
    weights = at / np.sum(at**2)
    fitted = weighted(estimates, weights.tolist())
    values = np.array([estimate.value for estimate in estimates])
    residuals, freedom = values - values.mean() - fitted.value * at, len(values) - 2
    scatter = float(np.sum(residuals**2)) / freedom / float(np.sum(at**2)) if freedom > 0 else 0.0
    quantile = (
        scipy.stats.t.ppf(0.5 + confidence / 2, freedom) if freedom > 0 else scipy.stats.norm.ppf(0.5 + confidence / 2)
    )
    half = float(quantile) * float(np.sqrt(max(fitted.variance, scatter)))
    return fitted.value, fitted.value - half, fitted.value + half


def _rows(customers: pl.Series, influence: Scores) -> pl.DataFrame:
    return pl.DataFrame({"customer_id": customers, "influence": influence})
