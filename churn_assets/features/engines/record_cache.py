"""An in-memory cache of the versions of customers' records, with the newest version of each customer.

Belongs here: how the newest versions follow from those at an earlier snapshot. Does not belong here: what newest means
(``features.population``).
"""

from datetime import date
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.engines.row_cache import Ids, TableReader, between
from churn_assets.features.population import known_before, newest_versions, records_at
from churn_assets.periods import epoch_s


class RecordCache:
    """All versions known at a snapshot, and the newest of each customer.

    The newest version is determined again only for customers with a version that was not known at the previous snapshot.

    Args:
        history: raw tables, and the features to compute from them.
        ids: numbers of the customers.
    """

    def __init__(self, history: History, ids: Ids) -> None:
        self._history = history
        self._reader = TableReader("customers", history, ids)
        none = self._reader.read([])
        self._read_until = ""
        self._early = none
        self._newest = none
        self._versions = [none]

    def take(self, day: date) -> None:
        """See ``RowCache``."""
        until, snapshot_s = self._history.lookback("customers", day).until, epoch_s(day)
        unread = [period for period in self._reader.periods if self._read_until <= period < until]
        self._read_until = until
        arrived = pl.concat([self._early, self._reader.read(unread)]).sort("customer_id")
        is_known = (pl.col("occurred_s") < snapshot_s) & (pl.col("known_s") < snapshot_s)
        known, self._early = arrived.filter(is_known), arrived.filter(~is_known)
        self._versions.append(known)
        again = pl.col("customer_id").is_in(known["customer_id"].implode())
        versions = pl.concat([self._newest.filter(again), known])
        newest = newest_versions(nw.from_native(versions.lazy())).to_native().select(known.columns).collect()
        self._newest = pl.concat([self._newest.filter(~again), newest]).sort("customer_id")

    def known(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """See ``RowCache``."""
        versions = pl.concat(between(rows, first, end) for rows in self._versions)
        return known_before(nw.from_native(versions.lazy()), snapshot_s)

    def records(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """The newest version of each customer with a number in ``[first, end)``, as ``features_of_known`` needs it."""
        newest = between(self._newest, first, end)
        return records_at(nw.from_native(newest.lazy()), snapshot_s)
