"""``GET /dashboard/metrics/timeline``: the days of the service beside the snapshots of the graph.

Belongs here: the route. Does not belong here: the figures of a day (``telemetry.prediction_days``), and the facts (``monitoring.facts``).
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa
from litestar import Controller, get
from litestar.params import Parameter

from churn_api.http.asking import RETRY_S, asked
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.monitoring.answers import Basis
from churn_api.monitoring.facts_routes import MonitoringReader
from churn_api.telemetry.prediction_days import PredictionDay, SlowTimelineError, prediction_days
from churn_store.monitoring.facts import DriftWindow, Measured, SnapshotPerformance, State

MOST_DAYS: Final = 90


class DriftPoint(msgspec.Struct, kw_only=True):
    """A window of all customers.

    Attributes:
        of: ``snapshot`` or ``served``.
        largest: largest index among the judged features, less its bias under no drift; null where none is judged.
    """

    snapshot: str
    of: str
    release: str
    state: State
    largest: float | None
    drifted: list[str]
    mean_score: float | None
    positive_rate: float | None


class PerformancePoint(msgspec.Struct, kw_only=True):
    """A release at a mature snapshot, for all customers."""

    snapshot: str
    release: str
    state: State
    rows: int
    measures: dict[str, Measured]


class Timeline(Basis, kw_only=True):
    """Days and snapshots, each the oldest first.

    Attributes:
        first, last: days that are shown, UTC by the platform's clock.
        days: what was predicted, each day.
        drift, performance: snapshots of these days, or of data without time.
    """

    first: str
    last: str
    days: list[PredictionDay]
    drift: list[DriftPoint]
    performance: list[PerformancePoint]


class TimelineReader:
    """Reads the days, for one request at a time.

    Args:
        engine: the serving database.
        now_s: the platform's clock.
    """

    def __init__(self, engine: sa.Engine, now_s: Callable[[], float]) -> None:
        self._engine = engine
        self._now_s = now_s
        self._turn = asyncio.Semaphore(1)

    async def days(self, days: int) -> list[PredictionDay]:
        """The newest days, the oldest first.

        Raises:
            Problem: if the log is too long to be read in time, or the database does not answer (503).
        """
        async with self._turn:
            try:
                return await asked(lambda: prediction_days(self._engine, now_s=self._now_s(), days=days))
            except SlowTimelineError as error:
                raise Problem(
                    503,
                    "too-many-predictions",
                    f"The predictions of {days} days are too many to be added up at once; ask for fewer days.",
                    headers={"retry-after": str(RETRY_S)},
                ) from error

    def bounds(self, days: int) -> tuple[str, str]:
        """The first and the last day."""
        today = datetime.fromtimestamp(self._now_s(), UTC).date()
        return (today - timedelta(days=days - 1)).isoformat(), today.isoformat()


class TimelineController(Controller):
    """The service and the graph over time."""

    @get(
        "/dashboard/metrics/timeline",
        opt=needs("read"),
        summary="Requests, latencies and predictions by day; drift and performance by snapshot",
        responses={503: problem_spec("The database does not answer, or the days are too many to be added up.")},
    )
    async def timeline(
        self,
        monitoring: MonitoringReader,
        timeline: TimelineReader,
        days: Annotated[int, Parameter(ge=1, le=MOST_DAYS, description="days with the present one")] = 30,
    ) -> Timeline:
        """What waits in the spool, about a second, is not in it."""
        first, last = timeline.bounds(days)
        facts = monitoring.facts
        return Timeline(
            **monitoring.basis(*map(monitoring.verdict, ("drift", "performance"))),
            first=first,
            last=last,
            days=await timeline.days(days),
            drift=[_drift(one) for one in facts.drift if one.segment is None and _is_shown(one.window, first)],
            performance=[
                _performance(one)
                for one in facts.performance
                if one.segment is None and one.arm is None and _is_shown(one.snapshot, first)
            ],
        )


def _is_shown(snapshot: str, first: str) -> bool:
    """Whether a snapshot is not older than the first day; what is no date is of data without time."""
    return not snapshot[:1].isdigit() or snapshot >= first


def _drift(window: DriftWindow) -> DriftPoint:
    return DriftPoint(
        snapshot=window.window,
        of=window.of,
        release=window.release,
        state=window.state,
        largest=None if window.largest is None else window.largest.psi,
        drifted=window.drifted,
        mean_score=window.mean_score,
        positive_rate=window.positive_rate,
    )


def _performance(entry: SnapshotPerformance) -> PerformancePoint:
    return PerformancePoint(
        snapshot=entry.snapshot,
        release=entry.release,
        state=entry.state,
        rows=entry.rows,
        measures=entry.measures,
    )
