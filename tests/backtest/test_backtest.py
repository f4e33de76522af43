"""The backtest on a company whose law is known: what is flattered, what ages, what can't be tested."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from churn_assets.backtest.report import Backtest
from churn_assets.backtest.report_page import document, screen, write
from churn_assets.backtest.rolling import Backtester
from churn_assets.evaluation.measures import measures
from churn_assets.lake.lake import Lake
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.training import Training
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from tests.backtest.company import AS_OF, CUSTOMERS, features, rows_at, settings_of, snapshots, turning
from tests.backtest.company import write as write_lake

pytestmark = pytest.mark.integration


def backtest(settings: Settings, lake: Lake, **asked: Any) -> Backtest:
    return Backtester(
        company=settings.company,
        calendar=settings.timeline,
        settings=settings.fitting,
        evaluation=settings.evaluation,
        family="logistic_regression",
        features=features(),
    ).run(lake, as_of=AS_OF, **asked)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Lake, Backtest]:
    """A company whose churn stays as it is."""
    settings = settings_of(tmp_path_factory.mktemp("steady"))
    lake = turning(settings, 0.0)
    return settings, lake, backtest(settings, lake)


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """A company whose churn turns."""
    settings = settings_of(tmp_path_factory.mktemp("drifting"))
    return backtest(settings, turning(settings, 0.15))


def test_a_steady_company_has_no_trend_no_limit_and_is_hardly_flattered(steady: tuple[Settings, Lake, Backtest]) -> None:
    _, _, found = steady
    assert found.staleness_limit is None
    assert found.limit_in_words == "no limit seen up to 4 periods"
    assert found.trend is not None
    assert not found.trend.is_significant
    assert found.trend.in_words.endswith("no significant trend")
    assert found.random_split is not None
    assert abs(found.random_split["auc"] - found.honest["auc"]) < 0.02


def test_a_drifting_company_ages_grows_worse_and_is_flattered_by_a_random_split(drifting: Backtest) -> None:
    assert drifting.staleness_limit == 1
    assert drifting.limit_in_words == "stale from 1 period on"
    assert [age.periods for age in drifting.ages] == [1, 2, 3, 4]
    excesses = [age.excess for age in drifting.ages]
    assert excesses == sorted(excesses)
    assert all(age.auc < age.fresh_auc and age.lost_profit > 0 for age in drifting.ages)
    assert drifting.trend is not None
    assert drifting.trend.high < 0
    assert drifting.random_split is not None
    assert drifting.random_split["auc"] > drifting.honest["auc"] + 0.03
    assert drifting.claim_in_words.endswith(" too much")


def test_a_fold_is_measured_on_its_own_snapshot_by_a_model_that_knew_only_what_came_before(tmp_path: Path) -> None:
    """The labels of the test snapshot and of those in the gap are turned about: a model that saw them would follow."""
    settings = settings_of(tmp_path, evaluation=EvaluationSettings(draws=100, folds=2, ages=1))
    by_day = {day: rows_at(place, turn=0.0, seed=1) for place, day in enumerate(snapshots())}
    honest = backtest(settings, write_lake(settings, by_day)).folds[-1]
    last = by_day[snapshots()[-1]].with_columns(churned=~pl.col("churned"))
    turned = backtest(settings, write_lake(settings, {**by_day, snapshots()[-1]: last})).folds[-1]
    assert honest.test == turned.test == "2025-02-01"
    assert (honest.calibrated_on, honest.trained_on) == (("2025-01-01",), ("2024-01-01", "2024-12-01"))
    assert turned.measures["auc"] == pytest.approx(1 - honest.measures["auc"])


def test_the_measures_are_those_of_every_model_with_their_intervals(steady: tuple[Settings, Lake, Backtest]) -> None:
    _, _, found = steady
    assert len(found.folds) == 10, "six and four more, to follow the ages"
    names = set(measures(np.array([True, False]), np.array([0.6, 0.4]), threshold=0.5))
    for fold in found.folds:
        assert fold.rows == CUSTOMERS
        assert names | {"profit"} <= set(fold.measures)
        counts = {"true_positives", "false_positives", "false_negatives", "true_negatives"}
        assert set(fold.measures) - counts == set(fold.intervals)
        for name in ("auc", "log_loss", "brier", "profit"):
            interval = fold.intervals[name]
            assert interval.low < interval.value < interval.high
            assert interval.value == pytest.approx(fold.measures[name])
    assert len({fold.training_rows for fold in found.folds}) == 1, "they differ in time and not in size"
    assert found.worst.measures["auc"] == min(fold.measures["auc"] for fold in found.folds)
    assert found.honest["auc"] == pytest.approx(np.mean([fold.measures["auc"] for fold in found.folds]))


def test_the_same_tables_give_the_same_report_by_the_byte(steady: tuple[Settings, Lake, Backtest], tmp_path: Path) -> None:
    settings, lake, found = steady
    again = backtest(settings, lake)
    first, second = (
        write(one, tmp_path / name, as_of="2025-04-01", floor=0.5) for name, one in (("1", found), ("2", again))
    )
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert msgspec.json.decode(first[1].read_bytes(), type=Backtest) == found
    assert json.loads(first[1].read_bytes())["staleness_limit"] is None


def test_only_labels_that_are_mature_are_read(steady: tuple[Settings, Lake, Backtest], tmp_path: Path) -> None:
    _, lake, _ = steady
    settings = settings_of(tmp_path, evaluation=EvaluationSettings(draws=100, folds=2, ages=1))
    earlier = Backtester(
        company=settings.company,
        calendar=settings.timeline,
        settings=settings.fitting,
        evaluation=settings.evaluation,
        family="logistic_regression",
        features=features(),
    ).run(lake, as_of=snapshots()[-1], folds=2)
    assert earlier.folds[-1].test == "2024-12-01"


def test_an_early_snapshot_with_too_few_rows_ends_the_folds_and_a_late_one_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, evaluation=EvaluationSettings(draws=100, folds=3, ages=4))
    by_day = {day: rows_at(place, turn=0.0, seed=1) for place, day in enumerate(snapshots())}
    thin = {**by_day, snapshots()[9]: by_day[snapshots()[9]].head(40)}
    assert backtest(settings, write_lake(settings, thin)).folds[0].test == "2024-12-01"
    thin = {**by_day, snapshots()[12]: by_day[snapshots()[12]].head(60)}
    with pytest.raises(
        InputError, match=r"the fold that tests 2025-01-01: 60 rows have the role 'judge'.*only 1 of 3 folds"
    ):
        backtest(settings, write_lake(settings, thin))


def test_no_more_rows_are_read_than_a_search_looks_at(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        training=Training(minimum_rows=100, tuning_rows=500),
        evaluation=EvaluationSettings(draws=100, folds=2, ages=1),
    )
    days = snapshots(7)
    lake = write_lake(settings, {day: rows_at(place, turn=0.0, seed=1, customers=900) for place, day in enumerate(days)})
    found = backtest(settings, lake)
    assert {(fold.training_rows, fold.rows) for fold in found.folds} == {(500, 500)}


def without_time(home: Path) -> Settings:
    source = {
        "kind": "files",
        "shape": "table",
        "customers": {"path": "c.csv", "columns": {"customer_id": "id"}, "label": {"column": "left"}},
    }
    return Settings(company="shop", home=home, source=FilesSettings.model_validate(source))


def test_data_without_time_gets_stratified_folds_that_say_so(tmp_path: Path) -> None:
    settings, rows = without_time(tmp_path), rows_at(0, turn=0.0, seed=1, customers=1_000)
    lake = Lake(settings.lake_url)
    lake.replace("customer_features", {"all": rows.drop("churned")}, run_id="test")
    lake.replace("churn_labels", {"all": rows.select("customer_id", "churned")}, run_id="test")
    found = backtest(settings, lake)
    assert [fold.test for fold in found.folds] == [f"fold {number}" for number in range(1, 6)]
    assert sum(fold.rows for fold in found.folds) == 1_000
    assert (found.by_time, found.trend, found.random_split, found.ages, found.staleness_limit) == (
        False,
        None,
        None,
        (),
        None,
    )
    assert found.honest["auc"] > 0.8
    said = " ".join(screen(found))
    assert "a backtest by time is impossible, as the data has no time: stratified folds of customers instead" in said
    assert len(backtest(settings, lake, folds=3).folds) == 3


def test_the_page_shows_every_fold_and_names_the_flattering_figure_as_such(drifting: Backtest) -> None:
    page = document(drifting, floor=0.5).html()
    for fold in drifting.folds:
        assert f">{fold.test}</th>" in page
    assert "What a random split would have claimed" in page
    assert page.count("<svg") == page.count('role="img"') == page.count("<desc>") == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert max(len(line) for line in screen(drifting)) <= 200
