"""All that is measured of a model on its judging rows, in the form in which its manifest keeps it.

Belongs here: which measures a model gets. Does not belong here: what they must be (``champion.gate``), and how they are shown
(``plots``, ``champion.card``).
"""

from collections.abc import Callable

import numpy as np
import polars as pl

from churn_assets.evaluation.baselines import baselines
from churn_assets.evaluation.importance import permutation_importance
from churn_assets.evaluation.intervals import bootstrap, mean_interval
from churn_assets.evaluation.kinds import quality_by_kind
from churn_assets.evaluation.measures import Labels, Ranked, Scores, Weights
from churn_assets.evaluation.profit import (
    expected_maximum_profit,
    largest_difference,
    profit_by_row,
    weighted_expected_maximum_profit,
    worth,
)
from churn_assets.evaluation.segments import segments
from churn_assets.evaluation.shares import share_intervals
from churn_assets.periods import day_of
from churn_assets.settings.company import EvaluationSettings, Profit
from churn_assets.tables import JUDGE
from churn_store.model.scorer import Scorer
from churn_store.releases.manifest import Evaluation, Interval, ProfitTerms, ReliabilityBin

CONFIDENCE = 0.95
BINS = 10

BOOTSTRAPPED = (
    "auc",
    "average_precision",
    "log_loss",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "lift_top_decile",
    "expected_maximum_profit",
)
"""The measures whose intervals are drawn: none of them is a share, a count, or what a few customers bring."""


def measured(churned: Labels, scores: Scores, *, threshold: float, profit: Profit) -> dict[str, float]:
    """All measures of a model on some rows.

    Args:
        churned: true labels, of both classes.
        scores: probabilities, one a label.
        threshold: at or above it a customer is called a churner.
        profit: what a decision costs and brings.

    Returns:
        Those of ``evaluation.measures.measures``; ``profit``, per customer at the threshold; and ``expected_maximum_profit``, per customer at
        the best threshold for each acceptance (empulse).

    Raises:
        InputError: all rows churned, or none did.
    """
    found = measuring(churned, scores, threshold=threshold, profit=profit)(None)
    return {**found, "expected_maximum_profit": expected_maximum_profit(churned, scores, profit)}


def evaluate(
    training_set: pl.DataFrame,
    scorer: Scorer,
    *,
    threshold: float,
    profit: Profit,
    evaluation: EvaluationSettings,
    seed: int,
) -> Evaluation:
    """What a model is worth on its judging rows.

    Args:
        training_set: rows of all roles, as the baselines are fitted on those before the judging ones: the model's inputs,
            ``customer_id``, ``churned``, ``role``, and where data has time ``snapshot_s`` and ``last_seen_days``; and ``churn_kind`` where
            kinds of churn are told apart.
        scorer: scorer of the exported model.
        threshold: decision threshold of the model.
        profit: what a decision costs and brings.
        evaluation: which segments, how many draws of the bootstrap.
        seed: seed of the bootstrap and of the permutations.

    Returns:
        ``by_snapshot`` holds only snapshots at which some churned and some stayed.

    Raises:
        InputError: all judging rows churned or none did, they are of fewer than two customers, or ``evaluation.segments`` has a name
            that is no category of the model.
    """
    judging = training_set.filter(pl.col("role") == JUDGE)
    churned, scores = judging["churned"].to_numpy(), scorer.score_frame(judging)
    return Evaluation(
        confidence=CONFIDENCE,
        intervals=intervals(
            churned, scores, judging["customer_id"], threshold=threshold, profit=profit, seed=seed, draws=evaluation.draws
        ),
        by_snapshot=by_snapshot(judging, scores, threshold=threshold, profit=profit),
        baselines={
            name: measured(churned, theirs, threshold=threshold, profit=profit)
            for name, theirs in baselines(training_set, scorer.signature).items()
        },
        segments=segments(
            judging,
            scores,
            scorer.signature,
            threshold=threshold,
            profit=profit,
            evaluation=evaluation,
            confidence=CONFIDENCE,
        ),
        reliability=reliability(churned, scores),
        importance=permutation_importance(judging, scorer, seed=seed),
        profit=ProfitTerms(**profit.model_dump()),
        kinds=quality_by_kind(judging, scores, threshold=threshold),
    )


def intervals(
    churned: Labels,
    scores: Scores,
    customers: pl.Series,
    *,
    threshold: float,
    profit: Profit,
    seed: int,
    draws: int,
) -> dict[str, Interval]:
    """The measures with their intervals; of mere counts, such as the true positives, there are none.

    Shares have those of ``shares``, the profit that of ``intervals.mean_interval``, the others those of ``intervals.bootstrap``. How
    often each holds the truth is measured by ``make bench-intervals``.

    Args:
        churned: true labels, of both classes.
        scores: probabilities, one for each label.
        customers: customer of each row.
        threshold: at or above it a customer is called a churner.
        profit: what a decision costs and brings.
        seed: seed of the bootstrap.
        draws: draws of the bootstrap.

    Raises:
        InputError: fewer than two customers, or too few of one class.
    """
    measure = measuring(churned, scores, threshold=threshold, profit=profit)

    def drawn(weights: Weights | None) -> dict[str, float]:
        found = measure(weights)
        return {name: found[name] for name in BOOTSTRAPPED}

    brought = profit_by_row(churned, scores >= threshold, profit)
    return {
        **bootstrap(drawn, churned, customers, confidence=CONFIDENCE, seed=seed, draws=draws),
        **share_intervals(churned, scores, customers, threshold=threshold, confidence=CONFIDENCE),
        "profit": mean_interval(brought, customers, confidence=CONFIDENCE, largest=largest_difference(profit)),
    }


def by_snapshot(judging: pl.DataFrame, scores: Scores, *, threshold: float, profit: Profit) -> dict[str, dict[str, float]]:
    """The measures at each snapshot, in the order of time; at one where all churned or none did there are none."""
    if "snapshot_s" not in judging.columns:
        return {}
    seconds, churned = judging["snapshot_s"].to_numpy(), judging["churned"].to_numpy()
    found = {}
    for second in np.unique(seconds):
        at = seconds == second
        if churned[at].any() and not churned[at].all():
            found[day_of(int(second)).isoformat()] = measured(churned[at], scores[at], threshold=threshold, profit=profit)
    return found


def reliability(churned: Labels, scores: Scores, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Mean probability and rate of churn of equally many rows of neighbouring scores."""
    order = np.argsort(scores, kind="stable")
    return tuple(
        ReliabilityBin(len(part), float(scores[part].mean()), float(churned[part].mean()))
        for part in np.array_split(order, bins)
        if len(part)
    )


def measuring(
    churned: Labels, scores: Scores, *, threshold: float, profit: Profit
) -> Callable[[Weights | None], dict[str, float]]:
    """The measures of some rows under any weights."""
    ranked = Ranked(churned, scores, threshold=threshold)
    kept, wasted = worth(profit)

    def measure(weights: Weights | None) -> dict[str, float]:
        found = ranked.measures(weights)
        total = len(churned) if weights is None else float(weights.sum())
        brought = found["true_positives"] * kept + found["false_positives"] * wasted
        return {
            **found,
            "profit": brought / total,
            "expected_maximum_profit": weighted_expected_maximum_profit(*ranked.groups(weights), profit),
        }

    return measure
