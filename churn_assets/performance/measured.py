"""The measures of a release at a snapshot, with intervals clustered by customer, and its risk bands beside who left.

Belongs here: which measures are shown, under which weights. Does not belong here: the measures themselves (``evaluation``), and the excess
log loss by which a release is judged (``excess``).
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import polars as pl

from churn_assets.evaluation.evaluate import CONFIDENCE
from churn_assets.evaluation.intervals import bootstrap
from churn_assets.evaluation.measures import Labels, Ranked, Scores, Weights
from churn_assets.evaluation.profit import profit_by_row
from churn_assets.evaluation.shares import wilson
from churn_assets.performance.history import Band
from churn_assets.settings.profit import Profit
from churn_assets.treatments.weights import kish
from churn_store.monitoring.facts import Measured
from churn_store.releases.manifest import Interval, Manifest
from churn_store.releases.risk_bands import bands_of

SHOWN: Final = (
    "auc", "log_loss", "brier", "calibration_slope", "calibration_intercept", "lift_top_decile", "profit", "accuracy", "precision", "recall",
)  # fmt: skip
OF_PARTS: Final = ("auc", "log_loss", "brier", "profit")
"""Measures of arms and segments; with few rows the others say little."""

CALLED, GREEN = "called churners", "not called"


def measures(
    churned: Labels,
    scores: Scores,
    customers: pl.Series,
    *,
    weights: Weights,
    threshold: float,
    profit: Profit,
    names: Iterable[str],
    seed: int,
    draws: int,
) -> dict[str, Measured]:
    """Measures with intervals of 95 %, by a bootstrap that draws whole customers with their weights.

    Args:
        churned: label of each row; both classes must occur.
        scores: probability of each row.
        customers: customer of each row.
        weights: weight of each row.
        threshold: decision threshold of the release.
        profit: costs and values of a decision.
        names: measures that are wanted.
        seed: seed of the draws.
        draws: number of draws.

    Raises:
        InputError: if there are too few rows of one class.
    """
    ranked = Ranked(churned, scores, threshold=threshold)
    profits = profit_by_row(churned, scores >= threshold, profit)
    wanted = tuple(names)

    def measured(drawn: Weights | None) -> dict[str, float]:
        weight = weights if drawn is None else weights * drawn
        values = {**ranked.measures(weight), "profit": float(np.average(profits, weights=weight))}
        return {name: values[name] for name in wanted}

    counted = weights > 0
    if not counted.all():
        return measures(
            churned[counted], scores[counted], customers.filter(counted), weights=weights[counted], threshold=threshold, profit=profit,
            names=wanted, seed=seed, draws=draws,
        )  # fmt: skip
    found = bootstrap(measured, churned, customers, confidence=CONFIDENCE, seed=seed, draws=draws)
    return {name: as_measured(interval) for name, interval in found.items()}


def as_measured(interval: Interval) -> Measured:
    """An interval as the table has it."""
    return Measured(value=interval.value, low=interval.low, high=interval.high)


def bands(churned: Labels, scores: Scores, weights: Weights, manifest: Manifest) -> list[Band]:
    """The risk bands of a release, the lowest first: what was promised of their customers, and who left.

    Args:
        churned: label of each row.
        scores: probability of each row.
        weights: weight of each row.
        manifest: manifest of the release.
    """
    of = bands_of(manifest)
    place = np.searchsorted(np.array(of.bounds), scores, side="right") - 1
    found = [_band(name, place == number, churned, scores, weights) for number, name in enumerate(of.names)]
    return [band for band in found if band is not None]


def called(churned: Labels, scores: Scores, was_called: Labels, weights: Weights) -> list[Band]:
    """Who was called a churner and who was not, beside who left.

    Args:
        churned: label of each row.
        scores: probability of each row.
        was_called: whether the served answer was churn.
        weights: weight of each row.
    """
    found = [_band(name, inside, churned, scores, weights) for name, inside in ((CALLED, was_called), (GREEN, ~was_called))]
    return [band for band in found if band is not None]


def _band(name: str, inside: Labels, churned: Labels, scores: Scores, weights: Weights) -> Band | None:
    inside = inside & (weights > 0)
    if not inside.any():
        return None
    weight = weights[inside]
    seen = float(np.average(churned[inside], weights=weight))
    interval = wilson(seen, kish(weight), confidence=CONFIDENCE)
    promised = float(np.average(scores[inside], weights=weight))
    return Band(name=name, rows=int(inside.sum()), promised=promised, seen=seen, low=interval.low, high=interval.high)
