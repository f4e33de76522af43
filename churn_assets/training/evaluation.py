"""What a set of scores is worth on labelled rows.

Belongs here: measures of given scores and labels. Does not belong here: which rows they are measured on (``split``), and
what follows from them (``champion.gate``).
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
    precision_recall_curve,
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


def threshold_of_best_f1(churned: Labels, scores: Scores) -> float:
    """The threshold with the greatest F1, midway between two neighbouring scores, so that rounding can't flip a decision."""
    precision, recall, thresholds = precision_recall_curve(churned, scores)
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
    best = float(thresholds[int(np.argmax(f1))])
    below = scores[scores < best]
    return best if below.size == 0 else (best + float(below.max())) / 2


def auc_difference_interval(
    churned: Labels,
    ours: Scores,
    theirs: Scores,
    customers: npt.NDArray[np.str_],
    *,
    seed: int,
    draws: int = 200,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of the difference in AUC of two models on the same rows, clustered by customer.

    Whole customers are drawn with replacement, as rows of one customer are not independent (Cameron, Gelbach and Miller
    2008, cluster bootstrap).

    Returns:
        Lower and upper bound.
    """
    generator = np.random.default_rng(seed)
    _, codes = np.unique(customers, return_inverse=True)
    number = int(codes.max()) + 1
    differences = []
    for _ in range(draws):
        weights = np.bincount(generator.integers(0, number, number), minlength=number)[codes].astype(np.float64)
        drawn = weights > 0
        if churned[drawn].all() or not churned[drawn].any():
            continue
        differences.append(
            roc_auc_score(churned[drawn], ours[drawn], sample_weight=weights[drawn])
            - roc_auc_score(churned[drawn], theirs[drawn], sample_weight=weights[drawn])
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high)
