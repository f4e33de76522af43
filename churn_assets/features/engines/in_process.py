"""The default engine: Polars in this process, each period of the lake read once.

Snapshots follow one another, and each needs periods that the one before it has read. So what is within reach is kept in memory
(``shelf``, ``event_shelf``). Customers are taken some at a time, as what is known of one depends on nobody else: that needs less
memory, and what is aggregated stays near the processor.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from churn_assets.features.engines.engine import History
from churn_assets.features.engines.event_shelf import EventShelf
from churn_assets.features.engines.record_shelf import RecordShelf
from churn_assets.features.engines.shelf import Ids, PaymentShelf, Shelf
from churn_assets.features.snapshot import features_of_known
from churn_assets.periods import epoch_s
from churn_assets.raw.source import Table

CUSTOMERS_AT_A_TIME = 150_000


class InProcess:
    """Polars, in this process.

    Args:
        customers_at_a_time: how many are looked at together.
    """

    def __init__(self, customers_at_a_time: int = CUSTOMERS_AT_A_TIME) -> None:
        self._at_a_time = customers_at_a_time

    def snapshots(self, history: History, days: Sequence[date]) -> Iterator[tuple[date, pl.DataFrame]]:
        """See ``Engine``."""
        ids = Ids(history)
        records = RecordShelf(history, ids)
        events = EventShelf(history, ids) if "events" in history.versions else None
        shelves: dict[Table, Shelf] = {"customers": records}
        if events:
            shelves["events"] = events
        if "payments" in history.versions:
            shelves["payments"] = PaymentShelf(history, ids)
        for day in sorted(days):
            for shelf in shelves.values():
                shelf.take(day)
            yield day, pl.concat(self._some_at_a_time(history, epoch_s(day), ids, records, events, shelves))

    def _some_at_a_time(
        self,
        history: History,
        snapshot_s: int,
        ids: Ids,
        records: RecordShelf,
        events: EventShelf | None,
        shelves: Mapping[Table, Shelf],
    ) -> Iterator[pl.DataFrame]:
        for first in range(0, max(ids.count, 1), self._at_a_time):
            among = (first, first + self._at_a_time, snapshot_s)
            people = records.records(*among)
            if events:
                # Who ended before all that is in reach is left out here, so that nobody aggregates for them.
                people = people.join(events.ended(*among), on="customer_id", how="anti")
            known = {table: shelf.known(*among) for table, shelf in shelves.items()}
            yield ids.named(features_of_known(people, known, history.features, snapshot_s, history.rule))
