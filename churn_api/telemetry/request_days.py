"""Adds what this worker has answered to the day's row of ``request_days``.

The request pipeline counts; here the difference since the last writing is added, off the answers' path. A worker killed by ``-9`` loses
what it counted since then. Belongs here: from counters to the table. Does not belong here: reading the table (``telemetry.prediction_days``).
"""

from collections.abc import Callable

import sqlalchemy as sa
from prometheus_client import Counter
from sqlalchemy.dialects import postgresql, sqlite

from churn_store.clock import DAY_S
from churn_store.database.schema import request_days

REFUSED_FROM, FAILED_FROM = 400, 500

Totals = tuple[int, int, int]
"""Requests, refused and failed ones."""


class RequestDays:
    """The requests for predictions of one worker, by day.

    Args:
        engine: the serving database.
        requests: counter with the labels ``route`` and ``status``.
        predicts: function that says whether a request with these labels was for predictions.
        now_s: the platform's clock.
    """

    def __init__(
        self, engine: sa.Engine, requests: Counter, predicts: Callable[[dict[str, str]], bool], now_s: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._requests = requests
        self._predicts = predicts
        self._now_s = now_s
        self._written: Totals = (0, 0, 0)

    def write(self) -> None:
        """Add what was answered since the last writing to the present day.

        Raises:
            SQLAlchemyError: if the database takes nothing now; the next writing adds it.
        """
        total = self._total()
        added = [now - before for now, before in zip(total, self._written, strict=True)]
        if not any(added):
            return
        day_s = int(self._now_s()) // DAY_S * DAY_S
        row = dict(zip(("day_s", "requests", "refused", "failed"), (day_s, *added), strict=True))
        insert = (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert(request_days).values(row)
        sums = {name: request_days.c[name] + insert.excluded[name] for name in ("requests", "refused", "failed")}
        with self._engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["day_s"], set_=sums))
        self._written = total

    def _total(self) -> Totals:
        requests = refused = failed = 0
        for metric in self._requests.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total") and self._predicts(sample.labels):
                    status, value = int(sample.labels["status"]), int(sample.value)
                    requests += value
                    refused += value if REFUSED_FROM <= status < FAILED_FROM else 0
                    failed += value if status >= FAILED_FROM else 0
        return requests, refused, failed
