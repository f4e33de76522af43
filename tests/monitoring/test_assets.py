"""The drift report of an installation: what it says of what was and of what could not be judged."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.assets import monitoring_assets
from churn_assets.monitoring.drift_cuts import LEAST_ROWS
from churn_assets.monitoring.evidently_report import unpacked
from churn_assets.orchestration.json_values import json_values
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import Settings
from churn_assets.tables import SCORE
from churn_store.reports import ReportFile, newest
from tests.champion.world import attributes, built_of, company_of_one_table, fitted, released, staged, training_set

pytestmark = pytest.mark.integration

Report = tuple[dict[str, Any], dg.AssetCheckEvaluation]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A company of data without time whose release serves."""
    settings = company_of_one_table(tmp_path, monkeypatch)
    serving, rows = store(settings), training_set().drop("snapshot_s")
    chosen = fitted("logistic_regression", rows, attributes())
    candidate = built_of(chosen, rows)
    released(serving.engine, serving.files, staged(serving.files, candidate, chosen, training_set()))
    return settings


def store(settings: Settings) -> ServingStore:
    return ServingStore(settings.database_url, settings.releases_url, settings.online_url)


def assets_of(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    return monitoring_assets(
        attributes(),
        None,
        company="small",
        timeline=None,
        monitoring=settings.monitoring,
        evaluation=settings.evaluation,
        seed=settings.training.seed,
    )


def materialized(settings: Settings, window: pl.DataFrame) -> dg.ExecuteInProcessResult:
    """Materialize what is monitored of a window."""
    lake = Lake(settings.lake_url)
    lake.replace("customers", {"all": window.select("customer_id", "churned")}, run_id="test")
    features = window.select("customer_id", pl.col("^visits|spend|plan$"))
    lake.replace("customer_features", {"all": features}, run_id="test")
    resources = {"lake": lake, "clock": settings.clock, "serving": store(settings), "io_manager": json_values}
    return dg.materialize(assets_of(settings), resources=resources, raise_on_error=False)


def report(settings: Settings, window: pl.DataFrame) -> Report:
    """What ``drift_report`` says of a window, and its check."""
    result = materialized(settings, window)
    assert result.success
    [said] = result.asset_materializations_for_node("drift_report")
    [check] = [one for one in result.get_asset_check_evaluations() if one.check_name == "no_drift"]
    return {name: value.value for name, value in said.metadata.items()}, check


def require_published(settings: Settings, said: dict[str, Any], begins: str) -> None:
    """The newest report begins with company, release and our verdict; its only frame is a sandbox with Evidently's drawing."""
    serving = store(settings)
    found = newest(serving.engine, "drift")
    assert found is not None
    assert found.digest == said["report_sha256"]
    assert found.verdict.startswith(begins)
    assert found.size + found.drawing_size < 2_000_000
    page = ReportFile(found).read(serving.files).decode()
    first, _, rest = page.partition("<h2>")
    assert "<h1>Drift of today&#x27;s customers, small</h1>" in first
    assert f"<p>{begins}" in first
    assert str(said["release"]) in first
    assert "<script" not in page
    assert re.findall("<iframe[^>]*>", rest) == [
        f'<iframe sandbox="allow-scripts" src="{found.drawing}.html" title="Distributions of each column, drawn by Evidently">'
    ]
    drawing = ReportFile(found, is_drawing=True).read(serving.files).decode()
    assert "Dataset Drift" in unpacked(drawing)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", drawing)


def test_the_report_shows_the_score_beside_the_features_and_judges_the_features(home: Settings) -> None:
    window = training_set(seed=3).sample(700, seed=1)
    said, check = report(home, window.with_columns(visits=pl.col("visits") + 20))
    assert (said["alert"], said["judged"], said["drifted"], check.passed) == (True, True, "visits", False)
    assert said["dagster/row_count"] == 700
    assert next(iter(said)) == "verdict"
    assert said["verdict"] == "**Alert: visits drifted in at least 1 of 1 judged windows.**"
    score = SCORE.replace("_", r"\_")
    [line] = [line for line in said["features"].splitlines() if line.startswith(f"| {score} |")]
    assert line.split("|")[2] == " shown, not judged "
    assert float(line.split("|")[3]) > 0.5
    assert r"at most 0.5" in said["features"]
    require_published(home, said, "Alert: visits drifted")
    said, check = report(home, window)
    require_published(home, said, "No drift: no feature drifted")
    assert (said["alert"], said["drifted"], check.passed) == (False, "no feature", True)


def test_where_some_customers_have_no_label_the_window_is_of_those_alone(home: Settings) -> None:
    """Of 700 customers 300 are today's, and only theirs have moved; then only those of the others, who were trained on."""
    window = training_set(seed=3).with_columns(customer_id=pl.format("n{}", pl.int_range(pl.len()))).head(700)
    today = pl.int_range(pl.len()) < 300
    moved = pl.col("visits") + 20
    for of_today, drifted in ((True, "visits"), (False, "no feature")):
        rows = window.with_columns(
            churned=pl.when(~today).then("churned"), visits=pl.when(today == of_today).then(moved).otherwise("visits")
        )
        said, _ = report(home, rows)
        assert (said["dagster/row_count"], said["drifted"]) == (300, drifted)


@pytest.mark.parametrize("rows", [1, LEAST_ROWS - 1])
def test_a_window_with_too_few_rows_is_not_judged_and_the_check_does_not_pass(home: Settings, rows: int) -> None:
    said, check = report(home, training_set(seed=3).head(rows))
    assert (said["alert"], said["judged"], said["not_judged"]) == (False, False, "all")
    assert said["features"] == said["verdict"].replace("Not judged", "not judged").strip("*.")
    require_published(home, said, "Not judged: ")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert str(check.description).startswith("not judged: ")


def test_a_window_without_a_column_of_the_release_is_refused_in_a_sentence(home: Settings) -> None:
    result = materialized(home, training_set().drop("spend", "plan"))
    [event] = result.get_step_failure_events()
    assert "customer_features all has no spend, plan, which the serving release" in str(event.step_failure_data.error)
