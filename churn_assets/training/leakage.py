"""Leaks that one feature alone reveals: a feature that nearly tells the label was most likely recorded after it.

Belongs here: how well each single feature orders the rows of a training set by their label. Does not belong here: whether a
whole model is implausibly good (``champion.gate``), and names that tell the label (``features.protected_attributes``).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.features.feature import Feature

LEAST_ROWS = 5
"""Least number of rows of each class for a measurement: chance puts 5 rows of 100 above all others once in 75 million times."""

ENOUGH_ROWS = 50
"""Least number of rows of each class to judge by the AUC itself; with fewer its lower bound is judged, as the AUC may be high by chance."""

Z = 1.645
"""Standard errors between an AUC and its lower bound: of 20 bounds, 19 lie below the true AUC."""

CODES = 100
"""Greatest number of different values of a number that may be a code, whose order has no meaning."""

FOLDS = 5
"""Number of folds; the churn rate of a category is estimated on all folds but the one that is measured."""

PRIOR_ROWS = 10
"""Weight of the mean, in rows, that the churn rate of a category is shrunk to."""

SHOWN = 5
"""Number of features that the sentence names when none is a leak."""

CHANCE = 0.5
"""The AUC of a random order."""

Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Auc:
    """How well a feature alone orders rows by their label.

    Attributes:
        value: AUC, from 0.5 (a random order) to 1.
        rarer: number of rows of the minority class.
        commoner: number of rows of the majority class.
    """

    value: float
    rarer: int
    commoner: int

    @property
    def error(self) -> float:
        """The standard error, with the minority class as the positive one (Hanley and McNeil 1982, formulas 1 and 2)."""
        square = self.value**2
        two_rare, two_common = self.value / (2 - self.value) - square, 2 * square / (1 + self.value) - square
        spread = self.value - square + (self.rarer - 1) * two_rare + (self.commoner - 1) * two_common
        return math.sqrt(spread / (self.rarer * self.commoner))

    def above(self, limit: float) -> bool:
        """Whether it is above a limit; with few rows, whether its lower bound is."""
        judged = self.value if self.rarer >= ENOUGH_ROWS else self.value - Z * self.error
        return judged > limit


def single_feature_aucs(rows: pl.DataFrame, features: Sequence[Feature]) -> dict[str, Auc | None]:
    """The best AUC that each feature reaches alone, in either direction.

    A number is ranked three times: without its missing values, with them below all others, and with them above all others. So a leak by
    the mere absence of a value is found too. A category, and a number that may be a code, is ranked by its smoothed churn rate on the rows
    of the other folds; a missing value is a category of its own. If there are several snapshots, the AUC within snapshots counts as well:
    a value that was filled in later orders the customers of each snapshot, but not the rows of one customer.

    Args:
        rows: rows of a training set: the features, ``churned``, and ``snapshot_s`` where data has time.
        features: features to measure.

    Returns:
        AUC by feature, the largest first; `None` where a class has too few rows.
    """
    churned = rows["churned"].to_numpy()
    folds = _folds(churned)
    snapshots = rows["snapshot_s"] if "snapshot_s" in rows.columns and rows["snapshot_s"].n_unique() > 1 else None
    aucs = {feature.name: _largest_auc(rows[feature.name], feature.kind, churned, folds, snapshots) for feature in features}
    return dict(sorted(aucs.items(), key=lambda item: 0.0 if item[1] is None else -item[1].value))


def leaking(aucs: Mapping[str, Auc | None], limit: float) -> dict[str, Auc]:
    """The features whose AUC is above the limit."""
    return {name: auc for name, auc in aucs.items() if auc is not None and auc.above(limit)}


def not_measured(aucs: Mapping[str, Auc | None]) -> list[str]:
    """The features with too few rows of a class for a measurement."""
    return [name for name, auc in aucs.items() if auc is None]


def in_words(aucs: Mapping[str, Auc | None], limit: float) -> str:
    """The result for people, in one sentence."""
    unmeasured = not_measured(aucs)
    remark = (
        f"not measured: {', '.join(unmeasured)}, as fewer than {LEAST_ROWS} rows churned or stayed" if unmeasured else ""
    )
    measured = {name: auc for name, auc in aucs.items() if auc is not None}
    if leaks := leaking(measured, limit):
        sentence = (
            f"{_listed(leaks)} alone, above {limit:g}: expected no single feature to tell the label; look whether it was written "
            "down after the label, and name it in features.exclude, or raise training.single_feature_auc"
        )
    elif measured:
        sentence = f"the most telling features are {_listed(dict(list(measured.items())[:SHOWN]))}; allowed up to {limit:g}"
    else:
        return remark
    return f"{sentence}; {remark}" if remark else sentence


def _listed(aucs: Mapping[str, Auc]) -> str:
    return ", ".join(
        f"{name} (AUC {auc.value:.3f}" + (f" by {auc.rarer} rows)" if auc.rarer < ENOUGH_ROWS else ")")
        for name, auc in aucs.items()
    )


def _largest_auc(
    values: pl.Series, kind: str, churned: Labels, folds: npt.NDArray[np.int64], snapshots: pl.Series | None
) -> Auc | None:
    present = values.is_not_null().to_numpy()
    aucs = []
    if kind == "number":
        numbers = values.to_numpy()
        aucs.append(_auc(numbers[present], churned[present], either_way=True))
        if snapshots is not None:
            aucs.append(_auc_within(numbers[present], churned[present], snapshots.filter(pl.Series(present))))
        if not present.all():
            aucs += [_auc(np.where(present, numbers, beyond), churned, either_way=True) for beyond in (-np.inf, np.inf)]
    if kind == "category" or values.n_unique() <= CODES:
        # A rate has one direction: an AUC below chance is an error of the other folds, not a reversed leak.
        aucs.append(_auc(_rates(values, churned, folds), churned, either_way=False))
    return max((auc for auc in aucs if auc is not None), key=lambda auc: (auc.value, auc.rarer), default=None)


def _folds(churned: Labels) -> npt.NDArray[np.int64]:
    """A fold for each row, with equal shares of each class."""
    folds = np.empty(churned.size, dtype=np.int64)
    for of_class in (churned, ~churned):
        folds[of_class] = np.arange(of_class.sum()) % FOLDS
    return folds


def _rates(values: pl.Series, churned: Labels, folds: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The churn rate of each row's value, estimated on the other folds; the mean rate if the value is not in them."""
    rows = pl.DataFrame({"value": values, "fold": folds, "churned": churned})
    counts = rows.group_by("value", "fold").agg(left=pl.col("churned").sum().cast(pl.Int64), rows=pl.len().cast(pl.Int64))
    elsewhere = (pl.sum(name).over("value") - pl.col(name) for name in ("left", "rows"))
    rates = counts.with_columns(elsewhere).select(
        "value", "fold", rate=(pl.col("left") + PRIOR_ROWS * float(churned.mean())) / (pl.col("rows") + PRIOR_ROWS)
    )
    return rows.join(rates, on=["value", "fold"], how="left", nulls_equal=True, maintain_order="left")["rate"].to_numpy()


