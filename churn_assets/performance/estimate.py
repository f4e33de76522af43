"""What a release may be expected to do before any outcome is known, from its scores alone.

It rests on one assumption, which is said wherever it is shown: the scores are calibrated, and what they mean has not changed (no concept
drift). Then a customer with score p leaves with probability p, and the expected measures follow (confidence-based performance estimation;
Kivimäki, Białek, Nurminen and Kuberski 2025, "Confidence-based estimators for predictive performance in model monitoring", J. Artif. Intell.
Res. 82). It can't see a change of the world: a competitor that wins other customers leaves the scores as they are.

Belongs here: the formulas. Does not belong here: measures with outcomes (``measured``).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from churn_assets.evaluation.calibration import CLIP
from churn_assets.evaluation.measures import Scores

ASSUMPTION: Final = "assuming that the scores are calibrated and mean what they meant at the gate (no concept drift)"


@dataclass(frozen=True)
class Estimate:
    """What is expected of a snapshot whose labels are not mature.

    Attributes:
        snapshot: key of the snapshot.
        release: digest of the release.
        rows: customers who were scored.
        churn_rate: expected share who leave.
        log_loss: expected log loss.
        auc: expected AUC; ``None`` where all scores are 0, or all are 1.
    """

    snapshot: str
    release: str
    rows: int
    churn_rate: float
    log_loss: float
    auc: float | None


def estimate(scores: Scores, *, snapshot: str, release: str) -> Estimate:
    """Estimate the measures of a snapshot.

    Args:
        scores: probability of each customer.
        snapshot: key of the snapshot.
        release: digest of the release that gave them.
    """
    return Estimate(
        snapshot, release, len(scores), float(scores.mean()), float(_entropy(scores).mean()), expected_auc(scores)
    )


def expected_auc(scores: Scores) -> float | None:
    """The AUC of scores whose outcomes are drawn by them: each customer is a churner with weight p, and stays with weight 1 - p.

    No customer is compared with itself.
    """
    ranked = np.sort(scores)
    begins = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    churners, stayers = np.add.reduceat(ranked, begins), np.add.reduceat(1 - ranked, begins)
    below = np.cumsum(stayers) - stayers
    itself = float(np.sum(scores * (1 - scores)))
    pairs = float(scores.sum()) * float((1 - scores).sum()) - itself
    if pairs <= 0:
        return None
    return float(np.sum(churners * (below + stayers / 2)) - itself / 2) / pairs


def _entropy(scores: Scores) -> Scores:
    p = np.clip(scores, CLIP, 1 - CLIP)
    return np.asarray(-(p * np.log(p) + (1 - p) * np.log(1 - p)))
