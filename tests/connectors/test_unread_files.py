"""Which periods a file that can't be read stops: those that its name and the files beside it say it may have rows of."""

import datetime as dt

import pytest

from churn_assets.connectors.files.unread_files import span_of, unread_spans
from churn_assets.tables import EVER_S
from churn_store.errors import InputError

CUT = InputError("cut off")
START = dt.date(2024, 1, 1)


def at(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp())


def days(first: str, end: str) -> tuple[int, int]:
    """The times of a first and a last row: from a day until just before another."""
    return at(first), at(end) - 1


@pytest.mark.parametrize(
    ("name", "first", "end"),
    [
        ("data/events-2024-02.csv", "2024-02-01", "2024-03-01"),
        ("data/events_202402.csv.gz", "2024-02-01", "2024-03-01"),
        ("data/2024/02/events.csv", "2024-02-01", "2024-03-01"),
        ("events.2024-12.parquet", "2024-12-01", "2025-01-01"),
        ("events-2024-02-29.csv", "2024-02-29", "2024-03-01"),
        ("events-20240201-20240210.csv", "2024-02-01", "2024-02-11"),
        ("events-2024-W05.csv", "2024-01-29", "2024-02-05"),
    ],
)
def test_a_date_in_a_name_is_a_span_of_time(name: str, first: str, end: str) -> None:
    assert span_of(name) == (at(first), at(end))


@pytest.mark.parametrize(
    "name", ["events.csv", "events-part-2.csv", "events-2024.csv", "orders-120240299.csv", "x-2024-13.csv"]
)
def test_a_name_without_a_date_says_nothing(name: str) -> None:
    assert span_of(name) is None


def spans(broken: str, known: dict[str, tuple[int, int]]) -> list[tuple[int, int]]:
    found = unread_spans({broken: CUT}, known, start_s=at("2024-01-01"))
    return [(unread.start_s, unread.end_s) for unread in found]


def test_a_file_of_a_month_stops_that_month() -> None:
    known = {"e-2024-01.csv": (at("2019-01-01"), at("2024-01-31")), "e-2024-03.csv": days("2024-03-02", "2024-04-01")}
    assert spans("e-2024-02.csv", known) == [(at("2024-02-01"), at("2024-03-01"))]


def test_a_file_named_by_its_first_day_reaches_to_the_next_one() -> None:
    known = {
        "e-2024-01-01.csv": days("2024-01-01", "2024-02-01"),
        "e-2024-03-01.csv": days("2024-03-01", "2024-04-01"),
    }
    assert spans("e-2024-02-01.csv", known) == [(at("2024-02-01"), at("2024-03-01"))]
    assert spans("e-2024-04-01.csv", known) == [(at("2024-04-01"), EVER_S)], "the last one may reach anywhere"


def test_rows_that_come_late_in_other_files_may_come_late_in_this_one() -> None:
    known = {"e-2024-01.csv": days("2024-01-01", "2024-02-11"), "e-2024-03.csv": days("2024-02-28", "2024-04-01")}
    assert spans("e-2024-02.csv", known) == [(at("2024-01-30"), at("2024-03-11"))], "two days early, ten days late"


@pytest.mark.parametrize(
    ("broken", "known"),
    [
        ("e-february.csv", {"e-2024-01.csv": days("2024-01-01", "2024-02-01")}),
        ("e-2024-02.csv", {"e-january.csv": days("2024-01-01", "2024-02-01")}),
        ("e-2024-02.csv", {}),
    ],
)
def test_where_names_say_nothing_every_period_waits(broken: str, known: dict[str, tuple[int, int]]) -> None:
    [unread] = unread_spans({broken: CUT}, known, start_s=at("2024-01-01"))
    assert (unread.start_s, unread.end_s) == (-EVER_S, EVER_S)
    assert "cut off. Any period may be in it" in str(unread.reason)
