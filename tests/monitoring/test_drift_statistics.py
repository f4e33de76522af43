"""The statistics of a move are those of scipy and of the textbook, and None where there is nothing to compute."""

import math

import msgspec
import numpy as np
import polars as pl
import pytest
import scipy

from churn_assets.monitoring.drift import FeatureDrift, judge_windows
from churn_assets.monitoring.drift_statistics import Bins, Sample, jensen_shannon, moments
from churn_assets.settings.monitoring import Monitoring
from churn_store.model.signature import Column
from churn_store.monitoring.facts import FeatureMove

NUMBER = Column(name="x", kind="number", nullable=True)
WORD = Column(name="x", kind="category", nullable=True)


def compared(before: pl.Series, now: pl.Series, column: Column = NUMBER) -> FeatureDrift:
    """How the column moved, as the report says it."""
    drift = judge_windows(before.alias("x").to_frame(), {"all": now.alias("x").to_frame()}, [column], (), Monitoring())
    [row] = drift.windows["all"]
    return row


def test_each_statistic_of_a_number_is_that_of_scipy() -> None:
    generator = np.random.default_rng(5)
    past, now = generator.exponential(size=900), generator.exponential(1.3, 400).round(1)
    row = compared(pl.Series(past), pl.Series(now))
    ks = scipy.stats.ks_2samp(past, now, method="asymp")
    assert (row.ks, row.p_value) == (pytest.approx(ks.statistic), pytest.approx(ks.pvalue, rel=0.05))
    assert row.welch_t == pytest.approx(scipy.stats.ttest_ind(now, past, equal_var=False).statistic)
    assert row.wasserstein == pytest.approx(scipy.stats.wasserstein_distance(past, now) / past.std(ddof=1))
    assert (row.mean, row.baseline_mean) == (pytest.approx(now.mean()), pytest.approx(past.mean()))
    assert row.mean_shift == pytest.approx(now.mean() / past.mean() - 1)
    assert (row.chi_square, row.rows, row.missing, row.new_words) == (None, 400, 0.0, ())


def test_each_statistic_of_a_category_is_that_of_scipy_and_a_new_word_is_named() -> None:
    past, now = (
        pl.Series(["a"] * 500 + ["b"] * 300 + [None] * 200),
        pl.Series(["a"] * 250 + ["b"] * 150 + ["z"] * 60 + [None] * 40),
    )
    row = compared(past, now, WORD)
    tallies = np.array([[500.0, 300, 200, 0], [250, 150, 40, 60]])
    assert row.chi_square == pytest.approx(scipy.stats.chi2_contingency(tallies).statistic)
    assert row.jensen_shannon == pytest.approx(scipy.spatial.distance.jensenshannon(*tallies, base=2))
    assert (row.ks, row.welch_t, row.wasserstein, row.mean, row.mean_shift) == (None,) * 5
    assert (row.missing, row.new_words, row.drifted) == (0.08, ("z",), True)


def test_what_is_published_of_a_move_is_the_published_form_and_no_more() -> None:
    row = compared(pl.Series(np.arange(500.0)), pl.Series(np.arange(400.0)))
    published = msgspec.json.decode(msgspec.json.encode(row), type=FeatureMove)
    assert published.psi == row.psi
    assert row.published == published


@pytest.mark.parametrize(
    ("past", "now", "column"),
    [
        ([7.0] * 500, [7.0] * 300, NUMBER),
        ([None] * 500, [None] * 300, NUMBER),
        (["a"] * 500, ["a"] * 300, WORD),
        ([None] * 500, [None] * 300, WORD),
    ],
)
def test_a_column_that_says_one_and_the_same_is_unknown_and_never_fine(
    past: list[float | str | None], now: list[float | str | None], column: Column
) -> None:
    dtype = pl.String if column is WORD else pl.Float64
    row = compared(pl.Series(past, dtype=dtype), pl.Series(now, dtype=dtype), column)
    assert (row.judged, row.drifted) == (False, False)
    assert row.unknown is not None
    assert row.unknown.startswith("has ")


@pytest.mark.parametrize("past", [[7.0] * 500, [None] * 500, [float("nan")] * 500, [0.0] * 499 + [None], [math.inf] * 500])
@pytest.mark.parametrize(
    "now", [[7.0] * 300, [None] * 300, [3.0] * 150 + [9.0] * 150, [None] * 299 + [1.0], [-math.inf] * 300]
)
def test_no_statistic_is_ever_nan_or_infinite(past: list[float | None], now: list[float | None]) -> None:
    row = compared(pl.Series(past, dtype=pl.Float64), pl.Series(now, dtype=pl.Float64))
    figures = [value for value in msgspec.structs.astuple(row) if isinstance(value, float)]
    assert all(math.isfinite(figure) for figure in figures)


@pytest.mark.parametrize("now", [[3.0] * 300, [9.0] * 300, [7.0] * 200 + [3.0] * 100])
def test_what_was_constant_and_no_longer_is_has_drifted(now: list[float]) -> None:
    assert compared(pl.Series([7.0] * 500), pl.Series(now)).drifted


def test_the_distance_of_jensen_and_shannon_is_from_0_to_1() -> None:
    assert jensen_shannon(np.array([5.0, 0.0]), np.array([0.0, 9.0])) == pytest.approx(1.0)
    assert jensen_shannon(np.array([5.0, 10.0]), np.array([1.0, 2.0])) == pytest.approx(0.0, abs=1e-8)


def test_a_mean_of_0_has_no_shift_as_a_share_of_it() -> None:
    before, now = (Sample.of(pl.Series(values), NUMBER) for values in ([-1.0, 1.0] * 200, [0.0, 1.0] * 200))
    bins = Bins(before, NUMBER)
    assert moments(before, now, (bins.tally(before), bins.tally(now))).mean_shift is None
