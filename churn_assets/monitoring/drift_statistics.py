"""The statistics of one column's move from the baseline to a window: tests, distances, moments.

Belongs here: the formulas, and which of them a kind of column has. A statistic that can't be computed is ``None``, never NaN. Does not
belong here: which move matters (``drift_cuts``) and what follows from it (``drift``).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from churn_store.model.psi import Tally, population_stability_index
from churn_store.model.signature import MISSING_CATEGORY, Column

BINS = 10
"""Bins of a number: tenths of the baseline's rows, fewer where values repeat. Missing values are a bin of their own."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A column of some rows.

    Attributes:
        present: values of a number, ascending, without the missing ones; empty for a category.
        words: words of a category, with the missing ones as a word; empty for a number.
        missing: number of rows without a value.
    """

    present: Values
    words: npt.NDArray[np.str_]
    missing: int

    @classmethod
    def of(cls, rows: pl.Series, column: Column) -> Self:
        """The column of a frame. What is no finite number counts as missing."""
        if column.kind == "category":
            words = rows.cast(pl.String).fill_null(MISSING_CATEGORY).to_numpy().astype(np.str_)
            return cls(np.empty(0), words, int((words == MISSING_CATEGORY).sum()))
        values = rows.cast(pl.Float64)
        present = values.filter(values.is_finite())
        return cls(np.sort(present.to_numpy()), np.empty(0, dtype=np.str_), rows.len() - present.len())

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.words.size or self.present.size + self.missing

    @property
    def missing_share(self) -> float | None:
        """Share of the rows without a value; ``None`` without rows."""
        return self.missing / self.rows if self.rows else None

    @cached_property
    def mean(self) -> float | None:
        """Mean of the present values."""
        return float(self.present.mean()) if self.present.size else None

    @cached_property
    def variance(self) -> float | None:
        """Variance of the present values; ``None`` with fewer than two."""
        return float(self.present.var(ddof=1)) if self.present.size > 1 else None

    @property
    def is_constant(self) -> bool:
        """Whether all rows say the same, or none says anything."""
        if self.words.size:
            return bool((self.words == self.words[0]).all())
        spread = bool(self.present.size) and self.present[0] != self.present[-1]
        return not spread and not (self.present.size and self.missing)


@dataclass(frozen=True)
class Moments:
    """What is shown of a move beside the rule's own figures; see ``FeatureMove`` for each."""

    ks: float | None
    welch_t: float | None
    wasserstein: float | None
    chi_square: float | None
    jensen_shannon: float
    mean_shift: float | None


class Bins:
    """The bins of a column, from the baseline: tenths of a number, words of a category.

    A number's bins are half open, ``(low, high]``. A value that many rows share has a bin up to itself. Values below and above a baseline that has only
    one value are bins of their own, and so are all words that the baseline does not have, together.

    Args:
        baseline: column of the baseline, at least one row.
        column: name and kind.
    """

    def __init__(self, baseline: Sample, column: Column) -> None:
        self._words = np.unique(baseline.words) if column.kind == "category" else None
        present = baseline.present
        if present.size and present[0] == present[-1]:
            self._edges = np.array([np.nextafter(present[0], -np.inf), present[0]])
        elif present.size:
            self._edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
        else:
            self._edges = np.empty(0)

    @property
    def count(self) -> int:
        """Number of bins."""
        return self._edges.size + 2 if self._words is None else self._words.size + 1

    def tally(self, sample: Sample) -> Tally:
        """Number of rows in each bin."""
        if self._words is not None:
            place = np.minimum(np.searchsorted(self._words, sample.words), self._words.size - 1)
            codes = np.where(self._words[place] == sample.words, place, self._words.size)
            return np.bincount(codes, minlength=self.count).astype(np.float64)
        upto = np.searchsorted(sample.present, self._edges, side="right")
        return np.diff(np.concatenate([[0], upto, [sample.present.size, sample.rows]])).astype(np.float64)


def p_value(before: Sample, now: Sample, tallies: tuple[Tally, Tally]) -> float:
    """The p value of the hypothesis that both samples come from one distribution.

    A category is tested by chi-square, with missing as a word of its own. A number is tested by Kolmogorov-Smirnov on the present
    values and by chi-square on the share that is missing; the smaller p value counts, doubled if there are two (Bonferroni).

    Args:
        before: baseline.
        now: window.
        tallies: rows of both in the bins.
    """
    if before.words.size:
        return _chi_square(np.vstack(tallies))[1]
    tests = []
    if before.present.size and now.present.size:
        tests.append(_ks_p_value(_ks(before.present, now.present), before.present.size, now.present.size))
    if before.missing or now.missing:
        gaps = [[side.present.size, side.missing] for side in (before, now)]
        tests.append(_chi_square(np.array(gaps, dtype=np.float64))[1])
    return min(1.0, len(tests) * min(tests))


