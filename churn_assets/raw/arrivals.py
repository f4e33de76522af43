"""Which of a source's rows arrive in which period, and when they became known.

A source that says when its rows became known is read period by period. Of one that does not, the rows of the first load count
as known when they happened, and rows that turn up later as known in the last second of the newest period that is then ingested: no
snapshot that was there before can have known them.

Belongs here: that rule, and rows that come again. Does not belong here: whether a row keeps its contract (``quarantine``).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.contracts import rows_as_json
from churn_assets.periods import Calendar, day_of, text
from churn_assets.raw.source import KEYS, QUARANTINE, Delivery, Source, Table

EVER_S = 2**62
HOME = "\0home"
"""The period in which a row arrives."""

NO_QUARANTINE = pl.DataFrame(schema=QUARANTINE)


@dataclass(frozen=True)
class Shelf:
    """What was ingested before.

    Attributes:
        done: the periods of the table that are there.
        rows: the table's rows of a period, without the column ``period``.
        quarantine: likewise of its quarantine.
    """

    done: Collection[str]
    rows: Callable[[str], pl.DataFrame]
    quarantine: Callable[[str], pl.DataFrame]


@dataclass(frozen=True)
class Arrived:
    """What arrived in a period.

    Attributes:
        delivery: its rows, earliest known first, and those that can't be read.
        again: rows of an earlier period that came once more.
    """

    delivery: Delivery
    again: pl.DataFrame


def arrivals(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, shelf: Shelf
) -> Iterator[tuple[str, Arrived]]:
    """The rows of each period that is asked for, in the order of time.

    Args:
        source: of the rows.
        table: which.
        keys: periods to ingest.
        calendar: the periods.
        shelf: what was ingested before; asked for a period of this run only after that was yielded.

    Raises:
        InputError: the source does not fit its description.
    """
    keys = sorted(keys)
    if source.says_when_known(table):
        yield from _recorded(source, table, keys, calendar, shelf)
    elif set(shelf.done) <= set(keys):
        yield from _first_load(source, table, keys, calendar)
    else:
        yield from _turned_up(source, table, keys, calendar, shelf)


def _recorded(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, shelf: Shelf
) -> Iterator[tuple[str, Arrived]]:
    newest = keys[-1]
    for key in keys:
        start_s, end_s = calendar.bounds_s(key)
        delivery = source.read(table, start_s, end_s)
        timeless = pl.col("known_s").is_null()
        held = delivery.unreadable.filter(~timeless)
        if key == newest and any(delivery.unreadable["known_s"].is_null()):
            held = pl.concat([held, _not_yet_held(delivery.unreadable.filter(timeless), key, shelf)])
        rows = in_order(delivery.rows, table)
        earlier = sorted(key_of for key_of in {*shelf.done, *keys} if key_of < key)
        again = _again(rows, table, start_s, calendar, earlier, shelf)
        yield (
            key,
            Arrived(
                Delivery(rows.join(again, on=KEYS[table], how="anti", maintain_order="left"), held),
                rows.join(again, on=KEYS[table], how="semi", maintain_order="left"),
            ),
        )


def _again(
    rows: pl.DataFrame, table: Table, start_s: int, calendar: Calendar, earlier: Sequence[str], shelf: Shelf
) -> pl.DataFrame:
    """Keys of the rows that an earlier period has: a row that comes again happened when it did, before this period."""
    keys = list(KEYS[table])
    late = rows.filter(pl.col("occurred_s") < start_s)
    if late.height == 0:
        return late.select(keys)
    oldest = text(max(calendar.floor(day_of(int(late["occurred_s"].min()))), calendar.first))  # type: ignore[arg-type]
    there = [shelf.rows(period).select(keys).join(late.select(keys), on=keys) for period in earlier if period >= oldest]
    return pl.concat([late.select(keys).clear(), *there]).unique()


def _not_yet_held(timeless: pl.DataFrame, key: str, shelf: Shelf) -> pl.DataFrame:
    """Unreadable rows without a time: they come with the newest period, once."""
    if any(period > key for period in shelf.done):
        return timeless.join(shelf.quarantine(key).select("row"), on="row", how="semi")
    held = [shelf.quarantine(period).select("row") for period in sorted(shelf.done) if period != key]
    return timeless.join(pl.concat([timeless.select("row").clear(), *held]), on="row", how="anti")


def _first_load(source: Source, table: Table, keys: Sequence[str], calendar: Calendar) -> Iterator[tuple[str, Arrived]]:
    delivery = source.read(table, -EVER_S, calendar.bounds_s(keys[-1])[1])
    rows = in_order(delivery.rows, table).with_columns(_own_period("occurred_s", calendar))
    unreadable = delivery.unreadable.with_columns(_own_period("known_s", calendar).fill_null(keys[-1]))
    for key in keys:
        yield key, _of(key, rows, unreadable)


def _turned_up(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, shelf: Shelf
) -> Iterator[tuple[str, Arrived]]:
    """Beside periods that stay: what they have keeps its place, and what else belongs to them comes with the newest one."""
    done = sorted(shelf.done)
    delivery = source.read(table, -EVER_S, calendar.bounds_s(keys[-1])[1])
    new = [key for key in keys if key not in shelf.done]
    newest = new[-1] if new else None
    known_s = None if newest is None else calendar.bounds_s(newest)[1] - 1
    held = pl.concat(
        [NO_QUARANTINE.select("row", pl.lit("").alias(HOME)).clear()]
        + [shelf.quarantine(period).select("row", pl.lit(period).alias(HOME)) for period in done]
    ).unique("row", keep="first", maintain_order=True)
    stored = pl.concat([shelf.rows(period).with_columns(pl.lit(period).alias(HOME)) for period in done], how="diagonal")
    rows = in_order(delivery.rows, table).with_columns(_own_period("occurred_s", calendar).alias("\0own"))
    rows = rows.with_columns(rows_as_json(delivery.rows.columns).alias("row")).join(held, on="row", how="left").drop("row")
    placed = _customers(rows, stored) if table == "customers" else _by_key(rows, stored, KEYS[table])
    late = pl.col(HOME).is_null() & pl.col("\0own").is_in(done)
    placed = placed.with_columns(late.alias("\0late")).with_columns(
        pl.when("\0late").then(pl.lit(newest, dtype=pl.String)).otherwise(pl.coalesce(HOME, "\0own")).alias(HOME),
        pl.when("\0late").then(pl.lit(known_s, dtype=pl.Int64)).otherwise("known_s").alias("known_s"),
    )
    if table == "customers":
        becomes = pl.col("\0late") & pl.col("\0changed")
        placed = placed.with_columns(pl.when(becomes).then("known_s").otherwise("occurred_s").alias("occurred_s"))
        # What a period had of its customers stays: the source tells only what is true of them today.
        kept = stored.filter(pl.col(HOME).is_in(list(keys)))
        placed = pl.concat([placed.filter(~pl.col("\0stored")).select(kept.columns), kept])
    unreadable = delivery.unreadable.join(held, on="row", how="left").with_columns(
        pl.coalesce(HOME, _own_period("known_s", calendar)).alias("\0own")
    )
    is_late = pl.col(HOME).is_null() & (pl.col("\0own").is_null() | pl.col("\0own").is_in(done))
    unreadable = unreadable.with_columns(
        pl.when(is_late).then(pl.lit(newest, dtype=pl.String)).otherwise("\0own").alias(HOME)
    )
    rows = in_order(placed.select(*delivery.rows.columns, HOME), table)
    unreadable = unreadable.select(*delivery.unreadable.columns, HOME)
    for key in keys:
        yield key, _of(key, rows, unreadable)


def _by_key(rows: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows with the period that has them, and as known then."""
    places = stored.select(*key, pl.col(HOME).alias("\0stored"), pl.col("known_s").alias("\0known")).unique(
        list(key), keep="first", maintain_order=True
    )
    return rows.join(places, on=list(key), how="left").with_columns(
        pl.coalesce("\0stored", HOME).alias(HOME), pl.coalesce("\0known", "known_s").alias("known_s")
    )


