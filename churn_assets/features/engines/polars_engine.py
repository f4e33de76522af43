"""The default engine: Polars in this process, each period of the lake read once.

Each snapshot needs periods that the one before it has read, so rows within the lookback are kept in memory (``event_cache``,
``record_cache``, ``row_cache``). Customers are independent of each other, so they are computed in batches: this needs less memory,
and the rows being aggregated fit the processor's caches.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.engines.event_cache import EventCache
from churn_assets.features.engines.record_cache import RecordCache
from churn_assets.features.engines.row_cache import Ids, PaymentCache, RowCache
from churn_assets.features.snapshot import features_of_known
from churn_assets.periods import epoch_s
from churn_store.mapping.tables import Table

CUSTOMERS_AT_A_TIME = 150_000


class PolarsEngine:
    """Polars, in this process.

    Args:
        customers_at_a_time: number of customers in a batch.
    """

    def __init__(self, customers_at_a_time: int = CUSTOMERS_AT_A_TIME) -> None:
        self._at_a_time = customers_at_a_time

    def snapshots(self, history: History, days: Sequence[date]) -> Iterator[tuple[date, pl.DataFrame]]:
        """See ``Engine``."""
        caches = _TableCaches(history)
        for day in sorted(days):
            caches.take(day)
            yield day, pl.concat(self._some_at_a_time(history, caches, epoch_s(day)))

    def _some_at_a_time(self, history: History, caches: "_TableCaches", snapshot_s: int) -> Iterator[pl.DataFrame]:
        for first in range(0, max(caches.ids.count, 1), self._at_a_time):
            among = (first, first + self._at_a_time, snapshot_s)
            features = features_of_known(
                caches.records(*among), caches.known(*among), history.features, snapshot_s, history.rule
            )
            yield caches.ids.named(features)


class _TableCaches:
    """The caches of all tables of a history."""

    def __init__(self, history: History) -> None:
        self.ids = Ids(history)
        self._records = RecordCache(history, self.ids)
        self._events = EventCache(history, self.ids) if "events" in history.versions else None
        self._tables: dict[Table, RowCache] = {"customers": self._records}
        if self._events:
            self._tables["events"] = self._events
        if "payments" in history.versions:
            self._tables["payments"] = PaymentCache(history, self.ids)

    def take(self, day: date) -> None:
        for cache in self._tables.values():
            cache.take(day)

    def known(self, first: int, end: int, snapshot_s: int) -> dict[Table, nw.LazyFrame[Any]]:
        return {table: cache.known(first, end, snapshot_s) for table, cache in self._tables.items()}

    def records(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """The newest records without customers who ended before the lookback, so that nothing is aggregated for them."""
        newest = self._records.records(first, end, snapshot_s)
        if self._events is None:
            return newest
        return newest.join(self._events.ended(first, end, snapshot_s), on="customer_id", how="anti")
