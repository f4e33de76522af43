"""An in-memory cache of events, compact and sorted, reused from one snapshot to the next: most rows of a company are events.

Belongs here: how the events within the lookback are kept, and which customers ended before it. Does not belong here: any other
table (``row_cache``).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.engines.event_order import ORDER, RoleCodes, in_order, placed
from churn_assets.features.engines.row_cache import Ids, TableReader, between
from churn_assets.periods import epoch_s
from churn_store.mapping.tables import VALUE


@dataclass(frozen=True)
class _Arrived:
    """The events of a period.

    Attributes:
        settled: events that were known when the period was read, in order; no later snapshot needs to check them again.
        early: events that had not happened or were not known then, with ``known_s``. No source delivers such rows.
    """

    settled: pl.DataFrame
    early: pl.DataFrame


class EventCache:
    """The events that a snapshot needs.

    Args:
        history: raw tables, and the features to compute from them.
        ids: numbers of the customers.
    """

    def __init__(self, history: History, ids: Ids) -> None:
        self._history = history
        has_values = any(VALUE in feature.needs for feature in history.features)
        self._columns = [*ORDER, VALUE] if has_values else list(ORDER)
        self._reader = TableReader("events", history, ids, without=() if has_values else (VALUE,))
        self._roles = RoleCodes.of(history.roles, self._reader.kind)
        self._kept: dict[str, _Arrived] = {}
        self._none = self._reader.read([])
        self._ended = self._none
        """Events that ended customers and arrived before the lookback."""
        self._ended_until = ""

    def take(self, day: date) -> None:
        """See ``RowCache``."""
        lookback, snapshot_s = self._history.lookback("events", day), epoch_s(day)
        if lookback.endings:
            ending = pl.any_horizontal(*(pl.col("event_type") == word for word in lookback.endings))
            older = [period for period in self._reader.periods if self._ended_until <= period < lookback.since]
            let_go = [_all(self._kept[period]).filter(ending) for period in older if period in self._kept]
            unread = [period for period in older if period not in self._kept]
            self._ended = pl.concat([self._ended, *let_go, self._reader.read(unread, ending) if unread else self._none])
            self._ended_until = lookback.since
        wanted = [period for period in self._reader.periods if lookback.whole(period)]
        self._kept = {period: self._kept[period] for period in wanted if period in self._kept}
        unread = [period for period in wanted if period not in self._kept]
        self._kept |= {period: _arrived(self._reader.read([period]), snapshot_s) for period in unread}

    def known(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """See ``RowCache``."""
        settled = [between(arrived.settled, first, end) for arrived in self._kept.values()]
        of_these = pl.col("customer_id").is_between(first, end, closed="left")
        early = [
            arrived.early.filter(of_these, *_known(snapshot_s)).select(self._columns) for arrived in self._kept.values()
        ]
        return nw.from_native(placed([self._none.select(self._columns), *settled, *early], snapshot_s, self._roles).lazy())

    def ended(self, first: int, end: int, snapshot_s: int) -> nw.LazyFrame[Any]:
        """Customers with the numbers ``[first, end)`` who had ended before the lookback, as known at the snapshot."""
        of_these = pl.col("customer_id").is_between(first, end, closed="left")
        return nw.from_native(self._ended.lazy().filter(of_these, *_known(snapshot_s)).select("customer_id"))


def _arrived(rows: pl.DataFrame, snapshot_s: int) -> _Arrived:
    newest = rows.select(pl.max_horizontal(pl.col("occurred_s", "known_s").max())).item()
    if newest is None or newest < snapshot_s:
        return _Arrived(in_order(rows), rows.clear())
    settled = pl.all_horizontal(*_known(snapshot_s))
    return _Arrived(in_order(rows.filter(settled)), rows.filter(~settled))


def _all(arrived: _Arrived) -> pl.DataFrame:
    settled = arrived.settled.with_columns(pl.col("occurred_s").cast(pl.Int64)).with_columns(known_s=pl.col("occurred_s"))
    return pl.concat([settled.select(arrived.early.columns), arrived.early])


def _known(snapshot_s: int) -> tuple[pl.Expr, pl.Expr]:
    return pl.col("occurred_s") < snapshot_s, pl.col("known_s") < snapshot_s
