"""Raw partitions are by arrival: what turns up late belongs to the period in which it did."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from churn_assets.automation.due_sensors import RANGE_END, RANGE_START
from churn_assets.automation.jobs import INGEST
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.lake.lake import Lake
from churn_assets.orchestration.run_history import data_versions
from churn_assets.settings.company import Settings
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Table
from tests.automation.company import CONFIGURATION, TABLES, file_of, write_company

pytestmark = pytest.mark.integration

JAN, MAR = "2024-01-01", "2024-03-01"
PAYMENT = {
    "payment_id": "late",
    "amount": "9.99",
    "status": "settled",
    "occurred": "2024-01-02T10:00:00",
    "known": "2024-03-05T10:00:00",
}
"""Happened before its customer was first seen, and was heard of in March."""


def ingest(settings: Settings, instance: dg.DagsterInstance) -> dict[Table, dict[str, str]]:
    """Ingest January to March, all anew; the data versions by table and period."""
    job = build_defs(settings).resolve_job_def(INGEST)
    assert job.execute_in_process(instance=instance, tags={RANGE_START: JAN, RANGE_END: MAR}, run_config=QUIET).success
    return {table: data_versions(instance, table) for table in TABLES}


@pytest.mark.parametrize("derived", [False, True], ids=["customers in files", "customers known by what they did"])
def test_a_late_row_comes_with_the_period_of_its_arrival_and_changes_no_older_one(
    derived: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=100, until=dt.date(2024, 4, 1))
    source: dict[str, Any] = {**CONFIGURATION["source"], **({"customers": None} if derived else {})}
    settings = Settings(home=tmp_path, source=FilesSettings.model_validate(source))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        before = ingest(settings, instance)
        file = file_of(tmp_path, "payments", JAN)
        rows = pl.read_csv(file, infer_schema=False)
        newest = rows.sort("occurred").row(-1, named=True)["customer_id"]
        late = pl.DataFrame({**PAYMENT, "customer_id": newest}).select(rows.columns)
        pl.concat([rows, late]).write_csv(file)
        after = ingest(settings, instance)
    for table in TABLES:
        changed = {period for period in before[table] if before[table][period] != after[table][period]}
        assert changed <= {MAR}, table
    assert after["payments"][MAR] != before["payments"][MAR]
    assert "late" in Lake(settings.lake_url).read("payments", MAR)["payment_id"].to_list()


def test_the_same_rows_in_another_order_are_the_same_data_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=100, until=dt.date(2024, 4, 1))
    settings = Settings(home=tmp_path, source=FilesSettings.model_validate(CONFIGURATION["source"]))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        before = ingest(settings, instance)
        for table in TABLES:
            file = file_of(tmp_path, table, JAN)
            pl.read_csv(file, infer_schema=False).reverse().write_csv(file)
        assert ingest(settings, instance) == before
