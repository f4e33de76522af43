"""A lake that was written before the present columns: migrated, it is used on, and its old rows are what they were."""

import shutil
from datetime import date
from pathlib import Path
from threading import Thread

import polars as pl
import pytest
from deltalake import DeltaTable

from churn_assets.features.feature_sets import company_features, features_of
from churn_assets.features.lake_columns import outdated
from churn_assets.features.snapshot import features_at
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import lacking, migrate_lake
from churn_assets.lake.row_digest import digest
from churn_assets.lake.versions import digest_at
from churn_assets.periods import epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.events import EventRoles
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.errors import InputError
from churn_store.mapping.tables import SCHEMAS, Table

OLDER = Path(__file__).parent / "older" / "lake-of-4f2c9fc.tar.gz"
NEW = ["due_s", "list_cents"]
TABLES: tuple[Table, ...] = ("customers", "events", "payments")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    shutil.unpack_archive(OLDER, tmp_path)
    return Lake(str(tmp_path / "lake"))


def a_new_period(lake: Lake) -> pl.DataFrame:
    old = lake.read("payments", "2024-09-01").drop(NEW, strict=False)
    return old.with_columns(
        payment_id="new" + pl.col("payment_id"), due_s=pl.col("occurred_s") - 1, list_cents=pl.col("amount_cents")
    ).select(list(SCHEMAS["payments"]))


def test_before_it_a_period_of_the_present_columns_is_refused_and_after_it_it_lies_beside_the_old_ones(lake: Lake) -> None:
    new = a_new_period(lake)
    with pytest.raises(InputError, match="has other columns: due_s"):
        lake.replace("payments", {"2024-10-01": new}, run_id="r")
    assert migrate_lake(lake) == {"payments": NEW}
    lake.replace("payments", {"2024-10-01": new}, run_id="r")
    again = lake.read("payments", "2024-10-01")
    assert again.select(new.columns).equals(new)
    assert digest_at("payments", again) == digest(new, key=["payment_id"])  # though its columns lie in another order
    assert (
        lake.read("payments", "2024-09-01").select(pl.col(NEW).null_count()).row(0)
        == (lake.read("payments", "2024-09-01").height,) * 2
    )


def test_no_old_row_changes_and_no_file_is_rewritten(lake: Lake) -> None:
    def seen() -> dict[str, str]:
        return {
            period: digest(lake.read("payments", period).drop(NEW, strict=False), key=["payment_id"])
            for period in lake.periods("payments")
        }

    files, before = set(DeltaTable(lake.uri("payments")).file_uris()), seen()
    assert len(before) == 9
    migrate_lake(lake)
    assert (set(DeltaTable(lake.uri("payments")).file_uris()), seen()) == (files, before)


def test_a_second_time_it_does_nothing(lake: Lake) -> None:
    migrate_lake(lake)
    versions = {table: lake.version(table) for table in ("customers", "events", "payments")}
    assert migrate_lake(lake) == {}
    assert versions == {"customers": 1, "events": 1, "payments": 2}
    assert versions == {table: lake.version(table) for table in versions}
    assert lacking(lake, "payments") == []


def test_from_then_on_all_versions_are_kept(lake: Lake) -> None:
    tables = ("customers", "events", "payments", "customer_features", "churn_labels")
    migrate_lake(lake)
    for table in tables:
        assert DeltaTable(lake.uri(table)).metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


