"""Which of a source's rows arrive in which period.

A source with arrival timestamps is read period by period. For one without, the first load dates each row to when it happened, and
``turned_up`` dates what is new in every later load.

Belongs here: the two kinds of sources, and rows that are delivered again. Does not belong here: whether a row keeps its contract
(``quarantine``).
"""

from collections.abc import Iterator, Sequence

import polars as pl

from churn_assets.periods import Calendar, day_of, text
from churn_assets.raw.delivery import HOME, Arrived, Ingested, in_order, of_period, own_period, why_unread
from churn_assets.raw.late_arrivals import turned_up
from churn_assets.tables import EVER_S, Source
from churn_store.errors import InputError
from churn_store.mapping.tables import EARLIEST_S, KEYS, Delivery, Table


def arrivals(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, before: Ingested, *, anew: bool = False
) -> Iterator[tuple[str, Arrived | InputError]]:
    """The rows of each requested period, in the order of time; for a period that can't be read, the reason.

    Args:
        source: source of the rows.
        table: name of the table.
        keys: keys of the periods to ingest.
        calendar: calendar of the periods.
        before: earlier ingests; a period of this run is read from it only after that period was yielded.
        anew: whether a source without arrival timestamps is loaded as if for the first time, all of it.

    Raises:
        InputError: if the source does not fit its description, or if it is to be loaded anew and ``keys`` lacks ingested periods.
    """
    keys = sorted(keys)
    if source.says_when_known(table):
        yield from _recorded(source, table, keys, calendar, before)
    elif anew or not before.done:
        if stay := sorted(set(before.done) - set(keys)):
            raise InputError(
                f"source.{table} can be loaded anew only as a whole: {stay[0]} to {stay[-1]} would stay as they are; ask for all periods "
                "in one run"
            )
        yield from _first_load(source, table, keys, calendar)
    else:
        yield from turned_up(source, table, keys, calendar, before)


def _recorded(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar, before: Ingested
) -> Iterator[tuple[str, Arrived | InputError]]:
    newest = keys[-1]
    for key in keys:
        start_s, end_s = calendar.bounds_s(key)
        try:
            delivery = source.read(table, start_s, end_s)
        except InputError as error:  # of this period: the others may be right
            yield key, error
            continue
        if (reason := why_unread(delivery, key, calendar)) is not None:
            yield key, reason
            continue
        timeless = pl.col("known_s").is_null()
        unreadable = delivery.unreadable.filter(~timeless)
        if key == newest and delivery.unreadable["known_s"].null_count():
            unreadable = pl.concat([unreadable, _held_here(delivery.unreadable.filter(timeless), key, before)])
        rows = in_order(delivery.rows, table)
        earlier = sorted(period for period in {*before.done, *keys} if period < key)
        again = pl.concat(
            [_again(rows, table, start_s, calendar, earlier, before), _came_later(rows, table, key, keys, before)]
        ).unique()
        yield (
            key,
            Arrived(
                Delivery(rows.join(again, on=KEYS[table], how="anti", maintain_order="left"), unreadable),
                rows.join(again, on=KEYS[table], how="semi", maintain_order="left"),
            ),
        )


def _again(
    rows: pl.DataFrame, table: Table, start_s: int, calendar: Calendar, earlier: Sequence[str], before: Ingested
) -> pl.DataFrame:
    """Keys of the rows that an earlier period already has.

    Only rows that happened before this period are looked up: a repeated row still has its old time.
    """
    keys = list(KEYS[table])
    late = rows.filter(pl.col("occurred_s").is_between(EARLIEST_S, start_s, closed="left"))
    if late.height == 0:
        return late.select(keys)
    oldest = text(max(calendar.floor(day_of(int(late["occurred_s"].min()))), calendar.first))  # type: ignore[arg-type]
    repeated = [before.rows(period, keys).join(late.select(keys), on=keys) for period in earlier if period >= oldest]
    return pl.concat([late.select(keys).clear(), *repeated]).unique()


def _came_later(rows: pl.DataFrame, table: Table, key: str, keys: Sequence[str], before: Ingested) -> pl.DataFrame:
    """Keys of the rows that a later period already has: when a period in the middle is repaired, the stored row stays."""
    ids = list(KEYS[table])
    later = [period for period in sorted(before.done) if period > key and period not in keys]
    repeated = [before.rows(period, ids).join(rows.select(ids), on=ids, how="semi") for period in later]
    return pl.concat([rows.select(ids).clear(), *repeated])


def _held_here(timeless: pl.DataFrame, key: str, before: Ingested) -> pl.DataFrame:
    """Unreadable rows without a time that are quarantined with a period.

    A new one goes to the newest period and stays there for ever.
    """
    if any(period > key for period in before.done):
        return timeless.join(before.quarantine(key).select("row"), on="row", how="semi")
    held = [before.quarantine(period).select("row") for period in sorted(before.done) if period != key]
    return timeless.join(pl.concat([timeless.select("row").clear(), *held]), on="row", how="anti")


def _first_load(
    source: Source, table: Table, keys: Sequence[str], calendar: Calendar
) -> Iterator[tuple[str, Arrived | InputError]]:
    delivery = source.read(table, -EVER_S, calendar.bounds_s(keys[-1])[1])
    rows = in_order(delivery.rows, table).with_columns(own_period("occurred_s", calendar).alias(HOME))
    unreadable = delivery.unreadable.with_columns(own_period("known_s", calendar).fill_null(keys[-1]).alias(HOME))
    for key in keys:
        yield key, why_unread(delivery, key, calendar) or of_period(key, rows, unreadable)
