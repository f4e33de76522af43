"""The cut of the drift rule: it falls with the rows, knows the usual year, and has error rates that hold on windows nobody tuned it on."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.drift import judge_windows
from churn_assets.monitoring.drift_cuts import (
    MOST_ALLOWED,
    MOST_ROWS,
    MOST_USUAL,
    Usual,
    cut,
    sampled_window,
    usual_move,
    usual_periods,
)
from churn_assets.monitoring.window_rows import WindowRows
from churn_assets.periods import epoch_s
from churn_assets.settings.monitoring import Monitoring
from churn_store.database.schema import connect
from churn_store.model.signature import Column, Signature

TENTHS = np.full(10, 2_000.0)
NEVER = Usual(0.0, 0)
RULE = Monitoring()
COLUMNS = [Column(name=name, kind="number") for name in ("normal", "exponential", "count")]


def drawn(rows: int, generator: np.random.Generator, *, by: float = 0.0) -> pl.DataFrame:
    """Customers; the first feature is moved by so many standard deviations."""
    return pl.DataFrame(
        {
            "normal": generator.normal(size=rows) + by,
            "exponential": generator.exponential(size=rows),
            "count": generator.poisson(2, rows).astype(float),
        }
    )


def reference(generator: np.random.Generator, *, snapshots: int = 19, rows: int = 19_000) -> pl.DataFrame:
    return drawn(rows, generator).with_columns(snapshot_s=pl.int_range(pl.len()) % snapshots)


def test_the_cut_falls_with_the_rows_down_to_the_effect() -> None:
    cuts = [cut(TENTHS, rows, NEVER, 0.02) for rows in (100, 500, 1_000, 2_000, 20_000)]
    assert cuts == sorted(cuts, reverse=True)
    assert cuts[1] == pytest.approx(0.05, abs=0.01)
    assert cuts[2] == pytest.approx(0.026, abs=0.005)
    assert cuts[-1] == 0.02


def test_an_effect_that_an_older_file_wrote_out_goes_on_as_a_floor() -> None:
    assert [cut(TENTHS, rows, NEVER, 0.1) for rows in (500, 5_000)] == [0.1, 0.1]
    assert cut(TENTHS, 100, NEVER, 0.1) == cut(TENTHS, 100, NEVER, 0.02) > 0.1


def test_what_was_usual_raises_the_cut_but_not_beyond_its_limit() -> None:
    assert cut(TENTHS, 1_000, Usual(0.05, 9), 0.02) > 0.05 > cut(TENTHS, 1_000, NEVER, 0.02)
    assert cut(TENTHS, 1_000, Usual(5.0, 9), 0.02) == MOST_ALLOWED


def test_windows_of_one_distribution_teach_that_nothing_much_is_usual_and_others_teach_how_much() -> None:
    same, moved = [np.full(10, 100.0)] * 5, np.array([150.0] * 5 + [50.0] * 5)
    assert usual_move(TENTHS, [], same).move == 0.0
    learned = usual_move(TENTHS, [], [*same, moved, moved, moved])
    assert learned.windows == 8
    assert 0.2 < learned.move < (0.15 - 0.05) * 5 * np.log(3)
    odd = usual_move(TENTHS, [], [*same, moved, *same])
    assert odd.move < learned.move / 2, "one odd window is not usual"
    assert usual_move(TENTHS, [], []) == NEVER
    assert usual_move(TENTHS, [np.full(10, 9.0)], []) == NEVER, "a snapshot of 90 rows is not judged"


def test_a_reference_without_snapshots_or_with_one_has_the_cut_of_its_rows_alone() -> None:
    generator = np.random.default_rng(3)
    window = drawn(800, generator)
    for past in (reference(generator).drop("snapshot_s"), reference(generator, snapshots=1)):
        [row, *_] = judge_windows(past, {"w": window}, COLUMNS, (), RULE).windows["w"]
        assert row.cut == pytest.approx(cut(np.full(10, 1_900.0), 800, NEVER, RULE.effect))


def test_a_season_that_only_the_lake_knows_is_usual() -> None:
    generator = np.random.default_rng(4)
    past, winter = reference(generator), [drawn(900, generator, by=0.5) for _ in range(3)]
    windows = {f"2025-0{month}-01": drawn(900, generator, by=0.5) for month in (1, 2, 3)}
    assert judge_windows(past, windows, COLUMNS, (), RULE).agreeing == ("normal",)
    known = judge_windows(past, windows, COLUMNS, (), RULE, usual=winter)
    assert (known.agreeing, known.state) == ((), "fine")


@pytest.mark.parametrize(("rows", "by"), [(1_000, 0.25), (500, 0.5)])
def test_a_quarter_of_a_deviation_is_seen_in_1000_rows_and_half_of_one_in_500(rows: int, by: float) -> None:
    generator = np.random.default_rng([20_261_130, rows])
    seen = 0
    for _ in range(20):
        windows = {str(place): drawn(rows, generator, by=by) for place in range(3)}
        seen += judge_windows(reference(generator), windows, COLUMNS, (), RULE).agreeing == ("normal",)
    assert seen >= 18


@pytest.mark.parametrize("rows", [150, 500, 1_000, 5_000])
def test_fresh_windows_without_a_change_raise_no_alert(rows: int) -> None:
    generator = np.random.default_rng([77, rows])
    past = reference(generator)
    windows = {f"{place:02}": drawn(rows, generator) for place in range(40)}
    names = list(windows)
    found = [
        judge_windows(past, {name: windows[name] for name in names[end - 3 : end]}, COLUMNS, (), RULE).alert
        for end in range(3, len(names) + 1)
    ]
    assert not any(found)


def test_the_usual_windows_are_of_the_year_before_the_release_and_none_that_it_was_trained_on() -> None:
    months = [f"{year}-{month:02}-01" for year in (2023, 2024, 2025) for month in range(1, 13)]
    trained_on = ["2025-03-01", "2025-04-01", "2025-06-01"]
    assert usual_periods(months, trained_on) == [*months[18:26], "2025-05-01"]
    assert usual_periods(months, []) == []


def test_of_many_snapshots_a_few_are_read_evenly_over_the_year() -> None:
    days = [day.isoformat() for day in pl.date_range(pl.date(2024, 1, 1), pl.date(2025, 1, 1), "1d", eager=True)]
    found = usual_periods(days, ["2025-01-01"])
    assert len(found) == MOST_USUAL
    assert (found[0], found[-1]) == ("2024-01-03", "2024-12-31")


def test_the_report_reads_the_usual_windows_from_the_lake_and_none_where_data_has_no_time(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    months = ["2024-01-01", "2024-03-01", "2024-11-01", "2024-12-01", "2025-01-01", "2025-02-01"]
    for month in months:
        rows = pl.DataFrame({"customer_id": ["a", "b"], "x": [float(month[5:7]), 1.0]})
        lake.replace("customer_features", {month: rows}, run_id="test")
    version = lake.versions(["customer_features"])["customer_features"]
    trained_on = pl.DataFrame({"snapshot_s": [epoch_s(date(2024, 12, 1)), epoch_s(date(2025, 2, 1))]})
    signature = Signature((Column(name="x", kind="number"),))
    bundle: Any = SimpleNamespace(manifest=SimpleNamespace(signature=signature))
    windows = WindowRows(lake=lake, version=version, bundle=bundle, engine=connect("sqlite://"), timeline=None)
    found = windows.usual(trained_on)
    assert [rows["x"][0] for rows in found] == [3.0, 11.0, 1.0], "of the year before, without those it was trained on"
    assert windows.usual(trained_on.drop("snapshot_s")) == []


def test_a_usual_window_of_many_rows_is_sampled_the_same_way_each_time() -> None:
    many = pl.DataFrame({"x": np.arange(3 * MOST_ROWS + 5)})
    assert sampled_window(many).height <= MOST_ROWS
    assert sampled_window(many).equals(sampled_window(many))
    assert sampled_window(many.head(10)).height == 10
