"""Rows that tell of a stretch of time: contracts with a start and an end, and sums of a month or a week."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from pydantic import ValidationError

from churn_assets.connectors.files.source import FilesSource
from churn_assets.connectors.postgres.source import PostgresSource
from churn_assets.settings.postgres import PostgresSettings
from churn_store.mapping.canonical import Rules
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.tables import Table
from tests.store.mapping.reading import payments
from tests.store.servers import Postgres

CONTRACTS = """who,begun,over
a,2024-01-03,2024-03-05
b,2024-01-04,
c,2024-02-10,9999-12-31
d,2024-02-11,9999-12-31
e,2024-05-01,2024-09-01
f,2024-05-02,2024-05-40
"""
EVENTS: dict[str, Any] = {
    "path": "contracts.csv",
    "event_times": {"started": "begun", "cancelled": "over"},
    "columns": {"customer_id": "who"},
}
SUMS = "client,paid_at,total\na,2024-02,1\nb,2024-03,2\nb,2023-12,3\n"


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MONTHS = [second(f"2024-{month:02}-01") for month in range(1, 11)]


def test_a_contract_is_an_event_when_it_begins_and_one_when_it_ends(tmp_path: Path) -> None:
    """An end that nobody has reached is none, however it is written; one that lies ahead has not happened yet."""
    (tmp_path / "contracts.csv").write_text(CONTRACTS, encoding="utf-8")
    settings = FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "events": EVENTS})
    source = FilesSource(settings, tmp_path, Rules(limit=0.5, now_s=second("2024-07-01")))
    begun = {
        "a": "2024-01-03",
        "b": "2024-01-04",
        "c": "2024-02-10",
        "d": "2024-02-11",
        "e": "2024-05-01",
        "f": "2024-05-02",
    }
    until_july = [("a", "cancelled", second("2024-03-05")), *((who, "started", second(day)) for who, day in begun.items())]
    found = source.read("events", second("2024-01-01"), second("2024-07-01"))
    assert sorted(found.rows.select("customer_id", "event_type", "occurred_s").rows()) == sorted(until_july)
    assert found.unreadable.select("column", "value").rows() == [("over", "2024-05-40")]
    later = source.read("events", second("2024-01-01"), second("2024-10-01"))
    assert later.rows.height == len(until_july) + 1
    assert sorted(later.rows.filter(customer_id="e")["event_type"]) == ["cancelled", "started"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"columns": {"customer_id": "who", "occurred": "begun"}}, "maps occurred; expected one of them"),
        ({"columns": {"customer_id": "who", "event_id": "n"}}, "maps event_id; expected one of them"),
        ({"constants": {"event_type": "x"}}, "maps event_type; expected one of them"),
        ({"event_times": {}}, "must map event_type, occurred"),
        ({"event_times": {" ": "begun"}}, "at least 1 character"),
        ({"event_times": {"started": "begun", " started": "over"}}, "the type 'started' stands twice"),
        ({"event_times": {"started": "begun", "signed": "begun"}}, "the column 'begun' stands twice"),
    ],
)
def test_a_row_is_one_event_or_several_but_not_both(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FilesSettings.model_validate({"kind": "files", "start": "2024-01-01", "events": {**EVENTS, **changed}})


@pytest.mark.parametrize(
    ("table", "changed", "said"),
    [
        ("payments", {"event_times": {"paid": "t"}}, "belongs to `events`"),
        (
            "customers",
            {"aggregated_by": "month", "columns": {"customer_id": "who", "signed_up": "t"}},
            "`aggregated_by` belongs to `events` and `payments`",
        ),
    ],
)
def test_what_belongs_to_another_table_is_refused(table: str, changed: dict[str, Any], said: str) -> None:
    paid: dict[str, Any] = {"path": "p.csv", "columns": {"customer_id": "who", "amount": "x", "occurred": "t"}}
    source: dict[str, Any] = {"kind": "files", "start": "2024-01-01", "payments": paid, table: {**paid, **changed}}
    with pytest.raises(ValidationError, match=said):
        FilesSettings.model_validate(source)


@pytest.mark.parametrize(
    ("span", "written", "happened"),
    [
        ("month", "2024-02-01", "2024-02-29T23:59:59"),
        ("month", "2023-12-31T22:00:00Z", "2023-12-31T23:59:59"),
        ("week", "2024-03-03", "2024-03-09T23:59:59"),
        ("day", "2024-03-03T10:00:00Z", "2024-03-03T23:59:59"),
    ],
)
def test_a_sum_has_happened_when_its_time_is_over(tmp_path: Path, span: str, written: str, happened: str) -> None:
    """On the first day of a month nobody knew what the month would bring."""
    found = payments(tmp_path, f"client,paid_at,total\na,{written},1\n", aggregated_by=span)
    assert found.rows.select("occurred_s", "known_s").rows() == [(second(happened), second(happened))]


def test_months_without_a_day_are_read(tmp_path: Path) -> None:
    found = payments(tmp_path, SUMS, aggregated_by="month", time_format="%Y-%m")
    assert found.rows["occurred_s"].to_list() == [
        second(f"{day}T23:59:59") for day in ("2023-12-31", "2024-02-29", "2024-03-31")
    ]


def test_a_database_gives_the_events_and_the_sums_that_files_give(postgres_server: Postgres, tmp_path: Path) -> None:
    """What is pushed down to the server leaves out no row: a contract that began long ago ends today."""
    url = postgres_server.new_database()
    first = date(2024, 1, 1)
    contracts = [
        (str(n), first + timedelta(days=3 * n), first + timedelta(days=7 * n) if n % 3 else None) for n in range(1, 40)
    ]
    sums = [(str(n % 7), date(2024, 1 + n % 9, 1), n, date(2024, 1 + n % 9, 1) + timedelta(days=33)) for n in range(1, 60)]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE contracts (who text, begun date, over date)")
        connection.execute("CREATE TABLE sums (who text, month date, total int, heard date)")
        connection.cursor().executemany("INSERT INTO contracts VALUES (%s, %s, %s)", contracts)
        connection.cursor().executemany("INSERT INTO sums VALUES (%s, %s, %s, %s)", sums)
    pl.DataFrame(contracts, schema=["who", "begun", "over"], orient="row").write_csv(tmp_path / "contracts.csv")
    pl.DataFrame(sums, schema=["who", "month", "total", "heard"], orient="row").write_csv(tmp_path / "sums.csv")
    events = {name: EVENTS[name] for name in ("event_times", "columns")}
    columns = {"customer_id": "who", "amount": "total", "occurred": "month", "known": "heard"}
    paid = {"aggregated_by": "month", "columns": columns}

    def source(kind: str, **where: str) -> dict[str, Any]:
        key = next(iter(where))
        described = {
            "events": {**events, key: where[key]},
            "payments": {**paid, key: where[key].replace("contracts", "sums")},
        }
        return {"kind": kind, "start": "2024-01-01", **described}

    database = PostgresSource(PostgresSettings.model_validate({**source("postgres", table="contracts"), "url": url}))
    files = FilesSource(FilesSettings.model_validate(source("files", path="contracts.csv")), tmp_path)
    tables: tuple[Table, ...] = ("events", "payments")
    for table in tables:
        for start_s, end_s in pairwise(MONTHS):
            assert database.read(table, start_s, end_s).rows.equals(files.read(table, start_s, end_s).rows)
        assert files.read(table, MONTHS[0], MONTHS[-1]).rows.height > len(contracts)
