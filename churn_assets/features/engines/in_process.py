"""The default engine: Polars in this process, each period of the lake read once.

Snapshots follow one another, and each needs periods that the one before it has read. So what is within reach is kept in memory,
with numbers in place of texts; of older periods only who has ended for ever. Customers are taken some at a time, as what is known
of one depends on nobody else, and sorted: that needs less memory, and makes aggregating twice as fast.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from churn_assets.features.engines.engine import History
from churn_assets.features.reach import Reach
from churn_assets.features.snapshot import features_at
from churn_assets.periods import epoch_s
from churn_assets.raw.source import KEYS, Table
from churn_assets.resources.lake import PERIOD

CUSTOMERS_AT_A_TIME = 150_000

KINDS = ("event_type", "status")
"""Texts with few values; what compares them with a word works on their numbers as well."""


class InProcess:
    """Polars, in this process.

    Args:
        customers_at_a_time: how many are looked at together.
    """

    def __init__(self, customers_at_a_time: int = CUSTOMERS_AT_A_TIME) -> None:
        self._at_a_time = customers_at_a_time

    def snapshots(self, history: History, days: Sequence[date]) -> Iterator[tuple[date, pl.DataFrame]]:
        """See ``Engine``."""
        ids = _Ids()
        shelves = {table: _Shelf(table, history, ids) for table in history.versions}
        for day in sorted(days):
            for table, shelf in shelves.items():
                shelf.take(history.reach(table, day))
            yield day, self._features(history, shelves, ids, epoch_s(day))

    def _features(self, history: History, shelves: "Mapping[Table, _Shelf]", ids: "_Ids", snapshot_s: int) -> pl.DataFrame:
        parts = (
            ids.named(features_at(tables, history.features, snapshot_s, history.rule))
            for tables in self._some_at_a_time(shelves, snapshot_s, customers=ids.count)
        )
        return pl.concat(parts).sort("customer_id")

    def _some_at_a_time(
        self, shelves: "Mapping[Table, _Shelf]", snapshot_s: int, *, customers: int
    ) -> Iterator[dict[Table, pl.LazyFrame]]:
        for first in range(0, max(customers, 1), self._at_a_time):
            tables = {table: shelf.rows(first, first + self._at_a_time) for table, shelf in shelves.items()}
            if "events" in shelves:
                # Who ended before all that is in reach is left out here, so that nobody aggregates for them.
                ended = shelves["events"].ended(snapshot_s)
                tables["customers"] = tables["customers"].join(ended, on="customer_id", how="anti")
            yield tables


class _Ids:
    """A number for each customer, in the order in which they are first seen."""

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        self._kept = pl.Series([], dtype=self._type)
        """Polars forgets the texts of categories once no series has them."""

    @property
    def count(self) -> int:
        return len(self._type.categories.to_series())

    def numbered(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.col("customer_id").cast(self._type).to_physical())

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("customer_id").cat.to(self._type).cast(pl.String))


class _Shelf:
    """The rows of a table that a snapshot needs, each period in a frame that is sorted by customer."""

    def __init__(self, table: Table, history: History, ids: _Ids) -> None:
        version = history.versions[table]
        names = [name for name in KEYS[table] if name not in {"customer_id", "occurred_s"}]
        self._scan = history.lake.scan(table, version=version).drop(names)
        self._periods = history.lake.periods(table, version=version)
        self._kinds = [name for name in KINDS if name in self._scan.collect_schema()]
        self._kind = pl.Categorical(pl.Categories.random())
        self._ids = ids
        self._whole: dict[str, pl.DataFrame] = {}
        self._ended = self._read(pl.lit(value=False))
        self._ended_until = ""

    def take(self, reach: Reach) -> None:
        """Read what a snapshot needs and is not here yet, and let go of what it does not need; snapshots come in order."""
        if reach.ending is not None:
            older = [period for period in self._periods if self._ended_until <= period < reach.since]
            ending = pl.col("event_type") == reach.ending
            ended = [self._whole[period].filter(ending) for period in older if period in self._whole]
            if unread := [period for period in older if period not in self._whole]:
                ended.append(self._read(pl.col(PERIOD).is_in(unread), ending))
            self._ended = pl.concat([self._ended, *ended])
            self._ended_until = reach.since
        wanted = [period for period in self._periods if reach.since <= period < reach.until]
        self._whole = {period: self._whole[period] for period in wanted if period in self._whole}
        self._whole |= {period: self._read(pl.col(PERIOD) == period) for period in wanted if period not in self._whole}

    def rows(self, first: int, end: int) -> pl.LazyFrame:
        """The rows in reach of the customers with the numbers ``[first, end)``."""
        found = [self._ended.clear(), *(_between(frame, first, end) for frame in self._whole.values())]
        return pl.concat(found).sort("customer_id").lazy()

    def ended(self, snapshot_s: int) -> pl.LazyFrame:
        """The customers who had ended before what is in reach, as known at the snapshot."""
        known = (pl.col("occurred_s") < snapshot_s, pl.col("known_s") < snapshot_s)
        return self._ended.lazy().filter(*known).select("customer_id")

    def _read(self, *wanted: pl.Expr) -> pl.DataFrame:
        rows = self._ids.numbered(self._scan.filter(*wanted).drop(PERIOD))
        return rows.with_columns(pl.col(self._kinds).cast(self._kind)).sort("customer_id").collect(engine="streaming")


def _between(frame: pl.DataFrame, first: int, end: int) -> pl.DataFrame:
    numbers = frame["customer_id"]
    return frame[numbers.search_sorted(first) : numbers.search_sorted(end)]
