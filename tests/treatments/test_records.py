"""Treatments of a stretch of time: the company's own table in a real lake, and what the service received, as one frame."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from churn_assets.lake.lake import Lake
from churn_assets.treatments.records import COLUMNS, known_customers, set_aside_between, treatments_between
from churn_store.clock import DAY_S
from churn_store.database.intake import Sender
from churn_store.mapping.tables import QUARANTINE, SCHEMAS
from churn_store.treatments.log import Treatment, record
from tests.release_factory import NOW_S

T_S = NOW_S - 10 * DAY_S
SENDER = Sender("key1", "r1", NOW_S)
CALLED = Treatment("c1", T_S, "phone", "discount", True, 0.9)


def lake_with(folder: Path, *rows: tuple[str, int, bool, float | None]) -> Lake:
    """A lake whose treatments by phone became known a day after their time."""
    lake = Lake(str(folder / "lake"))
    table = [(who, "phone", "discount", treated, e, at_s, at_s + DAY_S) for who, at_s, treated, e in rows]
    lake.replace("treatments", {"all": pl.DataFrame(table, schema=SCHEMAS["treatments"], orient="row")}, run_id="test")
    return lake


def test_without_either_source_there_are_none(tmp_path: Path) -> None:
    for lake in (None, Lake(str(tmp_path / "lake"))):
        found = treatments_between(lake, None, start_s=0, end_s=NOW_S)
        assert (found.height, dict(found.schema)) == (0, COLUMNS)


def test_both_sources_are_one_frame_and_what_both_say_counts_once_as_the_later_one_says_it(
    engine: sa.Engine, tmp_path: Path
) -> None:
    lake = lake_with(tmp_path, ("c1", T_S, False, 0.5), ("c2", T_S, True, None), ("c3", T_S + 2 * DAY_S, True, 0.5))
    record(engine, [CALLED, replace(CALLED, customer_id="c4")], SENDER)
    found = treatments_between(lake, engine, start_s=T_S, end_s=T_S + DAY_S)
    assert found.rows() == [("c1", T_S, True, 0.9), ("c2", T_S, True, None), ("c4", T_S, True, 0.9)]
    record(engine, [replace(CALLED, propensity=0.8)], replace(SENDER, now_s=T_S + 1))  # heard of before the table's row
    lake = lake_with(tmp_path, ("c1", T_S, False, 0.5))
    assert treatments_between(lake, None, start_s=T_S, end_s=T_S + 1).rows() == [("c1", T_S, False, 0.5)]
    assert treatments_between(lake, engine, start_s=T_S, end_s=T_S + 1).rows()[0] == ("c1", T_S, False, 0.5)


def test_the_stretch_ends_before_its_end(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, ("c1", T_S, True, 0.5), ("c2", T_S + 5, True, 0.5))
    assert treatments_between(lake, None, start_s=T_S, end_s=T_S + 5)["customer_id"].to_list() == ["c1"]
    assert treatments_between(lake, None, start_s=T_S + 1, end_s=T_S + 6)["customer_id"].to_list() == ["c2"]


def test_what_lies_in_quarantine_is_counted_but_for_rows_that_came_again(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, ("c1", T_S, True, 0.5))
    assert set_aside_between(lake, start_s=0, end_s=NOW_S) == 0
    broken = [("above 0 and at most 1", "propensity", "7", "{}", T_S), ("a time", "when", "x", "{}", None)]
    again = [("one row a customer_id", "customer_id", "c1", "{}", T_S)]
    rows = pl.DataFrame([*broken, *again], schema=dict(QUARANTINE), orient="row")
    lake.replace("treatments_quarantine", {"all": rows}, run_id="test")
    assert set_aside_between(lake, start_s=T_S, end_s=T_S + 1) == 2
    assert set_aside_between(lake, start_s=T_S + 1, end_s=T_S + 2) == 1  # when the other became known, nobody can say


def test_customers_are_known_by_the_table_of_customers(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.replace("customers", {"all": pl.DataFrame({"customer_id": ["c1", "c1", "c2"]})}, run_id="test")
    assert sorted(known_customers(lake)) == ["c1", "c2"]
