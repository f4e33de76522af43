"""The evaluation of a model on its judging rows, as its manifest stores it.

Belongs here: which measures a model gets. Does not belong here: their bounds (``champion.gate``), and how they are shown
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
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.profit import Profit
from churn_assets.tables import JUDGE
from churn_store.model.scorer import Scorer
from churn_store.releases.manifest import Evaluation, Interval, ProfitTerms, ReliabilityBin

CONFIDENCE = 0.95
BINS = 10
"""Number of bins of the reliability diagram."""

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
"""Measures with bootstrap intervals; shares and the profit have intervals of their own, counts have none."""


def measured(churned: Labels, scores: Scores, *, threshold: float, profit: Profit) -> dict[str, float]:
    """All measures of a model on some rows.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        threshold: decision threshold; at or above it a customer is called a churner.
        profit: costs and values of a decision.

    Returns:
        The measures of ``evaluation.measures.measures``; ``profit`` per customer at the threshold; and ``expected_maximum_profit`` per
        customer at the best threshold for each acceptance (empulse).

    Raises:
        InputError: all rows churned, or none did.
    """
    values = measuring(churned, scores, threshold=threshold, profit=profit)(None)
    return {**values, "expected_maximum_profit": expected_maximum_profit(churned, scores, profit)}


def evaluate(
    training_set: pl.DataFrame,
    scorer: Scorer,
    *,
    threshold: float,
    profit: Profit,
    evaluation: EvaluationSettings,
    seed: int,
) -> Evaluation:
    """Evaluate a model on its judging rows.

    Args:
        training_set: training set with the rows of every role, as the baselines are fitted on the others; in a history also with
            ``last_seen_days``, and with ``churn_kind`` if the labels have kinds.
        scorer: scorer of the exported model.
        threshold: decision threshold of the model.
        profit: costs and values of a decision.
        evaluation: settings of the segments and the bootstrap.
        seed: seed of the bootstrap and of the permutations.

    Returns:
        The evaluation; its ``by_snapshot`` has only snapshots with both classes.

    Raises:
        InputError: the judging rows have a single class or fewer than two customers, or ``evaluation.segments`` has a name that is no
            category of the model.
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
            name: measured(churned, by_baseline, threshold=threshold, profit=profit)
            for name, by_baseline in baselines(training_set, scorer.signature).items()
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
    """The measures with their intervals; counts, such as the true positives, have none.

    Intervals of shares come from ``shares``, that of the profit from ``intervals.mean_interval``, the others from ``intervals.bootstrap``.
    ``make bench-intervals`` measures their coverage.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        customers: customer of each row.
        threshold: decision threshold; at or above it a customer is called a churner.
        profit: costs and values of a decision.
        seed: seed of the bootstrap.
        draws: number of draws of the bootstrap.

    Raises:
        InputError: there are fewer than two customers, or too few of one class.
    """
    measure = measuring(churned, scores, threshold=threshold, profit=profit)

    def bootstrapped(weights: Weights | None) -> dict[str, float]:
        values = measure(weights)
        return {name: values[name] for name in BOOTSTRAPPED}

    profits = profit_by_row(churned, scores >= threshold, profit)
    return {
        **bootstrap(bootstrapped, churned, customers, confidence=CONFIDENCE, seed=seed, draws=draws),
        **share_intervals(churned, scores, customers, threshold=threshold, confidence=CONFIDENCE),
        "profit": mean_interval(profits, customers, confidence=CONFIDENCE, largest=largest_difference(profit)),
    }


def by_snapshot(judging: pl.DataFrame, scores: Scores, *, threshold: float, profit: Profit) -> dict[str, dict[str, float]]:
    """The measures at each snapshot with both classes, oldest first."""
    if "snapshot_s" not in judging.columns:
        return {}
    seconds, churned = judging["snapshot_s"].to_numpy(), judging["churned"].to_numpy()
    measures = {}
    for second in np.unique(seconds):
        at = seconds == second
        if churned[at].any() and not churned[at].all():
            measures[day_of(int(second)).isoformat()] = measured(
                churned[at], scores[at], threshold=threshold, profit=profit
            )
    return measures


def reliability(churned: Labels, scores: Scores, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The bins of a reliability diagram: mean probability and churn rate of equally many rows with neighbouring scores."""
    order = np.argsort(scores, kind="stable")
    return tuple(
        ReliabilityBin(len(in_bin), float(scores[in_bin].mean()), float(churned[in_bin].mean()))
        for in_bin in np.array_split(order, bins)
        if len(in_bin)
    )


def measuring(
    churned: Labels, scores: Scores, *, threshold: float, profit: Profit
) -> Callable[[Weights | None], dict[str, float]]:
    """A function that gives the measures of some rows under any weights."""
    ranked = Ranked(churned, scores, threshold=threshold)
    kept, wasted = worth(profit)

    def measure(weights: Weights | None) -> dict[str, float]:
        values = ranked.measures(weights)
        total = len(churned) if weights is None else float(weights.sum())
        brought = values["true_positives"] * kept + values["false_positives"] * wasted
        return {
            **values,
            "profit": brought / total,
            "expected_maximum_profit": weighted_expected_maximum_profit(*ranked.groups(weights), profit),
        }

    return measure
