"""Values of events: how they are read from a company's file, kept in the lake, and that other companies have none."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from churn_assets.connectors.files.source import FilesSource
from churn_assets.contracts import sift, violations
from churn_assets.features.feature_sets import company_features, value_of
from churn_assets.features.snapshot import features_at
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.migrate import lacking, migrate_lake
from churn_assets.lake.restore import restore
from churn_assets.periods import epoch_s
from churn_assets.raw.contracts import raw_contract
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.settings.features import Features
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import SCHEMAS, Table

EVER = 2**62
OLDER_LAKE = Path(__file__).parents[1] / "lake" / "older" / "lake-of-4f2c9fc.tar.gz"
COLUMNS = {"customer_id": "who", "event_type": "what", "occurred": "when"}
PLAYED = {"path": "e.csv", "columns": {**COLUMNS, "value": "played"}, "value_unit": "minutes"}
ROWS = "who,what,when,played\na,watch,2024-01-05,12\na,watch,2024-01-06,\nb,login,2024-01-06,\n"


def described(**events: Any) -> FilesSettings:
    return FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "events": events})


def source_of(folder: Path, content: str, **changed: Any) -> FilesSource:
    (folder / "e.csv").write_text(content)
    return FilesSource(described(**{**PLAYED, **changed}), folder)


def events(folder: Path, content: str, **changed: Any) -> pl.DataFrame:
    return source_of(folder, content, **changed).read("events", -EVER, EVER).rows


def test_values_are_whole_numbers_beside_the_canonical_columns_and_may_be_missing(tmp_path: Path) -> None:
    rows = events(tmp_path, ROWS)
    assert dict(rows.schema) == {**SCHEMAS["events"], "event_value": pl.Int64}
    assert sorted(rows.select("customer_id", "event_value").rows(), key=str) == [("a", 12), ("a", None), ("b", None)]
    assert violations(raw_contract("events", (), source_of(tmp_path, ROWS).given("events")), rows) == []


def test_decimals_are_kept_in_their_smallest_unit_exactly(tmp_path: Path) -> None:
    content = ROWS + "b,watch,2024-01-07,4.35\nb,watch,2024-01-08,100000000.29\n"
    assert events(tmp_path, content, value_decimals=2)["event_value"].drop_nulls().sort().to_list() == [
        435,
        1200,
        10000000029,
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("4.5", "column played holds '4.5'"),
        ("long", "column played holds 'long'"),
        ("1e300", "column played holds '1e300'"),
    ],
)
def test_a_value_that_is_no_whole_number_of_the_unit_is_refused_with_the_setting_to_change(
    tmp_path: Path, value: str, said: str
) -> None:
    with pytest.raises(InputError) as error:
        events(tmp_path, ROWS + f"b,watch,2024-01-07,{value}\n")
    assert said in str(error.value)
    assert "another `value_decimals`" in str(error.value)


def test_a_negative_value_is_set_aside(tmp_path: Path) -> None:
    rows = events(tmp_path, ROWS + "b,watch,2024-01-07,-3\n")
    sifted = sift(raw_contract("events", (), {"event_value"}), rows)
    assert sifted.set_aside.select("column", "value").rows() == [("event_value", "-3")]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"path": "e.csv", "columns": {**COLUMNS, "value": "played"}}, "write its unit, such as `value_unit: seconds`"),
        ({"path": "e.csv", "columns": COLUMNS, "value_unit": "minutes"}, "and no `value` is mapped"),
        ({"path": "e.csv", "columns": COLUMNS, "value_decimals": 1}, "and no `value` is mapped"),
    ],
)
def test_a_value_needs_a_unit_and_a_unit_a_value(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        described(**table)


def test_rows_keep_their_ids_when_the_value_is_mapped_later(tmp_path: Path) -> None:
    content = ROWS + "a,watch,2024-01-05,9\n"
    later, before = events(tmp_path, content), events(tmp_path, content, columns=COLUMNS, value_unit=None)
    assert before["event_id"].n_unique() == 4
    assert set(before["event_id"]) == set(later["event_id"])
    assert dict(before.schema) == SCHEMAS["events"]


def test_a_source_without_values_has_the_contract_and_the_fingerprint_that_it_had() -> None:
    table = described(path="e.csv", columns=COLUMNS).model_dump(mode="json")["events"]
    assert not {name for name in table if name.startswith("value_")}
    assert set(raw_contract("events", ()).columns) == set(SCHEMAS["events"])


def test_features_of_values_are_in_the_unit_of_the_company(tmp_path: Path) -> None:
    content = ROWS + "a,watch,2024-03-01,4.5\na,watch,2024-03-20,1\nb,watch,2024-03-21,\nb,login,2024-03-21,7\n"
    source = source_of(tmp_path, content, value_decimals=1)
    settings = described(**PLAYED, value_decimals=1)
    features = [
        feature
        for feature in company_features(source, settings, Features(), ["watch"])
        if feature.event_type and "event_value" in feature.needs
    ]
    tables: dict[Table, Any] = {table: source.read(table, -EVER, EVER).rows.lazy() for table in settings.tables}
    frame = features_at(tables, features, epoch_s(date(2024, 4, 1)), AtRisk(), EventRoles())
    assert {feature.unit for feature in features} == {"minutes", "share"}
    assert frame.drop("snapshot_s").rows(named=True) == [
        {
            "customer_id": "a",
            "sum_of_type_watch_30d": 1.0,
            "sum_of_type_watch_90d": 17.5,
            "mean_of_type_watch_90d": 17.5 / 3,
            "sum_trend_of_type_watch": 1 / 17.5,
        },
        {
            "customer_id": "b",
            "sum_of_type_watch_30d": 0.0,
            "sum_of_type_watch_90d": 0.0,
            "mean_of_type_watch_90d": None,
            "sum_trend_of_type_watch": 0.0,
        },
    ]


def test_without_a_value_there_are_no_features_of_values(tmp_path: Path) -> None:
    source, settings = source_of(tmp_path, ROWS, columns=COLUMNS, value_unit=None), described(path="e.csv", columns=COLUMNS)
    names = {feature.name for feature in company_features(source, settings, Features(), ["watch"])}
    assert value_of(settings) is None
    assert "type_watch_90d" in names
    assert not {name for name in names if "sum" in name or name.startswith("mean_of_")}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of before there were values."""
    shutil.unpack_archive(OLDER_LAKE, tmp_path)
    return Lake(str(tmp_path / "lake"))


