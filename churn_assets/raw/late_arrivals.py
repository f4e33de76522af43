"""Late rows of a source without arrival timestamps: which rows are new since the first load, and when they became known.

A late row belongs to a period that is already stored, but was not in it when that period was loaded. It arrives with the newest period
that is ingested now, and counts as known in that period's last second. If later periods are already stored, as when one in the middle
is repaired, it waits: no stored period may change, and no row may count as known too early.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from churn_assets.contracts import rows_as_json
from churn_assets.periods import Calendar
from churn_assets.raw.delivery import HOME, Arrived, Ingested, in_order, of_period, own_period, why_unread
from churn_assets.tables import EVER_S, Source
from churn_store.errors import InputError
from churn_store.mapping.tables import KEYS, Table

OCCURRED = r'"occurred_s":[^,}]*,?'
"""The part of a JSON row with the time at which it happened."""

FEW = 20
"""The least number of old rows of which a share of unknown ids is judged."""

OWN, LATE, STORED, CHANGED, KNOWN = "\0own", "\0late", "\0stored", "\0changed", "\0known"
"""Columns of the comparison: the period in which a row happened; whether it is late; whether (or in which period) it is already stored;
whether it is a changed version of a stored customer; when it became known according to the load that first saw it."""


def turned_up(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, before: Ingested
) -> Iterator[tuple[str, Arrived | InputError]]:
    """The rows of each requested period, while all other periods stay as they are; see ``arrivals``.

    Raises:
        InputError: if the source does not fit its description, or gives its old rows other ids than before.
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
        yield key, why_unread(delivery, key, calendar) or of_period(key, placed, unreadable)


def _held(before: Ingested, done: Sequence[str], table: Table) -> pl.DataFrame:
    """The quarantined rows with their period, as the columns ``row`` and ``HOME``."""
    parts = [before.quarantine(period).select(_said(table), pl.lit(period).alias(HOME)) for period in done]
    return pl.concat(parts).unique("row", keep="first", maintain_order=True)


def _said(table: Table) -> pl.Expr:
    """The content of a row by which it is recognized.

    A customer's row is compared without its time: a late version is dated by its load.
    """
    row = pl.col("row")
    return row.str.replace(OCCURRED, "") if table == "customers" else row


def _with_home(rows: pl.DataFrame, held: pl.DataFrame, columns: Sequence[str], table: Table) -> pl.DataFrame:
    """Rows with the period in whose quarantine they are, or null."""
    if held.height == 0:
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias(HOME))
    as_json = rows.with_columns(rows_as_json(columns).alias("row")).with_columns(_said(table))
    return as_json.join(held, on="row", how="left").drop("row")


def _by_id(rows: pl.DataFrame, before: Ingested, table: Table) -> pl.DataFrame:
    """Rows with the period that already has their key, and the time at which they became known by that period."""
    key = list(KEYS[table])
    places = pl.concat(
        before.rows(period, [*key, "known_s"]).select(*key, pl.lit(period).alias(STORED), pl.col("known_s").alias(KNOWN))
        for period in sorted(before.done)
    ).unique(key, keep="first", maintain_order=True)
    return rows.join(places, on=key, how="left").with_columns(
        pl.coalesce(STORED, HOME).alias(HOME), pl.coalesce(KNOWN, "known_s").alias("known_s")
    )


def _refuse_other_ids(rows: pl.DataFrame, table: Table, done: Sequence[str]) -> None:
    """Refuse a source if most of its old rows are unknown by their ids: the history would be counted twice.

    Raises:
        InputError: if more than half of the old rows are unknown; it says how many, and how to load everything anew.
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
    """Rows with the period in which they arrive; null for late rows that wait."""
    known_s = None if takes is None else calendar.bounds_s(takes)[1] - 1
    return rows.with_columns((pl.col(HOME).is_null() & pl.col(OWN).is_in(list(done))).alias(LATE)).with_columns(
        pl.when(LATE).then(pl.lit(takes, dtype=pl.String)).otherwise(pl.coalesce(HOME, OWN)).alias(HOME),
        pl.when(LATE).then(pl.lit(known_s, dtype=pl.Int64)).otherwise("known_s").alias("known_s"),
    )


def _customers(
    rows: pl.DataFrame, before: Ingested, keys: Sequence[str], takes: str | None, calendar: Calendar
) -> pl.DataFrame:
    """Records of customers: the versions that a period already has stay, as the source may have forgotten them.

    If the source has one row a customer, that row is the present state: a changed row is a new version, true from now on.
    If it has several, each row says when it became true.
    """
    done = sorted(before.done)
    stored = pl.concat([before.rows(period, None).with_columns(pl.lit(period).alias(HOME)) for period in done])
    content = [name for name in stored.columns if name not in ("occurred_s", "known_s", HOME)]
    yes = pl.lit(value=True)
    newest = stored.sort("occurred_s", "known_s").group_by("customer_id", maintain_order=True).last()
    compared = (
        rows.with_columns((pl.len().over("customer_id") == 1).alias("\0only"))
        .join(newest.select(*content, yes.alias("\0same")), on=content, how="left", nulls_equal=True)
        .join(newest.select("customer_id", yes.alias("\0there")), on="customer_id", how="left")
        .join(
            stored.select(*content, "occurred_s", yes.alias("\0version")).unique(),
            on=[*content, "occurred_s"],
            how="left",
            nulls_equal=True,
        )
        .with_columns(
            pl.when("\0only").then("\0same").otherwise("\0version").fill_null(value=False).alias(STORED),
            (pl.col("\0only") & pl.col("\0there").fill_null(value=False)).alias(CHANGED),
        )
    )
    new = _late(compared.filter(~pl.col(STORED)), done, takes, calendar).with_columns(
        pl.when(pl.col(LATE) & pl.col(CHANGED)).then("known_s").otherwise("occurred_s").alias("occurred_s")
    )
    return pl.concat([new.select(stored.columns), stored.filter(pl.col(HOME).is_in(list(keys)))])


def _unreadable(rows: pl.DataFrame, done: Sequence[str], takes: str | None, calendar: Calendar) -> pl.DataFrame:
    """Unreadable rows with their period: the one whose quarantine holds them, else their own, or the newest if they are late."""
    own = own_period("known_s", calendar)
    late = pl.col(HOME).is_null() & (own.is_null() | own.is_in(list(done)))
    return rows.with_columns(
        pl.when(late).then(pl.lit(takes, dtype=pl.String)).otherwise(pl.coalesce(HOME, own)).alias(HOME)
    )
