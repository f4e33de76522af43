"""Proof: in a real lake, a snapshot of last year recomputed today is the one that was stored, whatever has arrived since."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.features.feature_sets import features_of
from churn_assets.features.reach import needed
from churn_assets.features.snapshot import features_at
from churn_assets.periods import DAY_S, Calendar, epoch_s, text
from churn_assets.raw.source import KEYS, Table
from churn_assets.raw.synthetic import SyntheticSettings, SyntheticSource
from churn_assets.resources.lake import Lake, digest
from churn_assets.settings import AtRisk
from tests.features.company import GIVEN, TABLES

START, TODAY = date(2023, 1, 1), date(2024, 8, 1)
MONTHLY = Calendar("monthly", START)
MONTHS = [text(month) for month in MONTHLY.complete(TODAY)]
SNAPSHOTS = [month for month in MONTHS if month >= "2023-07-01"]
LAST_YEAR = [snapshot for snapshot in SNAPSHOTS if snapshot < "2024-01-01"]
RULE = AtRisk()
SOURCE = SyntheticSource(SyntheticSettings(customers=400, start=START, months=20))
FEATURES = features_of(TABLES, SOURCE.attributes, has_time=True, given=GIVEN)
KEY = ["customer_id", "snapshot_s"]


def snapshot_of(lake: Lake, key: str, versions: dict[str, int] | None = None) -> pl.DataFrame:
    """The features of a snapshot from the lake as it is now, or as it was."""
    day = date.fromisoformat(key)
    rows: dict[Table, Any] = {
        table: needed(table, lake.scan(table, version=(versions or {}).get(table)), day, FEATURES, RULE, MONTHLY)
        for table in TABLES
    }
    return features_at(rows, FEATURES, epoch_s(day), RULE)


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
            lake.replace(
                "customer_features",
                {month: snapshot_of(lake, month)},
                run_id=month,
                sources=lake.versions(TABLES),
            )
        arrive(lake, month)
    return lake


@pytest.mark.parametrize("key", LAST_YEAR)
def test_a_snapshot_of_last_year_recomputed_today_is_the_stored_one(lake: Lake, key: str) -> None:
    stored = lake.read("customer_features", key)
    assert stored.height > 50
    assert digest(snapshot_of(lake, key), key=KEY) == digest(stored, key=KEY)


@pytest.mark.parametrize("key", LAST_YEAR[::3])
def test_so_it_is_from_the_versions_of_the_tables_that_it_was_made_of(lake: Lake, key: str) -> None:
    [version] = [
        v for v in range(lake.version("customer_features") + 1) if max(lake.periods("customer_features", version=v)) == key
    ]
    made_of = lake.sources("customer_features", version=version)
    assert made_of != lake.versions(TABLES)
    assert digest(snapshot_of(lake, key, made_of), key=KEY) == digest(lake.read("customer_features", key), key=KEY)


def test_a_late_row_leaves_every_earlier_snapshot_as_it_was_and_changes_the_next_one(lake: Lake, tmp_path: Path) -> None:
    before = {key: digest(snapshot_of(lake, key), key=KEY) for key in SNAPSHOTS}
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
    after = {key: digest(snapshot_of(lake, key), key=KEY) for key in SNAPSHOTS}
    assert {key for key in SNAPSHOTS if before[key] != after[key] and key <= arrives} == set()
    assert before["2024-04-01"] != after["2024-04-01"]