GIVEN: dict[Table, list[str]] = {"events": ["event_value"]}


def test_a_lake_gets_the_column_where_values_are_mapped_and_stays_as_it_is_where_not(lake: Lake) -> None:
    assert "events" not in migrate_lake(lake)
    old = lake.read("events", "2024-09-01")
    new = old.with_columns(event_id="new" + pl.col("event_id"), event_value=pl.lit(5, dtype=pl.Int64))
    with pytest.raises(InputError, match="has other columns: event_value"):
        lake.replace("events", {"2024-10-01": new}, run_id="r")
    assert lacking(lake, "events", GIVEN["events"]) == ["event_value"]
    assert migrate_lake(lake, GIVEN) == {"events": ["event_value"]}
    assert migrate_lake(lake, GIVEN) == {}
    assert lake.read("events", "2024-09-01").drop("event_value").equals(old)
    lake.replace("events", {"2024-10-01": new}, run_id="r")
    values = lake.scan("events").drop(PERIOD).collect()["event_value"]
    assert (values.sum(), values.count()) == (5 * new.height, new.height)


def test_a_version_of_before_the_column_is_restored_with_it(lake: Lake) -> None:
    migrate_lake(lake, GIVEN)
    rows = lake.read("events", "2024-09-01")
    lake.replace("events", {"2024-09-01": rows.head(1)}, run_id="r")
    restore(lake, "events", 0, periods=["2024-09-01"])
    assert lake.read("events", "2024-09-01").select(rows.columns).equals(rows)