def test_of_two_at_once_each_column_is_added_once(lake: Lake) -> None:
    said: list[object] = []

    def go() -> None:
        try:
            said.append(migrate_lake(lake))
        except InputError as error:
            said.append(error)

    threads = [Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lacking(lake, "payments") == []
    assert all(one in ({"payments": NEW}, {}) or "run `churn data migrate` again" in str(one) for one in said)
    columns = [field.name for field in DeltaTable(lake.uri("payments")).schema().fields]
    assert sorted(columns) == sorted([*SCHEMAS["payments"], PERIOD])
    lake.replace("payments", {"2024-10-01": a_new_period(lake)}, run_id="r")


def test_an_empty_lake_is_left_alone(tmp_path: Path) -> None:
    assert migrate_lake(Lake(str(tmp_path))) == {}


def test_features_are_computed_at_a_snapshot_whose_payments_are_old_ones(lake: Lake) -> None:
    migrate_lake(lake)
    lake.replace("payments", {"2024-10-01": a_new_period(lake)}, run_id="r")
    source = SyntheticSource(SyntheticSettings(customers=120, months=6))
    features = features_of(TABLES, source.attributes, has_time=True)
    tables = {table: lake.scan(table).filter(pl.col(PERIOD) < "2024-09-01").drop(PERIOD) for table in TABLES}
    frame = features_at(tables, features, epoch_s(date(2024, 9, 1)), AtRisk(), EventRoles())
    stored = lake.read("customer_features", "2024-09-01")
    shared = [name for name in stored.columns if name in frame.columns]
    assert frame.height == stored.height > 0
    assert len(shared) > 20
    assert frame.select(shared).equals(stored.select(shared))


def test_a_table_made_from_the_raw_ones_is_named_with_how_to_rebuild_it(lake: Lake, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    frame = lake.read("customer_features", "2024-07-01")
    periods = dict.fromkeys(
        ("2024-07-01", "2024-08-01", "2024-09-01", "2024-10-01"), frame.drop("sessions_30d").with_columns(extra=1)
    )
    lake.replace("customer_features", periods, run_id="r")
    features = company_features(
        SyntheticSource(SyntheticSettings()), settings.source, settings.features, settings.events.types
    )
    [said] = outdated(lake, features, has_time=True, has_kinds=False)
    assert "customer_features has other columns than the present catalogue: it lacks" in said
    assert "sessions_30d" in said
    assert "extra" in said
    assert "--select customer_features --partition-range 2024-07-01...2024-10-01" in said


def test_types_and_kinds_that_are_switched_on_later_need_all_periods_in_one_run(lake: Lake) -> None:
    source = SyntheticSource(SyntheticSettings())
    before, after = (
        features_of(TABLES, source.attributes, has_time=True, types=types) for types in ((), ("feature_used",))
    )
    old, labels = lake.read("customer_features", "2024-07-01"), lake.read("churn_labels", "2024-07-01")
    stored = old.select("customer_id", "snapshot_s").with_columns(pl.lit(0.0).alias(feature.name) for feature in before)
    lake.replace("customer_features", dict.fromkeys(lake.periods("customer_features"), stored), run_id="r")
    assert outdated(lake, before, has_time=True, has_kinds=False) == []
    of_features, of_labels = outdated(lake, after, has_time=True, has_kinds=True)
    assert "it lacks days_since_type_feature_used, trend_of_type_feature_used, type_feature_used_30d" in of_features
    assert "it lacks churn_kind. Rebuild all its periods in one run" in of_labels
    told = labels.with_columns(churn_kind=pl.lit(None, dtype=pl.String))
    with pytest.raises(InputError, match="has other columns: churn_kind"):
        lake.replace("churn_labels", {"2024-07-01": told}, run_id="r")
    assert lake.read("churn_labels", "2024-07-01").equals(labels)
    lake.replace("churn_labels", dict.fromkeys(lake.periods("churn_labels"), told), run_id="r")
    assert {feature.name for feature in before} < {feature.name for feature in after}  # what the champion asks for stays


def test_a_torn_file_of_rows_does_not_stop_it(lake: Lake, tmp_path: Path) -> None:
    """Otherwise nothing that migrates first could make the torn period again."""
    table = "payments"
    for stored in next(iter((lake.files(table) or {}).values())):
        (Path(lake.uri(table)) / stored.path).unlink()
    assert lacking(lake, table)
    assert table in migrate_lake(lake)
    assert lacking(lake, table) == []
