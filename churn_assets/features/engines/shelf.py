"""Rows of the lake that are kept in memory from one snapshot to the next, so that each period is read once.

Belongs here: what of a table is read, kept and let go of as snapshots follow one another, and with which numbers in place of texts.
Does not belong here: what is made of the rows (``snapshot``), and in which order snapshots and customers are taken (``in_process``).
"""

from datetime import date

import narwhals as nw
import polars as pl

from churn_assets.features.engines.engine import History
from churn_assets.features.engines.event_order import in_order, placed
from churn_assets.features.population import known_before
from churn_assets.features.reach import Reach
from churn_assets.periods import epoch_s
from churn_assets.raw.source import KEYS, Table
from churn_assets.resources.lake import PERIOD

KINDS = ("event_type", "status")
"""Texts with few values; what compares them with a word works on their numbers as well."""


class Ids:
    """A number for each customer of a history: for those with a record, in the order of their ids."""

    def __init__(self, history: History, until: date) -> None:
        records = history.lake.scan("customers", version=history.versions["customers"])
        ids = records.filter(pl.col(PERIOD) < until.isoformat()).select(pl.col("customer_id").unique()).collect(engine="streaming")
        self._type = pl.Categorical(pl.Categories.random())
        # Polars forgets the texts of categories once no series has them.
        self._kept = ids["customer_id"].sort().cast(self._type)

    @property
    def count(self) -> int:
        """How many have a record."""
        return len(self._kept)

    def numbered(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows, with a number as ``customer_id``."""
        return rows.with_columns(pl.col("customer_id").cast(self._type).to_physical())

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows, with the id for its number."""
        return rows.with_columns(pl.col("customer_id").cat.to(self._type).cast(pl.String))


class Shelf:
    """The rows of a table that a snapshot needs, each period in a frame that is sorted by customer.

    Args:
        table: which.
        history: whose.
        ids: the numbers of its customers.
    """

    def __init__(self, table: Table, history: History, ids: Ids) -> None:
        version = history.versions[table]
        names = [name for name in KEYS[table] if name not in {"customer_id", "occurred_s"}]
        self._table = table
        self._scan = history.lake.scan(table, version=version).drop(names)
        self._periods = history.lake.periods(table, version=version)
        self._kinds = [name for name in KINDS if name in self._scan.collect_schema()]
        self._kind = pl.Categorical(pl.Categories.random())
        self._ids = ids
        self._kept: dict[str, pl.DataFrame] = {}
        self._early = self._read(pl.lit(value=False))
        """Rows that had not happened or were not known yet when their period was over; no source delivers such rows."""
        self._ended = self._early.select("customer_id")
        self._ended_until = ""

    def take(self, reach: Reach, snapshot_s: int) -> None:
        """Read what a snapshot needs and is not here yet, and let go of what it does not need; snapshots come in order."""
        if reach.ending is not None:
            self._keep_who_ended(reach, reach.ending, snapshot_s)
        wanted = [period for period in self._periods if reach.since <= period < reach.until]
        self._kept = {period: rows for period, rows in self._kept.items() if period in wanted}
        for period in wanted:
            if period not in self._kept:
                self._kept[period] = self._in_order(self._settled(self._read(pl.col(PERIOD) == period), snapshot_s))
        if self._early.height and wanted:
            waiting, self._early = self._early, self._early.clear()
            settled = self._settled(waiting, snapshot_s)
            self._kept[wanted[-1]] = self._in_order(pl.concat([self._kept[wanted[-1]], self._in_order(settled)]))
