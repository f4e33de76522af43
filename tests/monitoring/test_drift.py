"""Drift: silent without drift at every size, loud for a material shift in enough windows, and only for what is judged."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from churn_assets.monitoring.drift import Drift, judge_windows, require_columns
from churn_assets.monitoring.drift_cuts import LEAST_ROWS, MOST_ALLOWED, Usual, cut
from churn_assets.monitoring.drift_statistics import Bins, Sample, p_value, psi
from churn_assets.settings.monitoring import Monitoring
from churn_store.errors import InputError
from churn_store.model.signature import Column

RULE = Monitoring()
NORMAL = Column(name="normal", kind="number", nullable=True)
GAPS = Column(name="gaps", kind="number", nullable=True)
WORD = Column(name="word", kind="category", nullable=True)
COLUMNS = [
    NORMAL,
    Column(name="count", kind="number"),
    Column(name="cents", kind="number"),
    GAPS,
    Column(name="tenure", kind="number"),
    WORD,
]
SNAPSHOTS = 5


@cache
def frame(rows: int, seed: int) -> pl.DataFrame:
    """Rows of one and the same distribution."""
    generator = np.random.default_rng(seed)
    gaps = generator.random(rows) * 90
    return pl.DataFrame(
        {
            "normal": generator.normal(size=rows),
            "count": generator.poisson(2, rows).astype(float),
            "cents": np.exp(generator.normal(8, 1.5, rows)).round(),
            "gaps": pl.Series(np.where(generator.random(rows) < 0.3, np.nan, gaps)).fill_nan(None),
            "tenure": generator.random(rows) * 900,
            "word": generator.choice(["a", "b", "c", "d"], rows, p=[0.5, 0.3, 0.15, 0.05]),
        }
    )


@cache
def reference(rows: int = 3_000, seed: int = 1_000) -> pl.DataFrame:
    return frame(rows, seed).with_columns(snapshot_s=pl.int_range(pl.len()) % SNAPSHOTS)


def judged(*windows: pl.DataFrame, grows: tuple[str, ...] = (), past: pl.DataFrame | None = None) -> Drift:
    """The verdict on windows, oldest first."""
    named = {f"2025-{month:02}-01": window for month, window in enumerate(windows, start=1)}
    return judge_windows(reference() if past is None else past, named, COLUMNS, grows, RULE)


def shifted(seed: int, *, by: float = 0.5, rows: int = 800, column: str = "normal") -> pl.DataFrame:
    return frame(rows, seed).with_columns(pl.col(column) + by * float(frame(rows, seed)[column].std()))  # type: ignore[arg-type]


SAME, MOVED, TINY = frame(800, 3), shifted(1), shifted(0, by=5, rows=LEAST_ROWS - 1)


@pytest.mark.proofs
@pytest.mark.parametrize(("rows", "seeds"), [(100, 25), (400, 15), (5_000, 3)])
def test_windows_of_the_same_distribution_raise_no_alert(rows: int, seeds: int) -> None:
    alerts = [judged(*(frame(rows, 10 * seed + window) for window in range(3))).agreeing for seed in range(seeds)]
    assert alerts == [()] * seeds


@pytest.mark.parametrize(
    ("moved", "agreeing"),
    [
        ((False, False, True), ()),
        ((True, False, False), ()),
        ((True, True, False), ("normal",)),
        ((True, False, True), ("normal",)),
        ((True, True, True), ("normal",)),
    ],
)
def test_a_shift_of_half_a_deviation_is_an_alert_in_two_of_three_windows(
    moved: tuple[bool, ...], agreeing: tuple[str, ...]
) -> None:
    drift = judged(*(shifted(seed) if is_moved else frame(800, seed) for seed, is_moved in enumerate(moved)))
    assert drift.agreeing == agreeing
    assert drift.alert is bool(agreeing)
    assert drift.judged
    for rows, is_moved in zip(drift.windows.values(), moved, strict=True):
        assert [row.feature for row in rows if row.drifted] == (["normal"] if is_moved else [])


def test_a_small_shift_is_significant_in_large_windows_and_still_does_not_matter() -> None:
    drift = judged(*(shifted(seed, by=0.1, rows=20_000) for seed in range(3)), past=reference(20_000))
    [row] = [row for row in drift.windows["2025-01-01"] if row.feature == "normal"]
    assert row.p_value < 0.001
    assert row.psi < row.cut
    assert not drift.alert


def test_only_the_newest_windows_vote() -> None:
    assert not judged(shifted(0), shifted(1), shifted(2), frame(800, 3), frame(800, 4)).alert
    assert judged(frame(800, 3), frame(800, 4), shifted(0), shifted(1), shifted(2)).alert


def test_what_only_grows_is_shown_but_never_an_alert() -> None:
    windows = [shifted(seed, by=3, column="tenure") for seed in range(3)]
    assert judged(*windows).agreeing == ("tenure",)
    drift = judged(*windows, grows=("tenure",))
    [row] = [row for row in drift.windows["2025-03-01"] if row.feature == "tenure"]
    assert (row.judged, row.drifted, drift.alert) == (False, False, False)
    assert row.psi > 1


def test_what_the_training_snapshots_did_among_each_other_is_allowed() -> None:
    seasons = pl.concat([shifted(seed, by=seed % 2, rows=600).with_columns(snapshot_s=pl.lit(seed)) for seed in range(4)])
    windows = [shifted(seed, by=1) for seed in range(10, 13)]
    assert not judged(*windows, past=seasons).alert
    assert judged(*windows).alert


def months(*rows: pl.DataFrame) -> pl.DataFrame:
    """A reference of whole snapshots."""
    return pl.concat([frame.with_columns(snapshot_s=pl.lit(month)) for month, frame in enumerate(rows)])


def emptied(rows: pl.DataFrame, column: str, share: float) -> pl.DataFrame:
    """Rows of which a share has lost its value."""
    lost = pl.int_range(pl.len()) < share * rows.height
    return rows.with_columns(pl.when(lost).then(None).otherwise(column).alias(column))


@pytest.mark.parametrize("column", ["normal", "gaps", "word"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_feature_that_loses_most_values_has_drifted_though_those_left_are_as_ever(column: str, share: float) -> None:
    drift = judged(*(emptied(frame(800, seed), column, share) for seed in range(3)))
    assert drift.agreeing == (column,)


def test_a_few_values_more_that_are_missing_do_not_matter() -> None:
    assert not judged(*(emptied(frame(800, seed), "normal", 0.01) for seed in range(3))).alert


def test_after_one_odd_training_month_usual_windows_are_no_drift_and_moved_ones_are() -> None:
    past = months(*(frame(600, seed) for seed in range(9)), shifted(9, by=3, rows=600))
    assert not judged(*(frame(800, seed) for seed in range(10, 13)), past=past).alert
    assert judged(*(shifted(seed, by=1) for seed in range(10, 13)), past=past).agreeing == ("normal",)


def test_several_odd_training_months_do_not_switch_a_feature_off() -> None:
    past = months(*(emptied(frame(600, seed), "normal", 0.9 * (seed < 3)) for seed in range(8)))
    drift = judged(*(shifted(seed, by=2) for seed in range(10, 13)), past=past)
    assert "normal" in drift.agreeing
    [row] = [row for row in drift.windows["2025-03-01"] if row.feature == "normal"]
    assert row.cut == MOST_ALLOWED


def test_an_effect_above_the_cap_is_kept_and_one_below_the_cut_changes_nothing() -> None:
    tenths = np.full(10, 2_000.0)
    assert cut(tenths, 1_000, Usual(3.0, 5), 2.0) == 2.0
    assert cut(tenths, 500, Usual(0.0, 0), 0.02) == cut(tenths, 500, Usual(0.0, 0), 0.001)


def test_what_is_only_shown_does_not_lower_the_bar_for_the_rest() -> None:
    """Certain discoveries that nobody judges would make Benjamini and Hochberg kind to the others."""
    windows = [shifted(seed, by=5, column="tenure") for seed in range(3)]
    with_it, without = (
        judge_windows(reference(), {"2025-01-01": windows[0]}, columns, ("tenure",), RULE).windows["2025-01-01"]
        for columns in (COLUMNS, [column for column in COLUMNS if column.name != "tenure"])
    )
    assert [row for row in with_it if row.feature != "tenure"] == without


def test_a_new_word_in_enough_rows_is_drift_and_in_few_is_not() -> None:
    def with_new(share: float, seed: int) -> pl.DataFrame:
        new = pl.int_range(pl.len()) % round(1 / share) == 0
        return frame(800, seed).with_columns(word=pl.when(new).then(pl.lit("new")).otherwise("word"))

    assert judged(*(with_new(0.25, seed) for seed in range(3))).agreeing == ("word",)
    assert not judged(*(with_new(0.005, seed) for seed in range(3))).alert


@pytest.mark.parametrize("column", ["normal", "gaps", "word"])
def test_a_column_that_lost_all_its_values_has_drifted(column: str) -> None:
    windows = [
        frame(800, seed).with_columns(pl.lit(None, dtype=frame(800, 0)[column].dtype).alias(column)) for seed in range(3)
    ]
    assert judged(*windows).agreeing == (column,)


def test_a_column_that_never_had_a_value_has_not_drifted() -> None:
    empty = pl.lit(None, dtype=pl.Float64).alias("gaps")
    drift = judged(*(frame(800, seed).with_columns(empty) for seed in range(3)), past=reference().with_columns(empty))
    [row] = [row for row in drift.windows["2025-01-01"] if row.feature == "gaps"]
    assert (row.p_value, row.psi, drift.alert) == (1.0, pytest.approx(0, abs=0.01), False)


def test_a_window_with_too_few_rows_gives_no_vote() -> None:
    drift = judged(TINY, TINY, shifted(1))
    assert [len(rows) for rows in drift.windows.values()] == [0, 0, len(COLUMNS)]
    assert not drift.alert
    assert judged(TINY, shifted(2), shifted(1)).alert


@pytest.mark.parametrize(
    ("windows", "is_judged", "alert", "said"),
    [
        ((SAME, SAME, SAME), True, False, "no feature drifted in at least 2 of 3 judged windows"),
        ((TINY, SAME, SAME), True, False, "of 2 judged windows; not judged, with fewer than 100 rows: 2025-01-01"),
        ((TINY, MOVED, MOVED), True, True, "normal drifted in at least 2 of 2 judged windows; not judged"),
        ((MOVED, MOVED, TINY), False, True, "normal drifted in at least 2 of 2 judged windows; not judged"),
        (
            (SAME, SAME, TINY),
            False,
            False,
            "not judged: the newest window and 2 in all must be judged, each with 100 rows or more",
        ),
        ((TINY, TINY, SAME), False, False, "1 is; not judged, with fewer than 100 rows: 2025-01-01, 2025-02-01"),
        ((TINY, TINY, TINY), False, False, "not judged"),
        ((MOVED,), False, False, "each with 100 rows or more; of 2025-01-01 1 is"),
    ],
)
def test_too_few_judged_windows_are_no_verdict_and_say_so(
    windows: tuple[pl.DataFrame, ...], is_judged: bool, alert: bool, said: str
) -> None:
    drift = judged(*windows)
    assert (drift.judged, drift.alert) == (is_judged, alert)
    assert said in drift.verdict


def test_one_window_of_a_history_is_not_enough_but_data_without_time_has_only_one() -> None:
    without_time = reference().drop("snapshot_s")
    assert not judged(MOVED).alert
    assert judged(MOVED, past=without_time).alert
    same = judged(frame(800, 1), past=without_time)
    assert (same.alert, same.judged) == (False, True)
    assert not judged(TINY, past=without_time).judged


@pytest.mark.parametrize(
    ("past", "window", "said"),
    [
        (None, SAME, "as the release has no reference rows to compare with"),
        (reference().clear(), SAME, "as the release has no reference rows to compare with"),
        (reference(), SAME.clear(), "as the window has no rows"),
        (reference(), SAME.head(1), "with fewer than 100 rows"),
        (reference().head(20), SAME, "as the reference has 20 rows, and needs 100"),
    ],
)
def test_what_can_not_be_judged_is_unknown_and_says_why(past: pl.DataFrame | None, window: pl.DataFrame, said: str) -> None:
    drift = judge_windows(past, {"2025-01-01": window}, COLUMNS, (), RULE)
    assert (drift.state, drift.alert, drift.windows) == ("unknown", False, {"2025-01-01": []})
    assert f"not judged, {said}: 2025-01-01" in drift.verdict


@pytest.mark.parametrize("value", [None, 1.0], ids=["no value", "one value"])
def test_where_no_feature_says_anything_nothing_is_fine(value: float | None) -> None:
    column = Column(name="normal", kind="number", nullable=True)
    past = reference().with_columns(normal=pl.lit(value, dtype=pl.Float64))
    drift = judge_windows(
        past, {"2025-01-01": SAME.with_columns(normal=pl.lit(value, dtype=pl.Float64))}, [column], (), RULE
    )
    assert (drift.state, drift.judged) == ("unknown", False)
    assert "not judged, as no feature can be: 2025-01-01" in drift.verdict
    shown = judge_windows(reference(), {"2025-01-01": shifted(1, by=9.0)}, [NORMAL], ("normal",), RULE)
    assert shown.state == "unknown", "a feature that is only shown judges nothing"


def test_a_column_that_reference_or_window_lacks_is_named_and_the_others_are_judged() -> None:
    windows = {f"2025-0{month}-01": shifted(month).drop("gaps") for month in (1, 2, 3)}
    drift = judge_windows(reference().drop("word"), windows, COLUMNS, (), RULE)
    assert (drift.agreeing, drift.state) == (("normal",), "attention")
    assert "word is not in the release's reference" in drift.verdict
    assert "gaps is not in every window" in drift.verdict


def test_a_window_that_lacks_a_column_of_the_release_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        InputError, match="customer_features 2025-01-01 has no gaps, which the serving release was trained on"
    ):
        require_columns({"2025-01-01": frame(800, 1).drop("gaps")}, COLUMNS)


@pytest.mark.parametrize("rows", [200, 1_000, 5_000, 20_000])
def test_without_drift_the_psi_is_about_zero_at_every_size(rows: int) -> None:
    past = frame(3_000, 1_000)
    for column in COLUMNS:
        found = [psi(past[column.name], frame(rows, seed)[column.name], column) for seed in range(12)]
        assert abs(np.mean(found)) < 0.012
        assert max(np.abs(found)) < 0.1


def test_the_psi_is_what_it_is_by_hand() -> None:
    past, now = pl.Series(["a"] * 600 + ["b"] * 400), pl.Series(["a"] * 300 + ["b"] * 700)
    by_hand = (0.3 - 0.6) * np.log(0.3 / 0.6) + (0.7 - 0.4) * np.log(0.7 / 0.4)
    assert psi(past, now, WORD) == pytest.approx(by_hand - 1 * (1 / 1000 + 1 / 1000))


def p_of(past: pl.Series, now: pl.Series, column: Column) -> float:
    before, after = Sample.of(past, column), Sample.of(now, column)
    bins = Bins(before, column)
    return p_value(before, after, (bins.tally(before), bins.tally(after)))


@pytest.mark.parametrize("column", [NORMAL, GAPS, WORD])
def test_without_drift_the_p_value_is_spread_evenly(column: Column) -> None:
    found = [p_of(frame(1_000, 500 + seed)[column.name], frame(300, seed)[column.name], column) for seed in range(60)]
    assert 0.3 < float(np.mean(found)) < 0.7
    assert sum(p < 0.05 for p in found) <= 8


def test_a_constant_column_is_no_drift() -> None:
    constant = pl.Series([7.0] * 500)
    assert psi(constant, constant, NORMAL) == 0.0
    assert p_of(constant, constant, NORMAL) == 1.0
    assert p_of(pl.Series(["a"] * 500), pl.Series(["a"] * 300), WORD) == 1.0
