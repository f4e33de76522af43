"""Proof: in a real lake, a snapshot of last year recomputed today is the one that was stored, whatever has arrived since."""

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.periods import Calendar, epoch_s, text
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.clock import DAY_S
from churn_store.mapping.tables import KEYS
from tests.features.company import GIVEN, TABLES
from tests.features.edges import from_all_rows

START, TODAY = date(2023, 1, 1), date(2024, 8, 1)
MONTHLY = Calendar("monthly", START)
MONTHS = [text(month) for month in MONTHLY.complete(TODAY)]
SNAPSHOTS = [month for month in MONTHS if month >= "2023-07-01"]
LAST_YEAR = [snapshot for snapshot in SNAPSHOTS if snapshot < "2024-01-01"]
RULE = AtRisk()
SOURCE = SyntheticSource(SyntheticSettings(customers=400, start=START, months=20))
FEATURES = features_of(TABLES, SOURCE.attributes, has_time=True, given=GIVEN, types=["feature_used"])
KEY = ["customer_id", "snapshot_s"]


def history_of(lake: Lake, versions: dict[str, int] | None = None) -> History:
    """The raw tables of the lake as it is now, or as it was."""
    made_of = versions or lake.versions(TABLES)
    return History(lake, {table: made_of[table] for table in TABLES}, MONTHLY, FEATURES, RULE, EventRoles())


def snapshots_of(lake: Lake, keys: Sequence[str], versions: dict[str, int] | None = None) -> dict[str, str]:
    """Digests of the snapshots that the engine computes in one run, in the order of time."""
    days = [date.fromisoformat(key) for key in keys]
    found = PolarsEngine().snapshots(history_of(lake, versions), days)
    return {text(day): digest(frame, key=KEY) for day, frame in found}


def stored(lake: Lake, key: str) -> str:
    """The digest of a stored snapshot."""
    return digest(lake.read("customer_features", key), key=KEY)


def arrive(lake: Lake, month: str) -> None:
    """Ingest a month, each table in one commit."""
    for table in TABLES:
        rows = SOURCE.read(table, *MONTHLY.bounds_s(month)).rows
        lake.replace(table, {month: rows.sort(KEYS[table])}, run_id=month)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that grew month by month, with each snapshot stored when its day had come."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for month in MONTHS:
        if month in SNAPSHOTS:
            [(_, frame)] = PolarsEngine().snapshots(history_of(lake), [date.fromisoformat(month)])
            lake.replace("customer_features", {month: frame}, run_id=month, sources=lake.versions(TABLES))
        arrive(lake, month)
    return lake


@pytest.mark.parametrize("key", LAST_YEAR)
def test_a_snapshot_of_last_year_recomputed_today_is_the_stored_one(lake: Lake, key: str) -> None:
    assert lake.read("customer_features", key).height > 50
    assert snapshots_of(lake, [key]) == {key: stored(lake, key)}


def test_so_it_is_in_one_run_over_all_snapshots(lake: Lake) -> None:
    assert snapshots_of(lake, SNAPSHOTS) == {key: stored(lake, key) for key in SNAPSHOTS}


@pytest.mark.parametrize("key", LAST_YEAR)
def test_so_it_is_from_every_row_that_the_lake_has_today(lake: Lake, key: str) -> None:
    assert digest(from_all_rows(history_of(lake), date.fromisoformat(key)), key=KEY) == stored(lake, key)


@pytest.mark.parametrize("key", LAST_YEAR[::3])
def test_so_it_is_from_the_versions_of_the_tables_that_it_was_made_of(lake: Lake, key: str) -> None:
    [version] = [
        v for v in range(lake.version("customer_features") + 1) if max(lake.periods("customer_features", version=v)) == key
    ]
    made_of = lake.sources("customer_features", version=version)
    assert made_of != lake.versions(TABLES)
    assert snapshots_of(lake, [key], made_of) == {key: stored(lake, key)}


def test_a_late_row_leaves_every_earlier_snapshot_as_it_was_and_changes_the_next_one(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(lake.uri("events").removesuffix("/events"), tmp_path / "lake")
    lake = Lake(str(tmp_path / "lake"))
    before = snapshots_of(lake, SNAPSHOTS)
    arrives = "2024-03-01"
    known_s = epoch_s(date.fromisoformat(arrives)) + DAY_S
    for table in ("events", "payments"):
        month = lake.read(table, arrives)
        late = month.head(200).with_columns(
            pl.concat_str(pl.lit("late"), pl.col(KEYS[table][0])).alias(KEYS[table][0]),
            occurred_s=pl.lit(known_s - 40 * DAY_S, dtype=pl.Int64),
            known_s=pl.lit(known_s, dtype=pl.Int64),
        )
        lake.replace(table, {arrives: pl.concat([month, late]).sort(KEYS[table])}, run_id="late")
    after = snapshots_of(lake, SNAPSHOTS)
    assert {key for key in SNAPSHOTS if before[key] != after[key] and key <= arrives} == set()
    assert before["2024-04-01"] != after["2024-04-01"]
