"""How sure a measure is: bootstrap intervals in which whole customers are drawn, as rows of one customer are not independent."""

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from churn_assets.evaluation.measures import Labels, Scores, measures
from churn_assets.settings import Settings
from churn_store.manifest import Interval


def measure_intervals(
    churned: Labels, scores: Scores, customers: pl.Series, *, threshold: float, settings: Settings, confidence: float
) -> dict[str, Interval]:
    """Each measure with its bootstrap interval, clustered by customer (Cameron, Gelbach and Miller 2008)."""
    codes = customers.rank("dense").to_numpy() - 1
    rows_of = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    generator = np.random.default_rng(settings.training.seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(settings.evaluation.draws):
        rows = np.concatenate([rows_of[code] for code in generator.integers(0, len(rows_of), len(rows_of))])
        if churned[rows].all() or not churned[rows].any():
            continue
        for name, value in measures(churned[rows], scores[rows], threshold=threshold).items():
            drawn.setdefault(name, []).append(value)
    tail = (1 - confidence) / 2
    values = measures(churned, scores, threshold=threshold)
    return {
        name: Interval(values[name], *(float(bound) for bound in np.quantile(found, [tail, 1 - tail])))
        for name, found in drawn.items()
    }


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
