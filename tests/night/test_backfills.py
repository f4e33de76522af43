"""Two backfills from the UI that overlap, while the sensors ask as well: every period is there once, with the same rows."""

import datetime as dt
import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus

from churn_assets.automation.jobs import FEATURES, INGEST
from churn_assets.build import build_defs
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.pools import ensure_limits
from churn_assets.orchestration.run_history import data_versions
from tests.automation.backfills import launch_backfill
from tests.automation.company import CONFIGURATION, TABLES, write_company
from tests.fault_table import Fault
from tests.night.installation import Night, night, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

PATIENCE_S = 600.0
RAW = [name for table in TABLES for name in (table, f"{table}_quarantine")]
SNAPSHOTS = ["2024-03-01", "2024-04-01", "2024-05-01"]
MONTHS = [f"2024-{month:02}-01" for month in range(1, 5)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Night]:
    write_company(tmp_path, customers=300, until=dt.date(2024, 5, 1))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(CONFIGURATION), encoding="utf-8")
    with night(tmp_path, hurried=True) as made:
        made.set_clock("2024-05-01")
        yield made


def backfill(shop: Night, months: list[str]) -> str:
    """Ask for periods of the raw tables as a person does in the asset graph of the UI."""
    graph = build_defs(shop.settings).resolve_asset_graph()
    return launch_backfill(shop.instance, graph, RAW, months, at_s=time.time())


def ended(shop: Night, backfill_id: str) -> bool:
    found = shop.instance.get_backfill(backfill_id)
    return found is not None and found.status in (
        BulkActionStatus.COMPLETED_SUCCESS,
        BulkActionStatus.COMPLETED_FAILED,
        BulkActionStatus.FAILED,
    )


def spans(shop: Night, *, tables: set[str]) -> list[tuple[float, float]]:
    """When the runs that wrote some tables began and ended."""
    found = []
    for record in shop.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS])):
        selected = record.dagster_run.asset_selection or set()
        if record.dagster_run.job_name == INGEST or tables & {key.to_user_string() for key in selected}:
            assert record.start_time is not None
            assert record.end_time is not None
            found.append((record.start_time, record.end_time))
    return sorted(found)


def test_overlapping_backfills_write_each_period_as_one_would(shop: Night, fault: Fault) -> None:
    fault.names(
        "two backfills of raw tables overlap, sensors on", done="January to March, and February to April, asked for at once"
    )
    ensure_limits(shop.instance)  # as a sensor does at its first look, before a person has seen the asset graph
    shop.start_code_server()
    shop.start_daemon()
    begun = time.monotonic()
    asked = [backfill(shop, MONTHS[:3]), backfill(shop, MONTHS[1:])]
    for one in asked:
        wait_until(partial(ended, shop, one), within_s=PATIENCE_S, said=f"the backfill ends; {shop.tail('daemon.log')}")
    shop.wait_until_quiet(within_s=PATIENCE_S)
    took = time.monotonic() - begun

    assert [getattr(shop.instance.get_backfill(one), "status", None) for one in asked] == [
        BulkActionStatus.COMPLETED_SUCCESS
    ] * 2
    between = spans(shop, tables=set(TABLES))
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(between)), "two runs wrote the raw tables at once"
    assert shop.runs(INGEST) == [], "a sensor asked for what a person was materializing"
    for table in TABLES:
        assert shop.lake.periods(table) == sorted(data_versions(shop.instance, table)) == MONTHS
        assert lost(shop.instance, shop.lake, table) == {}
        key = {"customers": ["customer_id", "occurred_s"], "events": ["event_id"], "payments": ["payment_id"]}[table]
        rows = shop.lake.scan(table).select(key).collect()
        assert rows.n_unique() == rows.height, f"rows of {table} are there twice"
    features = [run for run in shop.runs(FEATURES) if run.status == dg.DagsterRunStatus.SUCCESS]
    assert len(features) == len({str(sorted(run.tags.items())) for run in features})
    assert sorted(data_versions(shop.instance, "customer_features")) == SNAPSHOTS
    fault.held(
        f"{len(between)} runs one after the other; each of {len(MONTHS)} periods once, no row twice", recovered_after_s=took
    )