def _customers(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Rows with the period that has them, whether it has them as they are, and whether they are a change of a known record.

    A source with one row a customer tells what is true today; one with several tells when each became true.
    """
    said = [name for name in stored.columns if name not in ("occurred_s", "known_s", HOME)]
    newest = stored.sort("occurred_s", "known_s").group_by("customer_id", maintain_order=True).last()
    only = pl.len().over("customer_id") == 1
    same_as_newest = (
        rows.with_columns(only.alias("\0only"))
        .join(newest.select(*said, pl.lit(value=True).alias("\0same")), on=said, how="left", nulls_equal=True)
        .join(newest.select("customer_id", pl.lit(value=True).alias("\0there")), on="customer_id", how="left")
    )
    versions = stored.select(*said, "occurred_s", pl.lit(value=True).alias("\0version")).unique()
    found = same_as_newest.join(versions, on=[*said, "occurred_s"], how="left", nulls_equal=True)
    is_stored = pl.when("\0only").then(pl.col("\0same")).otherwise(pl.col("\0version")).fill_null(value=False)
    return found.with_columns(
        is_stored.alias("\0stored"),
        (pl.col("\0only") & pl.col("\0there").fill_null(value=False)).alias("\0changed"),
    )


def _of(key: str, rows: pl.DataFrame, unreadable: pl.DataFrame) -> Arrived:
    mine = pl.col(HOME) == key
    found = rows.filter(mine).drop(HOME)
    return Arrived(Delivery(found, unreadable.filter(mine).drop(HOME)), found.clear())


def _own_period(time: str, calendar: Calendar) -> pl.Expr:
    """The period in which a row happened; of what is older than all of them the first."""
    day = pl.from_epoch(pl.col(time), time_unit="s").dt.date()
    floor = {"monthly": day.dt.truncate("1mo"), "weekly": day.dt.truncate("1w"), "daily": day}[calendar.cadence]
    return (
        pl.max_horizontal(floor, pl.when(floor.is_not_null()).then(pl.lit(calendar.first)))
        .dt.to_string("%Y-%m-%d")
        .alias(HOME)
    )


def in_order(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Rows in an order in which, of several with one key, the one that was known first comes first, on every read."""
    if not rows.select(pl.struct(KEYS[table]).is_duplicated().any()).item():
        return rows
    first = ["known_s", "occurred_s"]
    return rows.sort(*first, *(name for name in rows.columns if name not in first))
