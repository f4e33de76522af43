"""Drift of a window against the release's reference: which features moved, and whether that matters.

A feature has drifted in a window if two conditions hold. A test says so after correction for the number of judged features
(Benjamini and Hochberg 1995). And the move is material: its bias-corrected population stability index (PSI) exceeds both the
configured effect and the PSI that nearly all training snapshots showed among each other. Numbers are tested twice, by
Kolmogorov-Smirnov on the present values and by chi-square on the share that is missing; categories once, by chi-square. An alert
needs several of the newest windows to agree. Features that move with time alone, and the model's score, are shown but not judged.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_assets.settings.monitoring import Monitoring
from churn_store.errors import InputError
from churn_store.model.psi import population_stability_index
from churn_store.model.signature import MISSING_CATEGORY, Column

BINS = 10
LEAST_ROWS = 100
"""The least number of rows of a window or training snapshot that is judged."""

USUAL_SHARE = 0.9
"""The share of training snapshots whose move from the others counts as usual; the rest may have been odd themselves."""

MOST_ALLOWED = 0.5
"""The upper limit of the usual PSI: a greater one matters whatever the training snapshots did, unless the configured effect is
greater still."""


@dataclass(frozen=True)
class FeatureDrift:
    """How a feature moved in a window.

    Attributes:
        p_value: p value of the test, corrected for the number of judged features if the feature is judged.
        psi: bias-corrected population stability index.
        allowed: PSI up to which a move does not matter.
        judged: whether the feature is judged, and not only shown.
        drifted: whether it is judged and has moved materially.
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
        windows: drift of the features by window, newest last; empty for a window with too few rows.
        needed: number of windows that must agree.
        agreeing: names of the features that drifted in at least so many windows.
    """

    windows: dict[str, list[FeatureDrift]]
    needed: int
    agreeing: tuple[str, ...]

    @property
    def alert(self) -> bool:
        """Whether retraining should be considered."""
        return bool(self.agreeing)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """The windows with too few rows."""
        return tuple(name for name, rows in self.windows.items() if not rows)

    @property
    def judged(self) -> bool:
        """Whether the absence of an alert means no drift: the newest window was judged, and ``needed`` windows in all."""
        newest = list(self.windows)[-1]
        return newest not in self.unjudged and len(self.windows) - len(self.unjudged) >= self.needed

    @property
    def verdict(self) -> str:
        """The verdict in words, with the names of windows with too few rows."""
        count = len(self.windows) - len(self.unjudged)
        few = f"; not judged, with fewer than {LEAST_ROWS} rows: {', '.join(self.unjudged)}" if self.unjudged else ""
        if self.judged or self.alert:
            return f"{', '.join(self.agreeing) or 'no feature'} drifted in at least {self.needed} of {count} judged windows{few}"
        return (
            f"not judged: the newest window and {self.needed} in all must have {LEAST_ROWS} rows; of "
            f"{', '.join(self.windows)} {', '.join(self.unjudged) or 'none'} have fewer"
        )


def require_columns(windows: Mapping[str, pl.DataFrame], columns: Sequence[Column]) -> None:
    """Refuse windows that can't be compared.

    Raises:
        InputError: if a window lacks a column that the release was trained on.
    """
    for name, rows in windows.items():
        if lacking := [column.name for column in columns if column.name not in rows.columns]:
            raise InputError(
                f"customer_features {name} has no {', '.join(lacking)}, which the serving release was trained on; train and "
                "release a model of the present features first"
            )


def judge_windows(
    reference: pl.DataFrame,
    windows: Mapping[str, pl.DataFrame],
    columns: Sequence[Column],
    shown: Collection[str],
    rule: Monitoring,
) -> Drift:
    """Compare the newest windows with the reference.

    A window with too few rows has no vote; an alert still needs the votes of ``rule.agreeing`` others. Data without time has one
    window, which decides alone.

    Args:
        reference: training rows with the columns, and with ``snapshot_s`` where the data has time.
        windows: rows by period key, in the order of time, each frame with the columns. The newest ``rule.windows`` count.
        columns: columns to compare.
        shown: names of columns that are compared but not judged.
        rule: bounds of the drift rule.
    """
    allowed = {column.name: allowed_psi(reference, column, rule.effect) for column in columns}
    newest = list(windows)[-rule.windows :]
    compared = {name: _window(reference, windows[name], columns, allowed, shown, rule) for name in newest}
    needed = rule.agreeing if "snapshot_s" in reference.columns else 1
    votes = Counter(row.feature for rows in compared.values() for row in rows if row.drifted)
    return Drift(compared, needed, tuple(column.name for column in columns if votes[column.name] >= needed))


def psi(reference: pl.Series, window: pl.Series, column: Column) -> float:
    """The population stability index over deciles of the reference, or over categories. Missing values are a bin of their own.

    Returns:
        About 0 without drift; can be slightly negative.
    """
    return population_stability_index(*_counts(reference, window, column))


def p_value(reference: pl.Series, window: pl.Series, column: Column) -> float:
    """The p value of the hypothesis that both samples come from one distribution.

    A category is tested by chi-square, with missing as a word of its own. A number is tested by Kolmogorov-Smirnov on the present
    values and by chi-square on the share that is missing; the smaller p value counts, doubled if there are two (Bonferroni).
    """
    if column.kind == "category":
        return _chi_square(*_counts(reference, window, column))
    left, right = reference.drop_nulls().to_numpy(), window.drop_nulls().to_numpy()
    tests = []
    if left.size and right.size:
        tests.append(float(scipy.stats.ks_2samp(left, right, method="asymp").pvalue))
    if reference.null_count() or window.null_count():
        gaps = [
            np.array([side.len() - side.null_count(), side.null_count()], dtype=np.float64) for side in (reference, window)
        ]
        tests.append(_chi_square(*gaps))
    return min(1.0, len(tests) * min(tests))


def allowed_psi(reference: pl.DataFrame, column: Column, effect: float) -> float:
    """The PSI up to which a move does not matter: the effect, or more if seasons and growth alone cause more.

    The usual PSI is the one that all but the oddest tenth of the training snapshots (at least one of them) did not exceed, each
    against the others. It is capped at ``MOST_ALLOWED``: one broken month must not switch the judging of a feature off.
    """
    if "snapshot_s" not in reference.columns:
        return effect
    moves = []
    for snapshot in reference["snapshot_s"].unique().sort():
        inside = reference["snapshot_s"] == snapshot
        one, rest = reference.filter(inside), reference.filter(~inside)
        if min(one.height, rest.height) >= LEAST_ROWS:
            moves.append(psi(rest[column.name], one[column.name], column))
    usual = float(np.quantile(moves, USUAL_SHARE, method="lower")) if moves else 0.0
    return max(effect, min(usual, MOST_ALLOWED))


def _window(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    columns: Sequence[Column],
    allowed: Mapping[str, float],
    shown: Collection[str],
    rule: Monitoring,
) -> list[FeatureDrift]:
    if window.height < LEAST_ROWS:
        return []
    p_values = {column.name: p_value(reference[column.name], window[column.name], column) for column in columns}
    judged = [column.name for column in columns if column.name not in shown]
    if judged:
        corrected = scipy.stats.false_discovery_control([p_values[name] for name in judged], method="bh")
        p_values |= dict(zip(judged, corrected.tolist(), strict=True))
    drifts = []
    for column in columns:
        name, moved = column.name, psi(reference[column.name], window[column.name], column)
        matters = p_values[name] < rule.significance and moved > allowed[name]
        drifts.append(FeatureDrift(name, p_values[name], moved, allowed[name], name in judged, name in judged and matters))
    return drifts


def _chi_square(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    table = np.vstack([left, right])
    table = table[:, table.sum(axis=0) > 0]
    return 1.0 if table.shape[1] < 2 else float(scipy.stats.chi2_contingency(table).pvalue)  # noqa: PLR2004


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
