"""A period that breaks its contract, ingested alone: it is not written, and what was there stays."""

import datetime as dt
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.definitions import build_defs
from churn_assets.pipeline import QUIET
from churn_assets.raw.file_settings import FilesSettings
from churn_assets.resources.lake import Lake
from churn_assets.retraining.jobs import INGEST
from churn_assets.settings import Settings
from churn_assets.state import data_versions, materialized
from tests.retraining.company import CONFIGURATION, file_of, write_company

JAN, FEB = "2024-01-01", "2024-02-01"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=100, until=dt.date(2024, 3, 1))
    return Settings(home=tmp_path, source=FilesSettings.model_validate(CONFIGURATION["source"]))


def ingest(settings: Settings, instance: dg.DagsterInstance, month: str) -> dg.ExecuteInProcessResult:
    job = build_defs(settings).resolve_job_def(INGEST)
    return job.execute_in_process(instance=instance, partition_key=month, run_config=QUIET, raise_on_error=False)


def with_negative_amount(settings: Settings, month: str) -> None:
    file = file_of(settings.home, "payments", month)
    rows = pl.read_csv(file)
    rows.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(-1.0).otherwise("amount").alias("amount")).write_csv(file)


def test_a_negative_amount_keeps_its_period_out_and_names_it(shop: Settings) -> None:
    with_negative_amount(shop, FEB)
    with dg.DagsterInstance.ephemeral(tempdir=str(shop.home)) as instance:
        assert ingest(shop, instance, JAN).success
        result = ingest(shop, instance, FEB)
        failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
        assert [(check.asset_key.to_user_string(), check.check_name, check.partition) for check in failed] == [
            ("payments", "ranges", FEB)
        ]
        [failure] = [event for event in result.all_events if event.is_step_failure]
        said = failure.step_failure_data.user_failure_data
        assert said is not None
        assert str(said.description).startswith(f"payments {FEB} was not written: ranges: amount_cents: ")
        assert str(said.description).endswith("broken by 1 rows; found -100")
        assert materialized(instance, "payments") == {JAN}
        assert materialized(instance, "events") == {JAN, FEB}
    assert Lake(shop.lake_url).periods("payments") == [JAN]


def test_a_period_that_turns_bad_leaves_what_was_written_of_it(shop: Settings) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(shop.home)) as instance:
        assert ingest(shop, instance, JAN).success
        rows, versions = Lake(shop.lake_url).read("payments", JAN), data_versions(instance, "payments")
        with_negative_amount(shop, JAN)
        assert not ingest(shop, instance, JAN).success
        assert data_versions(instance, "payments") == versions
    assert Lake(shop.lake_url).read("payments", JAN).equals(rows)
