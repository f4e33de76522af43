"""Measures of scores and labels.

Does not belong here: which rows are measured (``training.split``), profit (``profit``), intervals (``intervals``), and decisions by the
measures (``champion.gate``).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from churn_assets.evaluation import calibration
from churn_assets.evaluation.calibration import weighted_sum
from churn_store.errors import InputError

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

DECILE = 0.1
LEAST = float(np.finfo(np.float64).eps)
"""Least distance of a probability from 0 and 1 in the log loss, as in scikit-learn."""

Weights = npt.NDArray[np.float64]
"""The weight of each row, not negative."""


class Ranked:
    """Labels and scores, sorted once to be measured under many weights of the rows.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        threshold: decision threshold; at or above it a customer is called a churner.

    Raises:
        InputError: all rows have one class.
    """

    def __init__(self, churned: Labels, scores: Scores, *, threshold: float) -> None:
        if churned.all() or not churned.any():
            raise InputError(
                f"all {len(churned)} rows {'churned' if len(churned) and churned.all() else 'stayed'}; expected both, without "
                "which no score is better than another. Bring more rows"
            )
        self._order = np.argsort(-scores, kind="stable")
        self._churned = churned[self._order].astype(np.float64)
        self._scores = scores[self._order]
        self._begins = np.flatnonzero(np.append(True, self._scores[1:] != self._scores[:-1]))
        self._called = int(np.searchsorted(-self._scores, -threshold, side="right"))
        self._log_odds = calibration.log_odds(self._scores)
        likely = np.clip(np.where(self._churned == 1, self._scores, 1 - self._scores), LEAST, 1 - LEAST)
        self._surprise = -np.log(likely)
        self._error = (self._scores - self._churned) ** 2
        self._fit = calibration.slope(self._churned, self._log_odds, np.ones(len(scores)))

    def groups(self, weights: Weights | None = None) -> tuple[Weights, Weights]:
        """The weight of churners, and of customers who stayed, at each score from the highest down."""
        weights = self._sorted(weights)
        churners = weights * self._churned
        return np.add.reduceat(churners, self._begins), np.add.reduceat(weights - churners, self._begins)

    def measures(self, weights: Weights | None = None) -> dict[str, float]:
        """The measures, as ``measures`` lists them.

        Args:
            weights: weights of the rows in their original order; default: equal weights. Both classes must have some.
        """
        churners, stayers = self.groups(weights)
        weights = self._sorted(weights)
        total, churning = float(weights.sum()), float(churners.sum())
        staying = total - churning
        above = np.cumsum(churners + stayers)
        precise = np.cumsum(churners) / np.where(above > 0, above, 1)
        called = float(weights[: self._called].sum())
        hit = float((weights * self._churned)[: self._called].sum())
        return {
            "auc": _auc(churners, stayers),
            "average_precision": weighted_sum(churners, precise) / churning,
            "log_loss": weighted_sum(weights, self._surprise) / total,
            "brier": weighted_sum(weights, self._error) / total,
            "calibration_slope": calibration.slope(self._churned, self._log_odds, weights, start=self._fit)[1],
            "calibration_intercept": calibration.intercept(self._churned, self._log_odds, weights),
            "lift_top_decile": _lift(churners, stayers, share=DECILE),
            "precision": hit / called if called else 0.0,
            "recall": hit / churning,
            "f1": 2 * hit / (called + churning),
            "accuracy": (staying - called + 2 * hit) / total,
            "base_rate": churning / total,
            "true_positives": hit,
            "false_positives": called - hit,
            "false_negatives": churning - hit,
            "true_negatives": staying - called + hit,
        }

    def _sorted(self, weights: Weights | None) -> Weights:
        return np.ones(len(self._order)) if weights is None else weights[self._order]


def measures(churned: Labels, scores: Scores, *, threshold: float) -> dict[str, float]:
    """The measures of every model, without those of profit.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        threshold: decision threshold; at or above it a customer is called a churner.

    Returns:
        ``auc`` (ties count half), ``average_precision``, ``log_loss``, ``brier``, ``calibration_slope`` and
        ``calibration_intercept`` (in the large: with the slope held at 1; Cox 1958, ``calibration``), ``lift_top_decile``,
        ``precision``, ``recall``, ``f1``, ``accuracy`` and the counts ``true_positives``, ``false_positives``,
        ``false_negatives``, ``true_negatives`` at the threshold, ``base_rate``.

    Raises:
        InputError: all rows churned, or none did.
    """
    return Ranked(churned, scores, threshold=threshold).measures()


def log_losses(churned: Labels, scores: Scores) -> Scores:
    """The log loss of each row: minus the log of the probability of its label."""
    return np.asarray(-np.log(np.clip(np.where(churned, scores, 1 - scores), LEAST, 1 - LEAST)))


def auc(churned: Labels, scores: Scores) -> float:
    """The area under the ROC curve: how often a churner's score is above that of a customer who stayed; ties count half.

    Args:
        churned: label of each row; both classes must occur.
        scores: score of each row; only their order matters.
    """
    return weighted_auc(churned, scores)(None)


def weighted_auc(churned: Labels, scores: Scores) -> Callable[[Weights | None], float]:
    """A function that gives the AUC of some rows under any weights, for which the rows are sorted once.

    Args:
        churned: label of each row; both classes must occur.
        scores: score of each row; only their order matters.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, left = scores[order], churned[order]
    begins = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))

    def measure(weights: Weights | None) -> float:
        ordered = np.ones(len(order)) if weights is None else weights[order]
        churners = ordered * left
        return _auc(np.add.reduceat(churners, begins), np.add.reduceat(ordered - churners, begins))

    return measure


def lift(churned: Labels, scores: Scores, *, share: float) -> float:
    """The churn rate of the rows with the highest scores, relative to that of all rows.

    Args:
        churned: label of each row; both classes must occur.
        scores: score of each row.
        share: share of the rows with the highest scores, at least one row; ties at its end count in part.
    """
    return _lift(*Ranked(churned, scores, threshold=0.0).groups(), share=share)


def calibration_slope(churned: Labels, scores: Scores) -> float:
    """The calibration slope: 1 is calibrated, below 1 is overconfident, 0 is a constant score."""
    return calibration.slope(churned.astype(np.float64), calibration.log_odds(scores), np.ones(len(scores)))[1]


def calibration_intercept(churned: Labels, scores: Scores) -> float:
    """Calibration in the large, in log odds: positive if more customers churn than predicted."""
    return calibration.intercept(churned.astype(np.float64), calibration.log_odds(scores), np.ones(len(scores)))


def _auc(churners: Weights, stayers: Weights) -> float:
    above = np.cumsum(churners) - churners / 2
    return weighted_sum(stayers, above) / (float(churners.sum()) * float(stayers.sum()))


def _lift(churners: Weights, stayers: Weights, *, share: float) -> float:
    sizes = churners + stayers
    total = float(sizes.sum())
    looked_at = max(1.0, float(round(total * share)))
    reached = np.cumsum(sizes)
    last = min(int(np.searchsorted(reached, looked_at)), len(sizes) - 1)
    part = (looked_at - (reached[last] - sizes[last])) / sizes[last]
    churning = float(churners[:last].sum() + part * churners[last])
    return churning / looked_at / (float(churners.sum()) / total)
