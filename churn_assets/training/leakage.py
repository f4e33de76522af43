"""Leaks that show in one feature alone: what tells the label by itself was most likely written down after it.

Belongs here: how well each single feature orders the rows of a training set by their label. Does not belong here: whether a
whole model is too good to be true (``champion.gate``), and names that tell the label (``features.protected_attributes``).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from churn_assets.features.feature import Feature

LEAST_ROWS = 5
"""So many rows of each class a measure needs: chance puts 5 rows of 100 above all others once in 75 million times."""

ENOUGH_ROWS = 50
"""From so many rows of each class on, an AUC is taken at its word; of fewer, its lower bound is: an honest one may be high by chance."""

Z = 1.645
"""Standard errors between an AUC and its lower bound: of 20 bounds, 19 lie below the true AUC."""

CODES = 100
"""A number with at most so many different values may be a code, whose order says nothing."""

FOLDS = 5
"""A word's rate of churn is learned on the other folds than the one it is measured on."""

PRIOR_ROWS = 10
"""A word's rate of churn is drawn to the mean as if so many rows of the mean had been seen besides."""

SHOWN = 5

CHANCE = 0.5
"""The AUC of what says nothing."""

Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Auc:
    """How well a feature alone orders rows by their label.

    Attributes:
        value: from 0.5, says nothing, to 1.
        rarer: how many rows the rarer class has.
        commoner: how many the other one has.
    """

    value: float
    rarer: int
    commoner: int

    @property
    def error(self) -> float:
        """The standard error, with the rarer class as the one that is looked for (Hanley and McNeil 1982, formulas 1 and 2)."""
        square = self.value**2
        two_rare, two_common = self.value / (2 - self.value) - square, 2 * square / (1 + self.value) - square
        spread = self.value - square + (self.rarer - 1) * two_rare + (self.commoner - 1) * two_common
        return math.sqrt(spread / (self.rarer * self.commoner))

    def above(self, limit: float) -> bool:
        """Whether it is more than plausible, and not by the chance of few rows."""
        sure = self.value if self.rarer >= ENOUGH_ROWS else self.value - Z * self.error
        return sure > limit


def single_feature_aucs(rows: pl.DataFrame, features: Sequence[Feature]) -> dict[str, Auc | None]:
    """The best AUC that each feature reaches alone, in whichever direction.

    A number is taken as it is, with missing values left out, below all others, and above all others: whatever the values say, one
    of the last two tells at least as much as that a value is missing. A word, and a number that may be a code, stands for its
    rate of churn on the rows of the other folds, smoothed; missing is a word like any other. Where there are several snapshots the AUC within
    them counts as well: a figure of today orders the customers of each snapshot well, and the same customer's rows not at all.

    Args:
        rows: rows of a training set: the features, ``churned``, and ``snapshot_s`` where data has time.
        features: the features to compute.

    Returns:
        By feature, the most telling first; None where a class has too few rows to say.
    """
    churned = rows["churned"].to_numpy()
    folds = _folds(churned)
    snapshots = rows["snapshot_s"] if "snapshot_s" in rows.columns and rows["snapshot_s"].n_unique() > 1 else None
    found = {
        feature.name: _most_telling(rows[feature.name], feature.kind, churned, folds, snapshots) for feature in features
    }
    return dict(sorted(found.items(), key=lambda item: 0.0 if item[1] is None else -item[1].value))


def leaking(aucs: Mapping[str, Auc | None], limit: float) -> dict[str, Auc]:
    """The features that tell more of the label than is plausible."""
    return {name: auc for name, auc in aucs.items() if auc is not None and auc.above(limit)}


def not_measured(aucs: Mapping[str, Auc | None]) -> list[str]:
    """The features of which too few rows of a class are there."""
    return [name for name, auc in aucs.items() if auc is None]


def in_words(aucs: Mapping[str, Auc | None], limit: float) -> str:
    """What was found, for people."""
    unknown = not_measured(aucs)
    besides = f"not measured: {', '.join(unknown)}, as fewer than {LEAST_ROWS} rows churned or stayed" if unknown else ""
    measured = {name: auc for name, auc in aucs.items() if auc is not None}
    if told := leaking(measured, limit):
        found = (
            f"{_listed(told)} alone, above {limit:g}: expected no single feature to tell the label; look whether it was written "
            "down after the label, and name it in features.exclude, or raise training.single_feature_auc"
        )
    elif measured:
        found = f"the most telling features are {_listed(dict(list(measured.items())[:SHOWN]))}; allowed up to {limit:g}"
    else:
        return besides
    return f"{found}; {besides}" if besides else found


