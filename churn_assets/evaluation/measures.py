"""Measures of given scores and labels.

Does not belong here: which rows they are measured on (``training.split``), what they are worth in money (``profit``), how sure
they are (``intervals``), and what follows from them (``champion.gate``).
"""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

DECILE = 0.1


def measures(churned: Labels, scores: Scores, *, threshold: float) -> dict[str, float]:
    """The measures that are logged of every model.

    Args:
        churned: true labels, of both classes.
        scores: probabilities, one a label.
        threshold: at or above it a customer is called a churner.

    Returns:
        ``auc``, ``average_precision``, ``log_loss``, ``brier``, ``calibration_slope`` (of the label's log odds on the
        score's; Cox 1958), ``lift_top_decile``, ``precision``, ``recall``, ``f1``, ``accuracy`` at the threshold, ``base_rate``.
    """
    called = scores >= threshold
    return {
        "auc": float(roc_auc_score(churned, scores)),
        "average_precision": float(average_precision_score(churned, scores)),
        "log_loss": float(log_loss(churned, scores)),
        "brier": float(brier_score_loss(churned, scores)),
        "calibration_slope": calibration_slope(churned, scores),
        "lift_top_decile": lift(churned, scores, share=DECILE),
        "precision": float(precision_score(churned, called, zero_division=0.0)),
        "recall": float(recall_score(churned, called)),
        "f1": float(f1_score(churned, called)),
        "accuracy": float(accuracy_score(churned, called)),
        "base_rate": float(np.mean(churned)),
    }


def lift(churned: Labels, scores: Scores, *, share: float) -> float:
    """How many times more churners are among the highest scores than among all; ``share`` is how many are looked at."""
    looked_at = max(1, round(len(scores) * share))
    highest = np.argsort(-scores, kind="stable")[:looked_at]
    return float(np.mean(churned[highest]) / np.mean(churned))


def calibration_slope(churned: Labels, scores: Scores) -> float:
    """Slope of the label's log odds on the score's: 1 is calibrated, below 1 is overconfident."""
    clipped = np.clip(scores, 1e-6, 1 - 1e-6)
    log_odds = np.log(clipped / (1 - clipped)).reshape(-1, 1)
    return float(LogisticRegression(C=1e6, max_iter=1000).fit(log_odds, churned).coef_[0, 0])
