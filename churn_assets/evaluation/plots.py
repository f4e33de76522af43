"""Pictures of what a model is worth: for the asset's metadata, MLflow and the model card.

Belongs here: drawing. Does not belong here: what is drawn (``measures``, ``profit``, ``evaluate``) and where it is shown. Colours are
those of Okabe and Ito (2008), which colour-blind people tell apart; line styles differ besides.
"""

import base64
import io
from typing import Any

import numpy as np

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.evaluation.profit import profit_curve
from churn_assets.settings.company import Profit
from churn_store.releases.manifest import Evaluation, ReliabilityBin

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
SIZE, DPI = (6.0, 3.8), 90
POINTS = 400
"""A curve is drawn through no more points than these."""

BINS = 40
INPUTS = 15
"""So many inputs are shown, those that matter most."""

SHOWN = {
    "auc": ("AUC", BLUE, "o-"),
    "log_loss": ("log loss", ORANGE, "s--"),
    "profit": ("profit per customer", GREEN, "^:"),
}
"""What is followed over the snapshots: name, colour, marker and line."""


def pictures(
    churned: Labels, scores: Scores, evaluation: Evaluation, *, threshold: float, profit: Profit
) -> dict[str, bytes]:
    """All pictures of a model on its judging rows, as PNG by name.

    Args:
        churned: true labels.
        scores: probabilities, one a label.
        evaluation: evaluation on the same rows.
        threshold: decision threshold of the model.
        profit: costs and values.

    Returns:
        ``reliability``, ``profit_curve``, ``lift``, ``score_distribution``; ``importance`` where inputs were shuffled; ``snapshots``
        where there are at least two of them.
    """
    drawn = {
        "reliability": _reliability(evaluation.reliability),
        "profit_curve": _profit_curve(churned, scores, threshold, profit),
        "lift": _lift(churned, scores),
        "score_distribution": _score_distribution(churned, scores, threshold),
    }
    if evaluation.importance:
        drawn["importance"] = _importance(evaluation.importance)
    if len(evaluation.by_snapshot) > 1:
        drawn["snapshots"] = _snapshots(evaluation.by_snapshot)
    return {name: _png(figure) for name, figure in drawn.items()}


def as_markdown(name: str, png: bytes) -> str:
    """A picture as Markdown that needs no file, as Dagster shows it in an asset's metadata."""
    return f"![{name.replace('_', ' ')}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _axes(title: str, x: str, y: str) -> tuple[Any, Any]:
    figure = _figure()
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _figure() -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second of import that only drawing pays

    return Figure(figsize=SIZE, dpi=DPI, layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _reliability(bins: tuple[ReliabilityBin, ...]) -> Any:
    figure, axes = _axes(
        f"Reliability: {len(bins)} groups of equally many customers", "mean probability of churn", "rate of churn"
    )
    predicted, observed = [at.predicted for at in bins], [at.observed for at in bins]
    error = [1.96 * np.sqrt(at.observed * (1 - at.observed) / at.rows) for at in bins]
    top = max(*predicted, *observed) * 1.1
    axes.plot([0, top], [0, top], "--", color=GREY, linewidth=1, label="calibrated")
    axes.errorbar(
        predicted, observed, yerr=error, fmt="o-", color=BLUE, capsize=3, label="this model, 1.96 standard errors"
    )
    axes.set_xlim(0, top)
    axes.set_ylim(0, None)
    axes.legend(frameon=False)
    return figure


def _profit_curve(churned: Labels, scores: Scores, threshold: float, profit: Profit) -> Any:
    figure, axes = _axes(
        "Profit by share of customers who are asked, highest scores first",
        "share of customers asked, %",
        "profit per customer, currency",
    )
    thresholds, profits = profit_curve(churned, scores, profit)
    ranked = np.sort(scores)
    asked = 1 - np.searchsorted(ranked, thresholds, side="left") / len(scores)
    at = _thinned(len(asked))
    axes.plot(100 * asked[at], profits[at], color=BLUE, label="this model")
    everybody = profits[-1] if asked[-1] == 1 else 0.0
    axes.plot([0, 100], [0, everybody], "--", color=GREY, linewidth=1, label="customers drawn at random")
    share = float((scores >= threshold).mean())
    brought = float(profits[thresholds >= threshold][-1]) if share else 0.0
    axes.plot(
        100 * share, brought, "D", color=ORANGE, label=f"threshold {threshold:.3f}: {share:.1%} asked, {brought:+.2f}"
    )
    axes.set_ylim(min(0.0, brought) - 0.6 * max(profits.max(), 1e-9), None)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.legend(frameon=False)
    return figure


def _lift(churned: Labels, scores: Scores) -> Any:
    figure, axes = _axes(
        "Lift: churners among the highest scores, against all",
        "share of customers looked at, %",
        "lift, times the rate of all",
    )
    order = np.argsort(-scores, kind="stable")
    looked_at = np.arange(1, len(order) + 1)
    lifts = np.cumsum(churned[order]) / looked_at / churned.mean()
    at = _thinned(len(order))
    at = at[at >= len(order) // 100]
    axes.plot(100 * looked_at[at] / len(order), lifts[at], color=BLUE, label="this model")
    axes.axhline(1, linestyle="--", color=GREY, linewidth=1, label="customers drawn at random")
    axes.axvline(10, linestyle=":", color=ORANGE, label="top decile")
    axes.set_ylim(0, None)
    axes.legend(frameon=False)
    return figure


def _score_distribution(churned: Labels, scores: Scores, threshold: float) -> Any:
    figure, axes = _axes(
        "Scores of those who churned and of those who stayed", "probability of churn", "share of the class, %"
    )
    edges = np.linspace(0, float(scores.max()) or 1.0, BINS + 1)
    for which, name, colour, style in ((~churned, "stayed", BLUE, "-"), (churned, "churned", ORANGE, "--")):
        counts = np.histogram(scores[which], edges)[0] / max(1, which.sum())
        axes.stairs(100 * counts, edges, color=colour, linestyle=style, linewidth=1.5, label=f"{name} ({which.sum():,})")
        axes.stairs(100 * counts, edges, color=colour, fill=True, alpha=0.15)
    if threshold <= edges[-1]:
        axes.axvline(threshold, color=GREY, linestyle=":", label=f"threshold {threshold:.3f}")
    axes.set_xlim(0, edges[-1])
    axes.legend(frameon=False)
    return figure


def _importance(importance: dict[str, float]) -> Any:
    shown = sorted(importance.items(), key=lambda entry: -entry[1])[:INPUTS][::-1]
    figure, axes = _axes(
        f"Inputs by what shuffling them costs (first {len(shown)} of {len(importance)})", "loss of AUC", ""
    )
    names, losses = [name for name, _ in shown], [loss for _, loss in shown]
    axes.barh(names, losses, color=BLUE)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.tick_params(axis="y", labelsize=8)
    return figure


def _snapshots(by_snapshot: dict[str, dict[str, float]]) -> Any:
    figure = _figure()
    figure.suptitle("The model at each judging snapshot", fontsize=11)
    for axes, (name, (title, colour, style)) in zip(figure.subplots(len(SHOWN), sharex=True), SHOWN.items(), strict=True):
        axes.plot(list(by_snapshot), [measures[name] for measures in by_snapshot.values()], style, color=colour)
        axes.set_ylabel(title.replace(" per ", "\nper "), fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.margins(x=0.1, y=0.35)
    axes.set_xlabel("snapshot")
    return figure


def _thinned(points: int) -> Any:
    return np.unique(np.linspace(0, points - 1, min(points, POINTS)).astype(int))
