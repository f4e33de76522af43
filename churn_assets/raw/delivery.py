"""The rows that arrived in a period, the rows ingested before it, and what both kinds of sources need to tell them apart."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.periods import Calendar, text
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS, Delivery, Table

HOME = "\0home"
"""The column with the period in which a row arrives."""


@dataclass(frozen=True)
class Ingested:
    """Earlier ingests of a table.

    Attributes:
        done: periods that the table has.
        rows: function that returns the rows of a period, in some columns or all, without the column ``period``.
        quarantine: function that returns all quarantined rows of a period.
    """

    done: Collection[str]
    rows: Callable[[str, Sequence[str] | None], pl.DataFrame]
    quarantine: Callable[[str], pl.DataFrame]


@dataclass(frozen=True)
class Arrived:
    """The rows that arrived in a period.

    Attributes:
        delivery: new rows and unreadable ones; of rows with the same key the one that was known first comes first.
        again: rows that another period already has.
    """

    delivery: Delivery
    again: pl.DataFrame


def of_period(key: str, rows: pl.DataFrame, unreadable: pl.DataFrame) -> Arrived:
    """The rows whose ``HOME`` is the given period."""
    mine = pl.col(HOME) == key
    arrived = rows.filter(mine).drop(HOME)
    return Arrived(Delivery(arrived, unreadable.filter(mine).drop(HOME)), arrived.clear())


def why_unread(delivery: Delivery, key: str, calendar: Calendar) -> InputError | None:
    """Why a period's rows can't be read, if the source says so; the first period has whatever is older."""
    start_s, end_s = calendar.bounds_s(key)
    reaches = [
        span for span in delivery.unread if span.start_s < end_s and (span.end_s > start_s or key == text(calendar.first))
    ]
    return reaches[0].reason if reaches else None


def own_period(time: str, calendar: Calendar) -> pl.Expr:
    """The period that a time lies in; the first period for anything older."""
    day = pl.from_epoch(pl.col(time), time_unit="s").dt.date()
    floor = {"monthly": day.dt.truncate("1mo"), "weekly": day.dt.truncate("1w"), "daily": day}[calendar.cadence]
    later = pl.max_horizontal(floor, pl.when(floor.is_not_null()).then(pl.lit(calendar.first)))
    return later.dt.to_string("%Y-%m-%d")


def in_order(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows in an order that is the same on every read: of several with one key, the one that was known first comes first."""
    if not rows.select(pl.struct(KEYS[table]).is_duplicated().any()).item():
        return rows
    first = ["known_s", "occurred_s"]
    return rows.sort(*first, *(name for name in rows.columns if name not in first))
