"""A partition on its way to the lake: rows sorted once, the table opened once, the data version that it always had."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl
import pytest
from deltalake import DeltaTable

from churn_assets.lake import lake as lake_module
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest, sorted_digest
from churn_assets.orchestration.dagster_internals import DATA_VERSION_TAG
from churn_assets.orchestration.table_writer import Built, Events, TableWriter

JAN, FEB = "2024-01-01", "2024-02-01"
ROWS = pl.DataFrame(
    {"id": ["c", "a", "b"], "kind": ["y", "y", "x"], "share": [0.5, None, 1.0], "left": [True, None, False]}
)
CONTRACT = pa.DataFrameSchema({name: pa.Column(kind, nullable=True) for name, kind in ROWS.schema.items()}, unique=["id"])
DATA_VERSION = "05e0cf5324854f969db5218dad61a1a015a7a1ccc5dcdd66fcfd56b9d8eb9cd5"
"""Of ``ROWS``, as code before this test computed it: data versions outlive the code."""


def write(lake: Lake, period: str, *order: str) -> Any:
    """Write ``ROWS`` in a run of its own; what Dagster keeps of it."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition([JAN, FEB]))
    def written(context: dg.AssetExecutionContext) -> Events:
        writer = TableWriter(context, lake, "written", CONTRACT, order=order)
        writer.add(context.partition_key, Built(ROWS))
        yield from writer.events()

    [event] = dg.materialize([written], partition_key=period).asset_materializations_for_node("written")
    return event


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of Delta tables, once for each time that one was opened."""
    addresses: list[str] = []
    delta_table = DeltaTable

    def counted(uri: str, **options: Any) -> Any:
        addresses.append(uri)
        return delta_table(uri, **options)

    monkeypatch.setattr(lake_module, "DeltaTable", counted)
    return addresses


@pytest.fixture
def sorted_by(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The columns of each sort of a frame."""
    columns: list[Any] = []
    sort = pl.DataFrame.sort

    def counted(frame: pl.DataFrame, by: Any, **options: Any) -> pl.DataFrame:
        columns.append(list(by))
        return sort(frame, by, **options)

    monkeypatch.setattr(pl.DataFrame, "sort", counted)
    return columns


def test_a_partition_is_sorted_once_and_its_table_opened_once(
    tmp_path: Path, opened: list[str], sorted_by: list[Any]
) -> None:
    lake = Lake(str(tmp_path / "lake"))
    for version, period in enumerate([JAN, FEB, FEB]):  # a new table, one beside another period, one in place of another
        opened.clear()
        sorted_by.clear()
        event = write(lake, period)
        assert opened == [lake.uri("written")] * (1 if version else 2)  # a new one is not there at first
        assert sorted_by == [["id"]]
        assert event.metadata["delta_version"].value == lake.version("written") == version
        assert event.tags[DATA_VERSION_TAG] == DATA_VERSION
        assert lake.read("written", period)["id"].to_list() == ["a", "b", "c"]


def test_the_only_partition_of_a_table_is_replaced_with_one_opening(tmp_path: Path, opened: list[str]) -> None:
    lake = Lake(str(tmp_path / "lake"))
    write(lake, JAN)
    opened.clear()
    assert write(lake, JAN).metadata["delta_version"].value == 1
    assert opened == [lake.uri("written")]


def test_rows_that_lie_in_another_order_have_the_data_version_of_their_key(tmp_path: Path, sorted_by: list[Any]) -> None:
    lake = Lake(str(tmp_path / "lake"))
    event = write(lake, JAN, "kind")
    assert sorted_by == [["id"], ["kind"]]
    assert event.tags[DATA_VERSION_TAG] == DATA_VERSION
    assert lake.read("written", JAN)["id"].to_list() == ["b", "a", "c"]


def test_sorted_rows_have_the_digest_that_they_have_in_any_order() -> None:
    assert sorted_digest(ROWS.sort("id")) == digest(ROWS, key=["id"]) == DATA_VERSION
    assert sorted_digest(ROWS) != DATA_VERSION
