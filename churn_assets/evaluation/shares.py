"""Intervals of shares, such as precision and recall: Wilson's, with the effective number of rows under clustering by customer.

The bootstrap fails here: if all of a few rows are hits, or none is, every draw gives the same share, and the interval is a point.

Belongs here: the shares at the decision threshold, and the interval of one share. Does not belong here: other measures and means
(``intervals``).
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.evaluation.intervals import customer_codes
from churn_assets.evaluation.measures import Labels, Scores
from churn_store.releases.manifest import Interval

Floats = npt.NDArray[np.float64]


def share_intervals(
    churned: Labels, scores: Scores, customers: pl.Series, *, threshold: float, confidence: float
) -> dict[str, Interval]:
    """The shares that depend on the decision threshold, and the churn rate, with their intervals.

    Args:
        churned: label of each row.
        scores: probability of each row.
        customers: customer of each row.
        threshold: decision threshold; at or above it a customer is called a churner.
        confidence: confidence of the two-sided intervals.

    Returns:
        ``accuracy``, ``base_rate``, ``f1``, ``precision`` and ``recall``, with the values of ``evaluation.measures.measures``. F1 is the share
        of hits among predicted and actual churners, so a row that is both counts twice.
    """
    called = scores >= threshold
    hits, every = (called & churned).astype(np.float64), np.ones(len(churned))
    counted = {
        "accuracy": ((called == churned).astype(np.float64), every),
        "base_rate": (churned.astype(np.float64), every),
        "f1": (2 * hits, called.astype(np.float64) + churned),
        "precision": (hits, called.astype(np.float64)),
        "recall": (hits, churned.astype(np.float64)),
    }
    codes = customer_codes(customers)
    return {
        name: _clustered(part, whole, codes, hit=2 if name == "f1" else 1, confidence=confidence)
        for name, (part, whole) in counted.items()
    }


def wilson(share: float, rows: float, *, confidence: float) -> Interval:
    """The score interval of a share (Wilson 1927, "Probable inference", J. Amer. Statist. Assoc. 22); 0 to 1 without rows."""
    if rows <= 0:
        return Interval(share, 0.0, 1.0)
    z = float(scipy.stats.norm.ppf((1 + confidence) / 2))
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * float(np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)))
    return Interval(share, min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach)))


def _clustered(part: Floats, whole: Floats, codes: npt.NDArray[np.int64], *, hit: int, confidence: float) -> Interval:
    """Wilson's interval with the effective number of rows: the number of independent rows that gives the share the same variance.

    The variance is clustered by customer, as in ``intervals``. The effective number is never above the number of rows (Korn and
    Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts", Survey Methodology 24).

    Args:
        part: contribution of each row to the numerator.
        whole: contribution of each row to the denominator.
        codes: customer of each row, as a number from 0.
        hit: contribution of a hit to the numerator.
        confidence: confidence of the interval.
    """
    total = float(whole.sum())
    if total == 0:
        return Interval(0.0, 0.0, 1.0)
    share = float(part.sum()) / total
    deviations = np.bincount(codes, weights=part - share * whole)
    number = len(deviations)
    variance = float(np.sum(deviations**2)) / total**2 * number / max(number - 1, 1)
    if variance == 0:  # all rows are hits, or none is: the number of rows follows from a hit's contribution
        return wilson(share, total / hit, confidence=confidence)
    return wilson(share, min(float(np.count_nonzero(whole)), share * (1 - share) / variance), confidence=confidence)
