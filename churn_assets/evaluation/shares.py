"""Intervals of shares, such as precision and recall: Wilson's, at the number of rows that a customer's repeated rows are worth.

A bootstrap can't be used here: where all rows of a few are hits, or none is, every draw says the same, and the interval is a point.

Belongs here: the shares at the decision threshold, and the interval of one share. Does not belong here: other measures and means
(``intervals``).
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import norm

from churn_assets.evaluation.intervals import customer_codes
from churn_assets.evaluation.measures import Labels, Scores
from churn_store.releases.manifest import Interval

Floats = npt.NDArray[np.float64]


def share_intervals(
    churned: Labels, scores: Scores, customers: pl.Series, *, threshold: float, confidence: float
) -> dict[str, Interval]:
    """The shares that depend on the decision threshold, and the rate of churn, with their intervals.

    Args:
        churned: true labels, one for each row.
        scores: probabilities, one for each row.
        customers: customer of each row.
        threshold: at or above it a customer is called a churner.
        confidence: confidence of the two-sided intervals.

    Returns:
        ``accuracy``, ``base_rate``, ``f1``, ``precision`` and ``recall``, each as ``evaluation.measures.measures`` has it. F1 is the share of
        hits among the calls and the churners, so a row that is both counts twice.
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
    """The score interval of a share (Wilson 1927, "Probable inference", J. Amer. Statist. Assoc. 22); of no rows it is 0 to 1."""
    if rows <= 0:
        return Interval(share, 0.0, 1.0)
    z = float(norm.ppf((1 + confidence) / 2))
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * float(np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)))
    return Interval(share, min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach)))


def _clustered(part: Floats, whole: Floats, codes: npt.NDArray[np.int64], *, hit: int, confidence: float) -> Interval:
    """Wilson's interval at the effective number of rows: that of independent rows of which the share would vary as much.

    The variance sums deviations by customer, as ``intervals`` does; the effective number is never above the number of rows (Korn and
    Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts", Survey Methodology 24).

    Args:
        part: what each row adds to the numerator.
        whole: what each row adds to the denominator.
        codes: customer of each row, from 0.
        hit: what a hit adds to the numerator.
        confidence: confidence of the interval.
    """
    total = float(whole.sum())
    if total == 0:
        return Interval(0.0, 0.0, 1.0)
    share = float(part.sum()) / total
    deviations = np.bincount(codes, weights=part - share * whole)
    number = len(deviations)
    variance = float(np.sum(deviations**2)) / total**2 * number / max(number - 1, 1)
    if variance == 0:  # all rows are hits, or none is: what says how many rows there are is what a hit adds
        return wilson(share, total / hit, confidence=confidence)
    return wilson(share, min(float(np.count_nonzero(whole)), share * (1 - share) / variance), confidence=confidence)
