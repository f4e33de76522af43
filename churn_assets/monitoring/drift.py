"""Drift of a window against the release's reference: which features moved, and whether that matters.

A feature has drifted in a window if a test says so after correction for the number of features (Kolmogorov-Smirnov for
numbers, chi-square for categories; Benjamini and Hochberg 1995) *and* the move is material: its bias-corrected population
stability index exceeds both the configured effect and what the training snapshots themselves showed among each other.
Several of the newest windows must agree before it is an alert. Features that only grow are shown, not judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from churn_assets.settings import Monitoring
from churn_store.errors import InputError
from churn_store.signature import MISSING_CATEGORY, Column

BINS = 10
LEAST_ROWS = 100
"""A window or a historical snapshot with fewer rows is not judged."""


@dataclass(frozen=True)
class FeatureDrift:
    """How a feature moved in a window.

    Attributes:
        p_value: of the test, corrected for the number of features.
        psi: bias-corrected population stability index.
        allowed: the PSI up to which a move does not matter.
        judged: whether the feature counts; one that only grows does not.
    """

    feature: str
    p_value: float
    psi: float
    allowed: float
    judged: bool
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """The verdict on the newest windows.

    Attributes:
        windows: the features' drift by window, newest last.
        agreeing: features that drifted in enough of the windows, by name.
        alert: whether there is any.
    """

    windows: dict[str, list[FeatureDrift]]
    agreeing: tuple[str, ...]

    @property
    def alert(self) -> bool:
        """Whether retraining should be considered."""
        return bool(self.agreeing)


def judge_windows(
    reference: pl.DataFrame,
    windows: dict[str, pl.DataFrame],
    columns: Sequence[Column],
    grows: Sequence[str],
    rule: Monitoring,
) -> Drift:
    """Compare windows with the reference.

    Args:
        reference: training rows: the columns, and ``snapshot_s`` where data has time.
        windows: by period key, in the order of time, newest last.
        columns: what is compared.
        grows: names of features that only grow.
        rule: the bounds.

    A window with too few rows is not judged and gives no vote, so fewer than ``rule.agreeing`` judged windows are no alert.
    Data without time has one window, which decides alone.

    Raises:
        InputError: a window lacks a column that the reference has.
    """
    for name, rows in windows.items():
        if lacking := [column.name for column in columns if column.name not in rows.columns]:
            raise InputError(
                f"customer_features {name} has no {', '.join(lacking)}, which the serving release was trained on; train and "
                "release a model of the present features first"
            )
    allowed = {column.name: max(rule.effect, _natural_psi(reference, column)) for column in columns}
    judged = {name: _window(reference, rows, columns, allowed, grows, rule) for name, rows in windows.items()}
    newest = list(judged)[-rule.windows :]
    needed = rule.agreeing if "snapshot_s" in reference.columns else 1
    votes = {
        column.name: sum(row.drifted for key in newest for row in judged[key] if row.feature == column.name)
        for column in columns
    }
    return Drift(judged, tuple(name for name, count in votes.items() if count >= needed))


def psi(reference: pl.Series, window: pl.Series, column: Column) -> float:
    """Population stability index over deciles of the reference (or its categories), less its bias under no drift.

    Under no drift its expectation is about ``(bins - 1) (1/n + 1/m)``, by the chi-square argument (Yurdakul 2018), which is
    subtracted. Missing values are a bin of their own. An empty bin counts as half a row.

    Returns:
        0 or about 0 without drift; can be slightly negative.
    """
    left, right = _counts(reference, window, column)
    n, m = left.sum(), right.sum()
    occupied = (left + right) > 0
    p = np.maximum(left[occupied], 0.5) / n
    q = np.maximum(right[occupied], 0.5) / m
    bias = (occupied.sum() - 1) * (1 / n + 1 / m)
    return float(np.sum((q - p) * np.log(q / p)) - bias)


def p_value(reference: pl.Series, window: pl.Series, column: Column) -> float:
    """Of the hypothesis that both come from one distribution: Kolmogorov-Smirnov, or chi-square for categories."""
    if column.kind == "category":
        table = np.vstack(_counts(reference, window, column))
        table = table[:, table.sum(axis=0) > 0]
        return 1.0 if table.shape[1] < 2 else float(stats.chi2_contingency(table).pvalue)  # noqa: PLR2004
    left, right = reference.drop_nulls().to_numpy(), window.drop_nulls().to_numpy()
    if left.size == 0 or right.size == 0:
        return 1.0 if left.size == right.size else 0.0
    return float(stats.ks_2samp(left, right, method="asymp").pvalue)


def _window(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    columns: Sequence[Column],
    allowed: dict[str, float],
    grows: Sequence[str],
    rule: Monitoring,
) -> list[FeatureDrift]:
    if window.height < LEAST_ROWS:
        return []
    raw = [p_value(reference[column.name], window[column.name], column) for column in columns]
    corrected = stats.false_discovery_control(raw, method="bh")
    found = []
    for column, p in zip(columns, corrected, strict=True):
        effect = psi(reference[column.name], window[column.name], column)
        judged = column.name not in grows
        moved = judged and p < rule.significance and effect > allowed[column.name]
        found.append(FeatureDrift(column.name, float(p), effect, allowed[column.name], judged, moved))
    return found


def _natural_psi(reference: pl.DataFrame, column: Column) -> float:
    """The greatest PSI of one training snapshot against the others: what seasons and growth alone do."""
    if "snapshot_s" not in reference.columns:
        return 0.0
    found = [0.0]
    for snapshot in reference["snapshot_s"].unique().sort():
        inside = reference["snapshot_s"] == snapshot
        one, rest = reference.filter(inside), reference.filter(~inside)
        if min(one.height, rest.height) >= LEAST_ROWS:
            found.append(psi(rest[column.name], one[column.name], column))
    return max(found)


def _counts(
    reference: pl.Series, window: pl.Series, column: Column
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if column.kind == "category":
        left, right = (side.fill_null(MISSING_CATEGORY).to_numpy().astype(str) for side in (reference, window))
        words = np.unique(np.concatenate([left, right]))
        return _tally(np.searchsorted(words, left), words.size), _tally(np.searchsorted(words, right), words.size)
    present = reference.drop_nulls().to_numpy()
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])) if present.size else np.empty(0)

    def binned(side: pl.Series) -> npt.NDArray[np.float64]:
        values = side.drop_nulls().to_numpy()
        tally = _tally(np.searchsorted(edges, values, side="left"), edges.size + 1)
        return np.append(tally, side.null_count())

    return binned(reference), binned(window)


def _tally(codes: npt.NDArray[np.intp], size: int) -> npt.NDArray[np.float64]:
    return np.bincount(codes, minlength=size).astype(np.float64)
