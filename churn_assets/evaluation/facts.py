"""All that is measured of a model on its judging rows, in the form in which its manifest keeps it.

Belongs here: which measures a model gets. Does not belong here: what they must be (``champion.gate``), and how they are shown
(``pictures``, ``champion.card``).
"""

import numpy as np
import polars as pl

from churn_assets.evaluation.intervals import measure_intervals
from churn_assets.evaluation.measures import Labels, Scores, measures
from churn_assets.settings import Settings
from churn_store.manifest import Evaluation, ProfitTerms, ReliabilityBin

CONFIDENCE = 0.95
BINS = 10


def measured(churned: Labels, scores: Scores, *, threshold: float, settings: Settings) -> dict[str, float]:
    """All measures of a model on some rows."""
    return measures(churned, scores, threshold=threshold)


def evaluate(judging: pl.DataFrame, scores: Scores, *, threshold: float, settings: Settings) -> Evaluation:
    """What a model is worth on its judging rows.

    Args:
        judging: ``customer_id``, ``churned``, and ``snapshot_s`` where data has time.
        scores: its probabilities, one a row.
        threshold: its decision threshold.
        settings: the costs, the segments, the bootstrap.
    """
    churned = judging["churned"].to_numpy()
    profit = settings.profit
    return Evaluation(
        confidence=CONFIDENCE,
        intervals=measure_intervals(
            churned, scores, judging["customer_id"], threshold=threshold, settings=settings, confidence=CONFIDENCE
        ),
        by_snapshot={},
        baselines={},
        segments=(),
        reliability=reliability(churned, scores),
        importance={},
        profit=ProfitTerms(
            profit.customer_value,
            profit.offer_cost,
            profit.contact_cost,
            profit.acceptance_alpha,
            profit.acceptance_beta,
        ),
    )


def reliability(churned: Labels, scores: Scores, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Mean probability and rate of churn of equally many rows of neighbouring scores."""
    order = np.argsort(scores, kind="stable")
    return tuple(
        ReliabilityBin(len(part), float(scores[part].mean()), float(churned[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    )
