"""What was predicted on each day, added up by the database from ``prediction_log`` and ``request_days``.

Each day is read for itself, by the index on the time of the answer, so that a long log is read in small pieces and the work can end in
between. Belongs here: the figures of a day. Does not belong here: HTTP (``monitoring.timeline``), and single predictions (``logged``).
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.schema import prediction_log, request_days

STEP_US: Final = 50
"""Latencies are counted in steps of so many microseconds: quantiles are exact to half of it."""

LONGEST_S: Final = 10.0
"""Time after which no further day is read; a day of a million predictions takes about 1.5 s."""


class SlowTimelineError(Exception):
    """The days could not be read within ``LONGEST_S``."""


class PredictionDay(msgspec.Struct, kw_only=True):
    """A day, UTC by the platform's clock. A figure is null where there is nothing that it could be of.

    Attributes:
        requests: answered requests for predictions, as workers have counted them; null for a day from before they did.
        refused, failed: of them those answered with 4xx, and with 5xx.
        predictions: rows of the prediction log.
        customers: different customers among them.
        latency_p50_ms, latency_p95_ms: from a request's head to its prediction.
        mean_probability: of churn.
        positive_rate: share called churners.
    """

    day: str
    requests: int | None
    refused: int | None
    failed: int | None
    predictions: int
    customers: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    mean_probability: float | None
    positive_rate: float | None


def prediction_days(engine: sa.Engine, *, now_s: float, days: int) -> list[PredictionDay]:
    """The newest days, the oldest first, with the present one.

    Args:
        engine: the serving database.
        now_s: present time by the platform's clock, in epoch seconds.
        days: number of days.

    Raises:
        SlowTimelineError: if the log is too long to be read in time.
        SQLAlchemyError: if the database does not answer.
    """
    today_s = int(now_s) // DAY_S * DAY_S
    end = time.monotonic() + LONGEST_S
    found = []
    with engine.connect() as connection:
        asked = sa.select(request_days).where(request_days.c.day_s > today_s - days * DAY_S)
        counted = {row.day_s: row for row in connection.execute(asked)}
        for day_s in range(today_s - (days - 1) * DAY_S, today_s + DAY_S, DAY_S):
            if time.monotonic() > end:
                raise SlowTimelineError
            found.append(_day(connection, day_s, counted.get(day_s)))
    return found


def _day(connection: sa.Connection, day_s: int, counted: sa.Row[Any] | None) -> PredictionDay:
    log = prediction_log.c
    of_day = (log.answered_s >= day_s) & (log.answered_s < day_s + DAY_S)
    sums = sa.select(
        sa.func.count(),
        sa.func.count(sa.distinct(log.customer_id)),
        sa.func.avg(log.probability),
        sa.func.sum(sa.case((log.churn, 1), else_=0)),
    ).where(of_day)
    predictions, customers, mean, positive = connection.execute(sums).one()
    step = (log.latency_us // STEP_US).label("step")
    steps = sa.select(step, sa.func.count()).where(of_day).group_by(step).order_by(step)
    latencies = [(row[0], row[1]) for row in connection.execute(steps)] if predictions else []
    return PredictionDay(
        day=datetime.fromtimestamp(day_s, UTC).date().isoformat(),
        requests=None if counted is None else counted.requests,
        refused=None if counted is None else counted.refused,
        failed=None if counted is None else counted.failed,
        predictions=predictions,
        customers=customers,
        latency_p50_ms=quantile_ms(latencies, 0.5),
        latency_p95_ms=quantile_ms(latencies, 0.95),
        mean_probability=None if mean is None else float(mean),
        positive_rate=positive / predictions if predictions else None,
    )


def quantile_ms(steps: Sequence[tuple[int, int]], share: float) -> float | None:
    """A quantile of latencies, in milliseconds; ``None`` without one.

    Args:
        steps: latency in ``STEP_US`` and number of predictions that took it, in the order of the latencies.
        share: share of the predictions that took at most as long.
    """
    wanted = share * sum(count for _, count in steps)
    reached = 0
    for step, count in steps:
        reached += count
        if reached >= wanted:
            return (step + 0.5) * STEP_US / 1000
    return None