def _auc(scores: npt.NDArray[np.float64], churned: Labels, *, either_way: bool) -> Auc | None:
    """AUC by ranks (Hanley and McNeil 1982), at least 0.5; `None` if a class has too few rows."""
    positive = int(churned.sum())
    rarer, commoner = sorted((positive, churned.size - positive))
    if rarer < LEAST_ROWS:
        return None
    ranks = scipy.stats.rankdata(scores)
    auc = float((ranks[churned].sum() - positive * (positive + 1) / 2) / (rarer * commoner))
    return Auc(max(auc, 1 - auc if either_way else CHANCE), rarer, commoner)


def _auc_within(scores: npt.NDArray[np.float64], churned: Labels, snapshots: pl.Series) -> Auc | None:
    """The AUC over pairs of rows of one snapshot, in the better direction; `None` if a class has fewer than ``ENOUGH_ROWS`` rows."""
    rarer, commoner = sorted((int(churned.sum()), int((~churned).sum())))
    if rarer < ENOUGH_ROWS:
        return None
    rows = pl.DataFrame({"score": scores, "churned": churned, "snapshot": snapshots})
    left, stayed = pl.col("churned").sum().cast(pl.Float64), (~pl.col("churned")).sum().cast(pl.Float64)
    by_snapshot = (
        rows.with_columns(rank=pl.col("score").rank().over("snapshot"))
        .group_by("snapshot")
        .agg(
            above=pl.col("rank").filter("churned").sum() - left * (left + 1) / 2,
            pairs=left * stayed,
        )
    )
    auc = float(np.sum(by_snapshot["above"].to_numpy()) / np.sum(by_snapshot["pairs"].to_numpy()))
    return Auc(max(auc, 1 - auc), rarer, commoner)