def _listed(aucs: Mapping[str, Auc]) -> str:
    return ", ".join(
        f"{name} (AUC {auc.value:.3f}" + (f" by {auc.rarer} rows)" if auc.rarer < ENOUGH_ROWS else ")")
        for name, auc in aucs.items()
    )


def _most_telling(
    values: pl.Series, kind: str, churned: Labels, folds: npt.NDArray[np.int64], snapshots: pl.Series | None
) -> Auc | None:
    there = values.is_not_null().to_numpy()
    measured = []
    if kind == "number":
        numbers = values.to_numpy()
        measured.append(_auc(numbers[there], churned[there], either_way=True))
        if snapshots is not None:
            measured.append(_auc_within(numbers[there], churned[there], snapshots.filter(pl.Series(there))))
        if not there.all():
            measured += [_auc(np.where(there, numbers, beyond), churned, either_way=True) for beyond in (-np.inf, np.inf)]
    if kind == "category" or values.n_unique() <= CODES:
        # A rate has one direction: below chance the other folds were only mistaken.
        measured.append(_auc(_rates(values, churned, folds), churned, either_way=False))
    return max((auc for auc in measured if auc is not None), key=lambda auc: (auc.value, auc.rarer), default=None)


def _folds(churned: Labels) -> npt.NDArray[np.int64]:
    """A fold for each row, with equal shares of each class."""
    folds = np.empty(churned.size, dtype=np.int64)
    for one in (churned, ~churned):
        folds[one] = np.arange(one.sum()) % FOLDS
    return folds


def _rates(values: pl.Series, churned: Labels, folds: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Each row's rate of churn by its value, learned on the other folds; the mean rate where they lack the value."""
    rows = pl.DataFrame({"value": values, "fold": folds, "churned": churned})
    counts = rows.group_by("value", "fold").agg(left=pl.col("churned").sum().cast(pl.Int64), rows=pl.len().cast(pl.Int64))
    elsewhere = (pl.sum(name).over("value") - pl.col(name) for name in ("left", "rows"))
    rates = counts.with_columns(elsewhere).select(
        "value", "fold", rate=(pl.col("left") + PRIOR_ROWS * float(churned.mean())) / (pl.col("rows") + PRIOR_ROWS)
    )
    return rows.join(rates, on=["value", "fold"], how="left", nulls_equal=True, maintain_order="left")["rate"].to_numpy()


def _auc(scores: npt.NDArray[np.float64], churned: Labels, *, either_way: bool) -> Auc | None:
    """AUC by ranks (Hanley and McNeil 1982), at least that of chance; none where there are too few rows of a class."""
    positive = int(churned.sum())
    rarer, commoner = sorted((positive, churned.size - positive))
    if rarer < LEAST_ROWS:
        return None
    ranks = stats.rankdata(scores)
    auc = float((ranks[churned].sum() - positive * (positive + 1) / 2) / (rarer * commoner))
    return Auc(max(auc, 1 - auc if either_way else CHANCE), rarer, commoner)


def _auc_within(scores: npt.NDArray[np.float64], churned: Labels, snapshots: pl.Series) -> Auc | None:
    """The AUC over pairs of rows of one snapshot, in the better direction; none where a class has too few rows to be taken at its word."""
    rarer, commoner = sorted((int(churned.sum()), int((~churned).sum())))
    if rarer < ENOUGH_ROWS:
        return None
    rows = pl.DataFrame({"score": scores, "churned": churned, "snapshot": snapshots})
    left, stayed = pl.col("churned").sum().cast(pl.Float64), (~pl.col("churned")).sum().cast(pl.Float64)
    of_each = (
        rows.with_columns(rank=pl.col("score").rank().over("snapshot"))
        .group_by("snapshot")
        .agg(
            above=pl.col("rank").filter("churned").sum() - left * (left + 1) / 2,
            pairs=left * stayed,
        )
    )
    auc = float(np.sum(of_each["above"].to_numpy()) / np.sum(of_each["pairs"].to_numpy()))
    return Auc(max(auc, 1 - auc), rarer, commoner)