def moments(before: Sample, now: Sample, tallies: tuple[Tally, Tally]) -> Moments:
    """The statistics that are shown.

    Chi-square is Pearson's statistic of the two tallies of a category; of a number, of its present and missing rows, where some are
    missing. The Jensen-Shannon distance is that of the tallies, which have missing values as a bin.
    """
    distance = jensen_shannon(*tallies)
    if before.words.size:
        statistic, _ = _chi_square(np.vstack(tallies))
        return Moments(None, None, None, statistic, distance, None)
    gaps = np.array([[side.present.size, side.missing] for side in (before, now)], dtype=np.float64)
    chi_square = _chi_square(gaps)[0] if gaps[:, 1].any() else None
    if not before.present.size or not now.present.size:
        return Moments(None, None, None, chi_square, distance, None)
    return Moments(
        ks=_ks(before.present, now.present),
        welch_t=_welch_t(before, now),
        wasserstein=_wasserstein(before, now),
        chi_square=chi_square,
        jensen_shannon=distance,
        mean_shift=_mean_shift(before, now),
    )


def jensen_shannon(before: Tally, now: Tally) -> float:
    """The Jensen-Shannon distance of two tallies: the root of the divergence with logarithms to base 2 (Lin 1991), from 0 to 1."""
    p, q = before / before.sum(), now / now.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), 0.0).sum() for side in (p, q)]
    return float(np.sqrt(min(1.0, max(0.0, sum(parts) / 2))))


def corrected(p_values: Values) -> Values:
    """P values corrected for their number by Benjamini and Hochberg (1995), along the last axis."""
    if not p_values.size:
        return p_values
    return np.asarray(scipy.stats.false_discovery_control(p_values, axis=-1, method="bh"))


def wasserstein(before: Values, now: Values) -> float:
    """The Wasserstein distance of two samples, both ascending and not empty: the area between their distribution functions."""
    values = np.sort(np.concatenate([before, now]), kind="stable")
    shares = [np.searchsorted(side, values[:-1], side="right") / side.size for side in (before, now)]
    return float((np.abs(shares[0] - shares[1]) * np.diff(values)).sum())


def psi(reference: pl.Series, window: pl.Series, column: Column) -> float:
    """The bias-corrected population stability index of a column of two frames, at least one row each.

    Returns:
        About 0 without drift; can be slightly negative.
    """
    before, now = Sample.of(reference, column), Sample.of(window, column)
    bins = Bins(before, column)
    return population_stability_index(bins.tally(before), bins.tally(now))


def _ks(before: Values, now: Values) -> float:
    """The greatest distance of the two empirical distribution functions; both ascending and not empty."""
    after, until = (np.searchsorted(before, now, side=side) / before.size for side in ("right", "left"))
    own_after = np.searchsorted(now, now, side="right") / now.size
    own_until = np.searchsorted(now, now, side="left") / now.size
    return float(max(np.abs(after - own_after).max(), np.abs(until - own_until).max()))


def _ks_p_value(distance: float, before: int, now: int) -> float:
    """Its p value by Kolmogorov's limit, with Stephens' correction (1970) for samples of few rows."""
    root = np.sqrt(before * now / (before + now))
    return float(scipy.special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _welch_t(before: Sample, now: Sample) -> float | None:
    if before.mean is None or now.mean is None or before.variance is None or now.variance is None:
        return None
    error = np.sqrt(before.variance / before.present.size + now.variance / now.present.size)
    return float((now.mean - before.mean) / error) if error > 0 else None


def _wasserstein(before: Sample, now: Sample) -> float | None:
    if not before.variance:
        return None
    return float(wasserstein(before.present, now.present) / np.sqrt(before.variance))


def _mean_shift(before: Sample, now: Sample) -> float | None:
    return (now.mean - before.mean) / abs(before.mean) if before.mean and now.mean is not None else None


def _chi_square(table: npt.NDArray[np.float64]) -> tuple[float | None, float]:
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:  # noqa: PLR2004
        return None, 1.0
    tested = scipy.stats.chi2_contingency(table)
    return float(tested.statistic), float(tested.pvalue)
