"""The asset, the command, the schedule and the sensor: what a backtest tells Dagster, and what follows from it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from churn_assets.automation.jobs import BACKTEST
from churn_assets.automation.retraining_sensor import _staleness
from churn_assets.backtest.assets import CHECK, backtest_assets
from churn_assets.build import build_defs
from churn_assets.cli.backtest import backtest
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.run_history import newest_materialization
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.gate import Gate
from churn_store.database.migrate import migrate
from churn_store.errors import InputError
from churn_store.reports import ReportFile, newest
from tests.automation.asking import asked_by
from tests.backtest.company import SNAPSHOTS, features, rows_at, settings_of, snapshots, turning
from tests.release_factory import release, train

pytestmark = pytest.mark.integration


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def store(settings: Settings) -> ServingStore:
    migrate(settings.database_url)
    return ServingStore(settings.database_url, settings.releases_url, settings.online_url)


def materialized(
    settings: Settings, instance: dg.DagsterInstance, **asked: Any
) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    """Materialize ``backtest_report``: its metadata and its check."""
    result = dg.materialize(
        backtest_assets(settings, features()),
        instance=instance,
        resources={"lake": Lake(settings.lake_url), "clock": settings.clock, "serving": store(settings)},
        run_config=dg.RunConfig(ops={"backtest_report": {"config": asked}}),
        raise_on_error=False,
    )
    if not result.success:
        [failed] = [event for event in result.all_events if event.is_step_failure]
        assert failed.step_failure_data.user_failure_data is not None
        raise InputError(str(failed.step_failure_data.user_failure_data.description))
    found = newest_materialization(instance, "backtest_report")
    assert found is not None
    return found.metadata, result.get_asset_check_evaluations()[0]


def test_the_report_tells_dagster_what_people_and_the_policy_look_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = settings_of(tmp_path, evaluation=EvaluationSettings(draws=100, folds=4, ages=3), gate=Gate(auc_floor=0.75))
    turning(settings, 0.25)
    said, check = materialized(settings, instance)
    assert (said["family"], said["staleness_limit_periods"], said["newest_fold"]) == (
        "logistic_regression",
        1,
        "2025-02-01",
    )
    assert said["staleness_limit"] == "stale from 1 period on"
    assert said["random_split_claims_auc"] > said["mean_auc"]
    assert "a period" in said["trend"]
    assert said["folds_picture"].startswith("![AUC of each fold with its interval](data:image/svg+xml;base64,")
    assert said["ages_picture"].startswith("![Excess log loss of aged models](data:image/svg+xml;base64,")
    assert said["verdict"].startswith("**Too weak in a fold: mean AUC 0.")
    report = newest(store(settings).engine, "backtest")
    assert report is not None
    assert report.digest == said["report_sha256"]
    page = ReportFile(report).read(store(settings).files).decode()
    assert f"<p>{report.verdict}</p>" in page.partition("<h2>")[0]
    assert Path(said["figures"]).parent == settings.reports
    assert (check.check_name, check.passed) == (CHECK, False)
    assert check.metadata["auc"].value == said["worst_auc"] < 0.75


def test_the_check_passes_where_the_worst_fold_is_above_the_floor_and_a_limit_that_was_not_seen_is_none(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = settings_of(tmp_path, evaluation=EvaluationSettings(draws=100, folds=2, ages=1))
    turning(settings, 0.0)
    said, check = materialized(settings, instance, folds=3)
    assert check.passed
    assert said["folds"] == 4
    assert said["staleness_limit_periods"] == 0


def test_wrong_input_ends_the_run_in_a_sentence(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = settings_of(tmp_path)
    turning(settings, 0.0, number=6)
    with pytest.raises(InputError, match=r"6 snapshots have mature labels.*a backtest of 6 folds needs 9 snapshots"):
        materialized(settings, instance)
    with pytest.raises(InputError, match="there is no family 'oracle'; expected one of logistic_regression"):
        materialized(settings, instance, family="oracle")
    assert newest_materialization(instance, "backtest_report") is None


def told(instance: dg.DagsterInstance, **metadata: Any) -> None:
    """Tell Dagster of a backtest."""
    instance.report_runless_asset_event(dg.AssetMaterialization("backtest_report", metadata=metadata))


def test_the_sensor_reads_the_limit_of_the_family_that_serves(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = settings_of(tmp_path)
    serving = store(settings)
    assert _staleness(instance, serving, None, None) is None
    row = release(serving.engine, serving.files, train())
    assert _staleness(instance, serving, row, None) is None, "there is no backtest"
    told(instance, family="logistic_regression", staleness_limit_periods=3, as_of="2025-04-01")
    found = _staleness(instance, serving, row, None)
    assert found is not None
    assert (found.read_until.isoformat(), found.limit) == ("2025-12-01", 3)
    assert found.said_by == "the backtest of 2025-04-01"
    told(instance, family="random_forest", staleness_limit_periods=1, as_of="2025-05-01")
    assert _staleness(instance, serving, row, None) is None, "of another family"
    told(instance, family="logistic_regression", staleness_limit_periods=0, as_of="2025-06-01")
    assert _staleness(instance, serving, row, None) is None, "no limit was seen"
    found = _staleness(instance, serving, row, 5)
    assert found is not None
    assert (found.limit, found.said_by) == (5, "retraining.maximum_age_periods")


def test_the_sensor_asks_once_a_month_of_labels_and_only_when_there_are_enough(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        asks_once_a_month(tmp_path, instance)


def asks_once_a_month(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = settings_of(tmp_path)
    turning(settings, 0.0)
    store(settings)
    definitions = build_defs(settings)

    def tick() -> tuple[list[dg.RunRequest], str]:
        return asked_by(definitions, instance, BACKTEST)

    assert tick()[1].startswith("not enough to test on: 0 snapshots have mature labels")
    for day in snapshots(SNAPSHOTS):
        instance.report_runless_asset_event(dg.AssetMaterialization("churn_labels", partition=day.isoformat()))
    [asked], _ = tick()
    assert asked.tags["churn/reason"] == "the labels of 2025-02 are there, newest snapshot 2025-02-01"
    assert asked.run_key == tick()[0][0].run_key
    told(instance, newest_fold="2025-01-01")
    assert len(tick()[0]) == 1, "a month of labels has come since"
    told(instance, newest_fold="2025-02-01")
    assert tick() == ([], "the backtest of 2025-02 is there")


def test_the_command_prints_one_screen_and_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "churn.yaml"
    config.write_text(
        "company: shop\nhome: .\nevaluation: {draws: 100}\nsource:\n  kind: files\n  shape: table\n  customers: {path: c.csv, "
        "columns: {customer_id: id}, label: {column: left}, attributes: {here: {column: h, kind: number}, "
        "there: {column: t, kind: number}, plan: {column: p, kind: category}}}\n"
    )
    monkeypatch.setenv("CHURN_CONFIG", str(config))
    settings = Settings.load()
    settings.clock.fix(datetime(2025, 4, 1, tzinfo=UTC))
    store(settings)
    rows, lake = rows_at(0, turn=0.0, seed=1, customers=500), Lake(settings.lake_url)
    lake.replace("customer_features", {"all": rows.drop("churned")}, run_id="test")
    lake.replace("churn_labels", {"all": rows.select("customer_id", "churned")}, run_id="test")
    ran = CliRunner().invoke(backtest, ["--folds", "3", "--family", "logistic_regression"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "a backtest by time is impossible" in ran.output
    assert len(ran.output.splitlines()) <= 40
    page = settings.reports / "backtest-2025-04-01-logistic_regression.html"
    assert str(page) in ran.output
    assert all(f">fold {number}</th>" in page.read_text(encoding="utf-8") for number in (1, 2, 3))
    with pytest.raises(InputError, match="there is no family 'oracle'"):
        CliRunner().invoke(backtest, ["--family", "oracle"], catch_exceptions=False)
