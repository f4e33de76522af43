"""An in-memory, dictionary-encoded cache of lake rows, reused from one snapshot to the next so that each period is read once.

Belongs here: which rows of a table are read, kept and dropped. Does not belong here: what is made of the rows
(``features.snapshot``), and the order of snapshots and customers (``polars_engine``).
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import partial
from typing import Any, Protocol

import narwhals as nw
import numpy as np
import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.population import known_before
from churn_assets.lake.contents import PERIOD
from churn_store.mapping.tables import KEYS, Table

KINDS = ("event_type", "status")
"""Text columns with few values, kept as categoricals: a comparison with a word works on them as it does on text."""


class Ids:
    """Numbers for customers: those with a record are numbered first, in the order of their ids.

    Args:
        history: raw tables, and the features to compute from them.
    """

    def __init__(self, history: History) -> None:
        version = history.versions["customers"]
        records = history.lake.scan("customers", version=version).select(pl.col("customer_id").unique())
        ids = history.lake.collect("customers", records, version=version, engine="streaming").to_series().sort()
        self._type = pl.Categorical(pl.Categories.random())
        self._kept = ids.cast(self._type)
        """Held because Polars forgets the texts of categories when their last series is gone."""

    @property
    def count(self) -> int:
        """The number of customers with a record; only they have features."""
        return len(self._kept)

    def numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with a number as ``customer_id``."""
        return rows.with_columns(_numbers(rows["customer_id"], self._type))

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with the id that a number stands for."""
        return rows.with_columns(pl.col("customer_id").cat.to(self._type).cast(pl.String))


class RowCache(Protocol):
    """The rows of a table that a snapshot needs."""

    def take(self, day: date) -> None:
        """Read the rows that a snapshot needs and drop those that it does not; snapshots must come in the order of time."""

    def known(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """Rows of the customers with the numbers ``[first, end)``, as ``features_of_known`` needs them."""


class TableReader:
    """Reads periods of a table of a history.

    Args:
        table: name of the table.
        history: raw tables, and the features to compute from them.
        ids: numbers of the customers.
        without: columns that no feature needs.

    Attributes:
        periods: periods that the table has.
        kind: type of the text columns with few values.
    """

    def __init__(self, table: Table, history: History, ids: Ids, *, without: Sequence[str] = ()) -> None:
        version = history.versions[table]
        names = [name for name in KEYS[table] if name not in {"customer_id", "occurred_s"}]
        self.periods = history.lake.periods(table, version=version)
        self._scan = history.lake.scan(table, version=version).drop(names).drop(without, strict=False)
        self._kinds = [name for name in KINDS if name in self._scan.collect_schema()]
        self.kind = pl.Categorical(pl.Categories.random())
        self._kept = pl.Series([], dtype=self.kind)
        self._ids = ids
        self._collect = partial(history.lake.collect, table, version=version, engine="streaming")

    def read(self, periods: Iterable[str], *wanted: pl.Expr) -> pl.DataFrame:
        """The rows of some periods that satisfy ``wanted``, with numbers in place of texts."""
        rows = self._collect(self._scan.filter(pl.col(PERIOD).is_in(list(periods)), *wanted).drop(PERIOD))
        # Texts are encoded after reading: the streaming engine takes three times as long for it.
        numbered = self._ids.numbered(rows)
        return numbered.with_columns(_numbers(rows[name], self.kind) for name in self._kinds).with_columns(
            pl.col(self._kinds).cat.to(self.kind)
        )


class PaymentCache:
    """The payments that a snapshot needs, each period in a frame that is sorted by customer.

    Args:
        history: raw tables, and the features to compute from them.
        ids: numbers of the customers.
    """

    def __init__(self, history: History, ids: Ids) -> None:
        self._history = history
        self._reader = TableReader("payments", history, ids)
        self._none = self._reader.read([])
        self._kept: dict[str, pl.DataFrame] = {}

    def take(self, day: date) -> None:
        """See ``RowCache``."""
        lookback = self._history.lookback("payments", day)
        wanted = [period for period in self._reader.periods if lookback.whole(period)]
        self._kept = {period: self._kept[period] for period in wanted if period in self._kept}
        unread = [period for period in wanted if period not in self._kept]
        self._kept |= {period: self._reader.read([period]).sort("customer_id") for period in unread}

    def known(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """See ``RowCache``."""
        rows = pl.concat([self._none, *(between(rows, first, end) for rows in self._kept.values())])
        return known_before(nw.from_native(rows.lazy()), snapshot_s)


def between(rows: pl.DataFrame, first: int, end: int) -> pl.DataFrame:
    """The slice of rows, sorted by customer, of the customers with the numbers ``[first, end)``; nothing is copied."""
    numbers = rows["customer_id"]
    return rows[numbers.search_sorted(first) : numbers.search_sorted(end)]


def _numbers(texts: pl.Series, dtype: pl.Categorical) -> pl.Series:
    """The category numbers of texts; in a run of equal texts, as in the lake, only the first is looked up."""
    begins = np.flatnonzero(texts.ne_missing(texts.shift()).to_numpy())
    numbers = texts.gather(begins).cast(dtype).to_physical()
    return pl.Series(texts.name, np.repeat(numbers.to_numpy(), np.diff(begins, append=len(texts))))
