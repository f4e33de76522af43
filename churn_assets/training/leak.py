"""Leaks that show in one feature alone: what tells the label by itself was most likely written down after it.

Belongs here: how well each single feature orders the rows of a training set by their label. Does not belong here: whether a
whole model is too good to be true (``champion.gate``).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from churn_assets.features.feature import Feature
from churn_assets.training.split import TRAIN

LEAST_ROWS = 30
"""So many rows of each class a measure needs: 30 of each miss the true AUC by about 0.07."""

CODES = 100
"""A number with at most so many different values may be a code, whose order says nothing."""

PRIOR_ROWS = 10
"""A word's rate of churn is drawn to the mean as if so many rows of the mean had been seen besides."""

SHOWN = 5

CHANCE = 0.5
"""The AUC of what says nothing."""

Labels = npt.NDArray[np.bool_]


def single_feature_aucs(rows: pl.DataFrame, features: Sequence[Feature]) -> dict[str, float]:
    """The best AUC that each feature reaches alone, in whichever direction: from 0.5, says nothing, to 1.

    A number is taken as it is, with missing values left out, below all others, and above all others: whatever the values say, one
    of the last two tells at least as much as that a value is missing. A word, and a number that may be a code, stands for its
    rate of churn on the training rows, smoothed, and is measured on the other rows; missing is a word like any other.

    Args:
        rows: of a training set: the features, ``churned`` and ``role``.
        features: which.

    Returns:
        By feature, the most telling first.
    """
    churned = rows["churned"].to_numpy()
    fitting = (rows["role"] == TRAIN).to_numpy()
    found = {feature.name: _most_telling(rows[feature.name], feature.kind, churned, fitting) for feature in features}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def leaking(aucs: Mapping[str, float], limit: float) -> dict[str, float]:
    """The features that tell more of the label than is plausible."""
    return {name: auc for name, auc in aucs.items() if auc > limit}


def in_words(aucs: Mapping[str, float], limit: float) -> str:
    """What was found, for people."""
    if told := leaking(aucs, limit):
        return (
            f"{_listed(told)} alone, above {limit:g}: expected no single feature to tell the label; look whether it was written "
            "down after the label, and name it in features.exclude, or raise training.single_feature_auc"
        )
    return f"the most telling features are {_listed(dict(list(aucs.items())[:SHOWN]))}; allowed up to {limit:g}"


def _listed(aucs: Mapping[str, float]) -> str:
    return ", ".join(f"{name} (AUC {auc:.3f})" for name, auc in aucs.items())


def _most_telling(values: pl.Series, kind: str, churned: Labels, fitting: Labels) -> float:
    there = values.is_not_null().to_numpy()
    measured = []
    if kind == "number":
        numbers = values.to_numpy()
        measured.append(_auc(numbers[there], churned[there]))
        if not there.all():
            measured += [_auc(np.where(there, numbers, beyond), churned) for beyond in (-np.inf, np.inf)]
    if kind == "category" or values.n_unique() <= CODES:
        measured.append(_auc(_rates(values, churned, fitting)[~fitting], churned[~fitting]))
    return max(measured)


def _rates(values: pl.Series, churned: Labels, fitting: Labels) -> npt.NDArray[np.float64]:
    """Each row's rate of churn by its value, learned on the fitting rows; the mean rate where they lack the value."""
    mean = float(churned[fitting].mean())
    rates = (
        pl.DataFrame({"value": values, "churned": churned})
        .filter(pl.Series(fitting))
        .group_by("value")
        .agg(rate=(pl.col("churned").sum() + PRIOR_ROWS * mean) / (pl.len() + PRIOR_ROWS))
    )
    return (
        pl.DataFrame({"value": values})
        .join(rates, on="value", how="left", nulls_equal=True, maintain_order="left")["rate"]
        .fill_null(mean)
        .to_numpy()
    )


def _auc(scores: npt.NDArray[np.float64], churned: Labels) -> float:
    """AUC in the better direction, by ranks (Hanley and McNeil 1982); 0.5 where there are too few rows of a class."""
    positive = int(churned.sum())
    negative = churned.size - positive
    if min(positive, negative) < LEAST_ROWS:
        return CHANCE
    ranks = stats.rankdata(scores)
    auc = float((ranks[churned].sum() - positive * (positive + 1) / 2) / (positive * negative))
    return max(auc, 1 - auc)
