"""A source that does not say when its rows became known, after the first load: what is new of it, and when that became known.

A row of a period that is there already was not there when that was loaded, so it turned up later: it counts as known in the last
second of the newest period that is ingested now, and arrives with that one. Where later periods are there, as when one in the middle
is mended, it waits: no period that was there before may change, and nothing may be known before it was.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from churn_assets.contracts import rows_as_json
from churn_assets.periods import Calendar
from churn_assets.raw.delivery import HOME, Arrived, Ingested, in_order, of_period, own_period
from churn_assets.tables import EVER_S, Source
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS, Table

OCCURRED = r'"occurred_s":[^,}]*,?'
"""The part of a row in JSON that says when it happened."""

FEW = 20
"""Of so few old rows the share that is new says nothing."""

OWN, LATE, STORED, CHANGED, KNOWN = "\0own", "\0late", "\0stored", "\0changed", "\0known"
"""The period in which a row happened; whether it turned up later; whether it is there as it is; whether it is another version of a
customer who is there; when it became known, as was found out then."""


def turned_up(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, before: Ingested
) -> Iterator[tuple[str, Arrived]]:
    """The rows of each period that is asked for, beside periods that stay; see ``arrivals``.

    Raises:
        InputError: the source does not fit its description, or gives its old rows other ids than before.
    """
    done = sorted(before.done)
    takes = next((key for key in reversed(keys) if key not in done and key > done[-1]), None)
    delivery = source.read(table, -EVER_S, calendar.bounds_s(keys[-1])[1])
    held = _held(before, done, table)
    rows = in_order(delivery.rows, table).with_columns(own_period("occurred_s", calendar).alias(OWN))
    rows = _with_home(rows, held, delivery.rows.columns, table)
    if table == "customers":
        placed = _customers(rows, before, keys, takes, calendar)
    else:
        placed = _by_id(rows, before, table)
        _refuse_other_ids(placed, table, done)
        placed = _late(placed, done, takes, calendar)
    placed = in_order(placed.select(*delivery.rows.columns, HOME), table)
    unreadable = _unreadable(delivery.unreadable.join(held, on="row", how="left"), done, takes, calendar)
    for key in keys:
        yield key, of_period(key, placed, unreadable)


def _held(before: Ingested, done: Sequence[str], table: Table) -> pl.DataFrame:
    """The rows in quarantine, with their period: ``row`` and ``HOME``."""
    parts = [before.quarantine(period).select(_said(table), pl.lit(period).alias(HOME)) for period in done]
    return pl.concat(parts).unique("row", keep="first", maintain_order=True)


def _said(table: Table) -> pl.Expr:
    """What a row says; of a customer without when it became true, which a version that turns up is told by its load."""
    row = pl.col("row")
    return row.str.replace(OCCURRED, "") if table == "customers" else row


def _with_home(rows: pl.DataFrame, held: pl.DataFrame, columns: Sequence[str], table: Table) -> pl.DataFrame:
    """Rows with the period in which they were set aside, if they were."""
    if held.height == 0:
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias(HOME))
    said = rows.with_columns(rows_as_json(columns).alias("row")).with_columns(_said(table))
    return said.join(held, on="row", how="left").drop("row")


def _by_id(rows: pl.DataFrame, before: Ingested, table: Table) -> pl.DataFrame:
    """Rows with the period that has their key, and when they became known, as was found out then."""
    key = list(KEYS[table])
    places = pl.concat(
        before.rows(period, [*key, "known_s"]).select(*key, pl.lit(period).alias(STORED), pl.col("known_s").alias(KNOWN))
        for period in sorted(before.done)
    ).unique(key, keep="first", maintain_order=True)
    return rows.join(places, on=key, how="left").with_columns(
        pl.coalesce(STORED, HOME).alias(HOME), pl.coalesce(KNOWN, "known_s").alias("known_s")
    )


def _refuse_other_ids(rows: pl.DataFrame, table: Table, done: Sequence[str]) -> None:
    """Refuse a source most of whose old rows are not there by their ids: the history would be counted twice.

    Raises:
        InputError: says how many, and how to load all of it anew.
    """
    old = rows.filter(pl.col(OWN).is_in(list(done)))
    strange = old[HOME].null_count()
    if old.height >= FEW and strange > old.height / 2:
        raise InputError(
            f"source.{table}: of {old.height} rows of periods that were ingested before, {strange} are not there by their ids; expected "
            "most to be. Ids are made otherwise than then (another column is mapped, or the platform is newer), or a history was "
            "added: load all of it anew, by `churn demo --anew` or by all periods in one run with the tag churn/anew: true"
        )


def _late(rows: pl.DataFrame, done: Sequence[str], takes: str | None, calendar: Calendar) -> pl.DataFrame:
    """Rows with the period in which they arrive: none for late ones that wait."""
    known_s = None if takes is None else calendar.bounds_s(takes)[1] - 1
    return rows.with_columns((pl.col(HOME).is_null() & pl.col(OWN).is_in(list(done))).alias(LATE)).with_columns(
        pl.when(LATE).then(pl.lit(takes, dtype=pl.String)).otherwise(pl.coalesce(HOME, OWN)).alias(HOME),
        pl.when(LATE).then(pl.lit(known_s, dtype=pl.Int64)).otherwise("known_s").alias("known_s"),
    )


def _customers(
    rows: pl.DataFrame, before: Ingested, keys: Sequence[str], takes: str | None, calendar: Calendar
) -> pl.DataFrame:
    """Records of customers: what a period had of them stays, as the source tells only what is true today.

    A source with one row a customer tells what is true today: a record that is another one than before is a version that is true from
    now on. One with several tells when each became true.
    """
    done = sorted(before.done)
    stored = pl.concat([before.rows(period, None).with_columns(pl.lit(period).alias(HOME)) for period in done])
    said = [name for name in stored.columns if name not in ("occurred_s", "known_s", HOME)]
    yes = pl.lit(value=True)
    newest = stored.sort("occurred_s", "known_s").group_by("customer_id", maintain_order=True).last()
    found = (
        rows.with_columns((pl.len().over("customer_id") == 1).alias("\0only"))
        .join(newest.select(*said, yes.alias("\0same")), on=said, how="left", nulls_equal=True)
        .join(newest.select("customer_id", yes.alias("\0there")), on="customer_id", how="left")
        .join(
            stored.select(*said, "occurred_s", yes.alias("\0version")).unique(),
            on=[*said, "occurred_s"],
            how="left",
            nulls_equal=True,
        )
        .with_columns(
            pl.when("\0only").then("\0same").otherwise("\0version").fill_null(value=False).alias(STORED),
            (pl.col("\0only") & pl.col("\0there").fill_null(value=False)).alias(CHANGED),
        )
    )
    new = _late(found.filter(~pl.col(STORED)), done, takes, calendar).with_columns(
        pl.when(pl.col(LATE) & pl.col(CHANGED)).then("known_s").otherwise("occurred_s").alias("occurred_s")
    )
    return pl.concat([new.select(stored.columns), stored.filter(pl.col(HOME).is_in(list(keys)))])


def _unreadable(rows: pl.DataFrame, done: Sequence[str], takes: str | None, calendar: Calendar) -> pl.DataFrame:
    """Rows that can't be read, with their period: where they are held; else their own, or the newest if they turned up later."""
    own = own_period("known_s", calendar)
    late = pl.col(HOME).is_null() & (own.is_null() | own.is_in(list(done)))
    return rows.with_columns(
        pl.when(late).then(pl.lit(takes, dtype=pl.String)).otherwise(pl.coalesce(HOME, own)).alias(HOME)
    )
