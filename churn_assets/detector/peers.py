"""Others' drift rules by their published statistics and bounds, on the same windows.

None is the other's program; Evidently's is checked against it. Each looks at one window by itself. Belongs here: their rules. Does not belong here:
ours (``moves``).
"""

from typing import Final

import numpy as np
import scipy

from churn_assets.detector.replays import Year
from churn_assets.monitoring.drift_statistics import Sample, jensen_shannon, p_value, wasserstein
from churn_store.model.psi import Tally

SMALL_REFERENCE = 1_000
"""Evidently tests references of up to so many rows, and measures distances from larger ones."""

FEW_VALUES = 5
TWO_VALUES = 2
DISTANCE = 0.1
SIGNIFICANCE = 0.05
EVIDENTLY_SHARE = 0.5
CLASSIC_PSI = 0.2
MEAN_SHIFT = 0.3

COLUMN_RULES: Final[tuple[str, ...]] = ("Evidently", "NannyML", "PSI >= 0.2", "KS p < 0.05", "mean shift > 30 %")
"""The rules for one column, in the order of ``Peers.of_column``."""

WINDOW_RULES: Final = tuple(["Evidently, half of the columns"] + [f"{rule}, any column" for rule in COLUMN_RULES])
"""The rules for a window, in the order of ``Peers.of_window``."""


class PeerColumn:
    """A column of the reference, as others' rules prepare it: missing values are left out.

    Args:
        before: column of the reference.
    """

    def __init__(self, before: Sample) -> None:
        self.before = before
        self.words, self.counts = np.unique(before.words[before.words != ""], return_counts=True)
        self.distinct = np.unique(before.present)
        self.deviation = max(float(np.std(before.present)), 0.001) if before.present.size else 0.001
        self.edges = np.histogram_bin_edges(before.present, bins="doane") if before.present.size else np.empty(0)
        self.histogram = np.histogram(before.present, bins=self.edges)[0] if before.present.size else np.empty(0)

    @property
    def size(self) -> int:
        """Number of present values."""
        return int(self.counts.sum()) if self.words.size else self.before.present.size

    def is_evidently_drift(self, now: Sample) -> bool:
        """Whether Evidently's default calls it drifted (its documentation: "Data drift algorithm").

        Small references are tested: numbers by Kolmogorov-Smirnov, columns of few values by chi-square, of two by a test of the share. From
        large ones the Wasserstein distance in standard deviations is measured, or of few values and of words the Jensen-Shannon distance with
        natural logarithms.
        """
        few = self._few(now)
        if not self.size or now.rows == now.missing:
            return False
        if few is not None:
            if self.size > SMALL_REFERENCE:
                return jensen_shannon(*few) * float(np.sqrt(np.log(2))) >= DISTANCE
            return few[0].size > 1 and _few_p(*few) < SIGNIFICANCE
        if self.size <= SMALL_REFERENCE:
            return bool(scipy.stats.ks_2samp(self.before.present, now.present).pvalue < SIGNIFICANCE)
        return wasserstein(self.before.present, now.present) / self.deviation >= DISTANCE

    def is_nannyml_drift(self, now: Sample) -> bool:
        """Whether NannyML's univariate default calls it drifted: a Jensen-Shannon distance above 0.1 (its documentation).

        A number's bins are those of Doane over the reference, what lies outside is one more; of words each is a bin.
        """
        if not self.size or now.rows == now.missing:
            return False
        if self.words.size:
            few = self._few(now)
            return few is not None and jensen_shannon(*few) > DISTANCE
        inside = np.histogram(now.present, bins=self.edges)[0]
        tallies = np.append(self.histogram, 0.0), np.append(inside, now.present.size - inside.sum()).astype(np.float64)
        return jensen_shannon(*tallies) > DISTANCE

    def _few(self, now: Sample) -> tuple[Tally, Tally] | None:
        """Tallies by value, for words and for numbers of few values; ``None`` for others."""
        if not self.words.size and self.distinct.size > FEW_VALUES:
            return None
        here = now.words[now.words != ""] if self.words.size else now.present
        known, own = (self.words, self.before.words) if self.words.size else (self.distinct, self.before.present)
        values = np.union1d(known, here)
        if not self.words.size and values.size > FEW_VALUES:
            return None
        own = own[own != ""] if self.words.size else own
        before, after = (np.bincount(np.searchsorted(values, side), minlength=values.size) for side in (own, here))
        return before.astype(np.float64), after.astype(np.float64)


class Peers:
    """Others' rules on the windows of a year.

    Args:
        year: year with its reference.
    """

    def __init__(self, year: Year) -> None:
        self._baseline, self._names = year.baseline, [column.name for column in year.columns]
        self._columns = {name: PeerColumn(year.baseline.samples[name]) for name in self._names}

    def of_window(self, window: dict[str, Sample]) -> list[bool]:
        """Whether each of ``WINDOW_RULES`` calls a window drifted."""
        columns = np.array([self.of_column(name, window[name]) for name in self._names])
        by_any = [bool(rule.any()) for rule in columns.T]
        return [bool(columns[:, 0].mean() >= EVIDENTLY_SHARE), *by_any]

    def of_column(self, name: str, now: Sample) -> list[bool]:
        """Whether each of ``COLUMN_RULES`` calls a column drifted in a window."""
        column = self._columns[name]
        tallies = self._baseline.tallies[name], self._baseline.bins[name].tally(now)
        return [
            column.is_evidently_drift(now),
            column.is_nannyml_drift(now),
            uncorrected_psi(*tallies) >= CLASSIC_PSI,
            not column.words.size and p_value(column.before, now, tallies) < SIGNIFICANCE,
            mean_shifted(column.before, now),
        ]


def uncorrected_psi(before: Tally, now: Tally) -> float:
    """The population stability index as scorecards use it: not less its bias, empty bins as a share of 0.0001."""
    p, q = np.maximum(before / before.sum(), 1e-4), np.maximum(now / now.sum(), 1e-4)
    return float(np.sum((q - p) * np.log(q / p)))


def mean_shifted(before: Sample, now: Sample) -> bool:
    """Whether the mean moved by more than ``MEAN_SHIFT`` of the reference's."""
    if not before.mean or now.mean is None:
        return False
    return abs(now.mean / before.mean - 1) > MEAN_SHIFT


def _few_p(before: Tally, now: Tally) -> float:
    if before.size > TWO_VALUES:
        expected = before / before.sum() * now.sum()
        return float(scipy.stats.chisquare(now, expected).pvalue) if expected.all() else 0.0
    share, other = before[0] / before.sum(), now[0] / now.sum()
    pooled = (before[0] + now[0]) / (before.sum() + now.sum())
    error = np.sqrt(pooled * (1 - pooled) * (1 / before.sum() + 1 / now.sum()))
    return float(2 * scipy.special.ndtr(-abs(share - other) / error)) if error else 1.0
