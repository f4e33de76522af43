"""What arrived in a period, what was ingested before it, and what both kinds of sources need to tell them apart."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.periods import Calendar
from churn_store.mapping.tables import KEYS, Delivery, Table

HOME = "\0home"
"""The column of the period in which a row arrives."""


@dataclass(frozen=True)
class Ingested:
    """What was ingested before.

    Attributes:
        done: the periods of the table that are there.
        rows: the table's rows of a period, in some columns or all, without the column ``period``.
        quarantine: all of a period of its quarantine.
    """

    done: Collection[str]
    rows: Callable[[str, Sequence[str] | None], pl.DataFrame]
    quarantine: Callable[[str], pl.DataFrame]


@dataclass(frozen=True)
class Arrived:
    """What arrived in a period.

    Attributes:
        delivery: its rows, earliest known first where a key comes several times, and those that can't be read.
        again: rows of an earlier period that came once more.
    """

    delivery: Delivery
    again: pl.DataFrame


def of_period(key: str, rows: pl.DataFrame, unreadable: pl.DataFrame) -> Arrived:
    """The rows whose ``HOME`` is a period."""
    mine = pl.col(HOME) == key
    found = rows.filter(mine).drop(HOME)
    return Arrived(Delivery(found, unreadable.filter(mine).drop(HOME)), found.clear())


def own_period(time: str, calendar: Calendar) -> pl.Expr:
    """The period that a time lies in; of what is older than all of them the first."""
    day = pl.from_epoch(pl.col(time), time_unit="s").dt.date()
    floor = {"monthly": day.dt.truncate("1mo"), "weekly": day.dt.truncate("1w"), "daily": day}[calendar.cadence]
    later = pl.max_horizontal(floor, pl.when(floor.is_not_null()).then(pl.lit(calendar.first)))
    return later.dt.to_string("%Y-%m-%d")


def in_order(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows in an order in which, of several with one key, the one that was known first comes first, on every read."""
    if not rows.select(pl.struct(KEYS[table]).is_duplicated().any()).item():
        return rows
    first = ["known_s", "occurred_s"]
    return rows.sort(*first, *(name for name in rows.columns if name not in first))
