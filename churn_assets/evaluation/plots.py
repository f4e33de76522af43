"""Charts of a model's quality, as SVG, for the asset's metadata, MLflow and the model card.

Belongs here: which figures a chart shows. Does not belong here: how they are drawn (``churn_store.charts``), how they are computed
(``measures``, ``profit``, ``evaluate``) and where they are shown.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.evaluation.profit import profit_curve
from churn_assets.evaluation.shares import wilson
from churn_assets.settings.profit import Profit
from churn_store.charts.bar_chart import bar_chart
from churn_store.charts.svg_chart import Line, Rule, line_chart, stacked
from churn_store.releases.manifest import Evaluation, ReliabilityBin

POINTS = 400
"""Greatest number of points of a curve."""

BINS = 40
"""Number of bins of the score distribution."""

INPUTS = 15
"""Greatest number of inputs in the chart of importances."""

SHOWN = {"auc": "AUC", "log_loss": "log loss", "profit": "profit per customer"}
"""Measures that are shown over the snapshots, with their labels."""

PANEL = 200
"""Height of each panel of the chart over the snapshots."""


def pictures(
    churned: Labels, scores: Scores, evaluation: Evaluation, *, threshold: float, profit: Profit
) -> dict[str, str]:
    """All charts of a model on its judging rows.

    Args:
        churned: label of each row.
        scores: probability of each row.
        evaluation: evaluation on the same rows.
        threshold: decision threshold of the model.
        profit: costs and values.

    Returns:
        SVG by name: ``reliability``, ``profit_curve``, ``lift``, ``score_distribution``; ``importance`` if inputs were shuffled;
        ``snapshots`` if there are at least two.
    """
    charts = {
        "reliability": reliability_chart(evaluation.reliability),
        "profit_curve": _profit_curve(churned, scores, threshold, profit),
        "lift": _lift(churned, scores),
        "score_distribution": _score_distribution(churned, scores, threshold),
    }
    if evaluation.importance:
        charts["importance"] = _importance(evaluation.importance)
    if len(evaluation.by_snapshot) > 1:
        charts["snapshots"] = _snapshots(evaluation.by_snapshot)
    return charts


def reliability_chart(bins: Sequence[ReliabilityBin]) -> str:
    """A reliability diagram: churn rate by mean probability, with Wilson's 95 % intervals."""
    points = tuple((part.predicted, part.observed) for part in bins)
    intervals = [wilson(part.observed, part.rows, confidence=0.95) for part in bins]
    bounds = tuple((interval.low, interval.high) for interval in intervals)
    top = max(max(point) for point in points)
    return line_chart(
        [
            Line("this model, 95 % intervals", points, bounds),
            Line("calibrated", ((0.0, 0.0), (top, top)), marks=False),
        ],
        title=f"Reliability: {len(bins)} groups of equally many customers",
        description="; ".join(f"probability {part.predicted:.3f}: rate {part.observed:.3f}" for part in bins),
        x_title="mean probability of churn",
        y_title="rate of churn",
        x_from=0.0,
        y_from=0.0,
    )


def _profit_curve(churned: Labels, scores: Scores, threshold: float, profit: Profit) -> str:
    thresholds, profits = profit_curve(churned, scores, profit)
    asked = 1 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
    at = _thinned(len(asked))
    everybody = float(profits[-1]) if asked[-1] == 1 else 0.0
    share = float((scores >= threshold).mean())
    brought = float(profits[thresholds >= threshold][-1]) if share else 0.0
    at_threshold = f"threshold {threshold:.3f}: {share:.1%} asked, {brought:+.2f}"
    return line_chart(
        [
            Line("this model", _points(100 * asked[at], profits[at]), marks=False),
            Line(at_threshold, ((100 * share, brought),)),
            Line("customers drawn at random", ((0.0, 0.0), (100.0, everybody)), marks=False),
        ],
        title="Profit by share of customers who are asked, highest scores first",
        description=f"{at_threshold}; the most is {profits.max():+.2f}; everybody asked: {everybody:+.2f}",
        x_title="share of customers asked, %",
        y_title="profit per customer, currency",
        rules=[Rule(0.0)],
        x_from=0.0,
        y_from=min(0.0, brought) - 0.6 * max(float(profits.max()), 1e-9),
    )


def _lift(churned: Labels, scores: Scores) -> str:
    order = np.argsort(-scores, kind="stable")
    looked_at = np.arange(1, len(order) + 1)
    lifts = np.cumsum(churned[order]) / looked_at / churned.mean()
    at = _thinned(len(order))
    at = at[at >= len(order) // 100]
    decile = max(1, len(order) // 10) - 1
    return line_chart(
        [Line("this model", _points(100 * looked_at[at] / len(order), lifts[at]), marks=False)],
        title="Lift: churners among the highest scores, against all",
        description=f"lift of the top decile: {lifts[decile]:.2f}",
        x_title="share of customers looked at, %",
        y_title="lift, times the rate of all",
        rules=[Rule(1.0, "customers drawn at random"), Rule(10.0, "top decile", upright=True)],
        x_from=0.0,
        y_from=0.0,
    )


def _score_distribution(churned: Labels, scores: Scores, threshold: float) -> str:
    edges = np.linspace(0, float(scores.max()) or 1.0, BINS + 1)
    lines = []
    for which, name in ((~churned, "stayed"), (churned, "churned")):
        shares = 100 * np.histogram(scores[which], edges)[0] / max(1, which.sum())
        steps = [0.0, *np.repeat(shares, 2), 0.0]
        lines.append(Line(f"{name} ({which.sum():,})", _points(np.repeat(edges, 2), steps), marks=False))
    middles = ((~churned, "who stayed"), (churned, "who churned"))
    return line_chart(
        lines,
        title="Scores of those who churned and of those who stayed",
        description="; ".join(
            f"median of those {name}: {np.median(scores[which]):.3f}" for which, name in middles if which.any()
        ),
        x_title="probability of churn",
        y_title="share of the class, %",
        rules=[Rule(threshold, f"threshold {threshold:.3f}", upright=True)] if threshold <= edges[-1] else [],
        x_from=0.0,
        y_from=0.0,
    )


def _importance(importance: dict[str, float]) -> str:
    shown = sorted(importance.items(), key=lambda entry: -entry[1])[:INPUTS]
    title = f"Inputs by what shuffling them costs (first {len(shown)} of {len(importance)})"
    return bar_chart(shown, title=title, x_title="loss of AUC")


def _snapshots(by_snapshot: dict[str, dict[str, float]]) -> str:
    panels = []
    for name, title in SHOWN.items():
        values = [measures[name] for measures in by_snapshot.values()]
        panels.append(
            line_chart(
                [Line(title, tuple((float(place), value) for place, value in enumerate(values)))],
                title=title,
                description="; ".join(f"{at}: {value:.4g}" for at, value in zip(by_snapshot, values, strict=True)),
                x_title="snapshot",
                y_title="",
                names=list(by_snapshot),
                height=PANEL,
            )
        )
    described = f"{len(by_snapshot)} snapshots, {', '.join(SHOWN.values())}"
    return stacked(panels, title="The model at each judging snapshot", description=described, height=PANEL)


def _points(across: Any, upward: Any) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in zip(across, upward, strict=True))


def _thinned(points: int) -> Any:
    return np.unique(np.linspace(0, points - 1, min(points, POINTS)).astype(int))
