"""Health: whether the process is alive and can answer, and what is wrong.

Not ready means that some predictions can't be answered: there is no release, or no online features that fit it. With a full
spool or a database that is away the service is degraded but stays ready: predictions are still answered, and taking the service
out of use would make it worse. Whoever has no key learns the verdict in words that name no customer, no column and no release; the
rest needs the scope ``read``. Belongs here: one verdict from the state of all parts.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from litestar import Controller, MediaType, Response, get
from litestar.openapi import ResponseSpec

from churn_api.background import PeriodicTask
from churn_api.clock import FollowedClock
from churn_api.http.body import OK
from churn_api.http.lanes import PROBED, PUBLIC, needs
from churn_api.monitoring.blocked_data import BlockedData
from churn_api.monitoring.exposition import Exposition
from churn_api.predictions.online_features import OnlineFeatures, date_of
from churn_api.releases.poller import ReleasePoller
from churn_api.security.key_ring import KeyRing
from churn_api.telemetry.line_writer import LineWriter
from churn_api.telemetry.metrics import CONTENT_TYPE, Metrics
from churn_api.telemetry.spool import Spool

STALE_AFTER_S: Final = 15.0
"""Seconds without a success after which a part counts as away."""

UNAVAILABLE: Final = 503


class ReleaseHealth(msgspec.Struct, kw_only=True):
    """The release that serves, and why a newer one does not; the same of the challenger."""

    serving: str | None
    epoch: int | None
    from_cache: bool
    refused: str | None
    reason: str | None
    challenger: str | None
    challenger_share: float
    challenger_refused: str | None
    challenger_reason: str | None


class OnlineHealth(msgspec.Struct, kw_only=True):
    """The online features: their snapshot, number of customers, and age of T by the platform's clock."""

    snapshot: str | None
    customers: int
    feature_age_s: float | None
    missing_columns: tuple[str, ...]


class SpoolHealth(msgspec.Struct, kw_only=True):
    """Predictions that wait for the database.

    Attributes:
        dropping: reason why new predictions are not logged now; null if they are.
    """

    waiting_bytes: int
    dropping: str | None


class LinesHealth(msgspec.Struct, kw_only=True):
    """Log lines that wait to be written.

    Attributes:
        dropped_lines: lines lost since the start, because nobody read them in time or they could not be written.
    """

    waiting_bytes: int
    dropped_lines: int


class Health(msgspec.Struct, kw_only=True):
    """The state of the service.

    Attributes:
        status: ``ready``, ``degraded`` (every prediction is answered, something else is wrong) or ``not ready``.
        not_ready: reasons why some predictions can't be answered.
        degraded: other faults.
    """

    status: str
    not_ready: list[str]
    degraded: list[str]


class DetailedHealth(Health, kw_only=True):
    """The state of the service and of its parts.

    Attributes:
        aside: rows of the database that can't be read, and why.
        blocked_data: periods whose data is broken or late, so that newer online features wait: what was found, and what to do.
    """

    release: ReleaseHealth
    online_features: OnlineHealth
    spool: SpoolHealth
    log: LinesHealth
    aside: list[str]
    blocked_data: list[str]


class Alive(msgspec.Struct):
    """The process runs its event loop."""

    status: str = "live"


class Monitor:
    """Collects the state of the service's parts.

    Args:
        releases: source of the release that serves.
        online: online features.
        ring: API keys.
        spool: predictions that wait for the database.
        lines: writer of the log lines.
        tasks: periodic tasks by name.
        metrics: metrics of the service; the ages of the parts are set before they are exposed.
        clock: the platform's clock.
        blocked: data that is blocked.
        parts: functions that say what is wrong with parts of their own.
    """

    def __init__(
        self, releases: ReleasePoller, online: OnlineFeatures, ring: KeyRing, spool: Spool, lines: LineWriter,
        tasks: dict[str, PeriodicTask], metrics: Metrics, clock: FollowedClock, blocked: BlockedData, *,
        parts: Sequence[Callable[[], list[str]]],
    ) -> None:  # fmt: skip
        self._releases = releases
        self._online = online
        self._ring = ring
        self._spool = spool
        self._lines = lines
        self._dropped_before = 0
        self._looked_up = {"hit": 0, "miss": 0}
        self._tasks = tasks
        self._metrics = metrics
        self._clock = clock
        self._blocked = blocked
        self._parts = parts

    def health(self) -> Health:
        """The verdict, in words for everybody."""
        full = self.detailed()
        return Health(status=full.status, not_ready=full.not_ready, degraded=full.degraded)

    def detailed(self) -> DetailedHealth:
        """The verdict and its grounds."""
        served, failure = self._releases.current, self._releases.failure
        challenge, no_challenger = None if served is None else served.challenge, self._releases.challenger_failure
        snapshot = self._online.snapshot
        missing = () if served is None else self._online.columns_missing_for(served)
        not_ready = []
        if served is None:
            not_ready.append("no release serves yet")
        if snapshot is None:
            not_ready.append("there are no online features yet")
        elif missing:
            not_ready.append("the online features lack columns that the release takes")
        if self._ring.is_unconfirmed:
            not_ready.append("the database has been away for longer than service.keys_max_age_s, so every key is refused")
        degraded = [
            f"{name} not heard of for {age_s:.0f} s" for name, age_s in self.ages().items() if age_s > STALE_AFTER_S
        ]
        if failure is not None:
            degraded.append(
                f"whether there is a newer release can't be read: {failure.reason}"
                if failure.digest is None
                else f"the newest release is not taken: {failure.reason}"
            )
        if no_challenger is not None:
            degraded.append(f"the challenger is not taken: {no_challenger.reason}")
        if self._spool.drop is not None:
            degraded.append(f"predictions are answered but not logged: {self._spool.drop}")
        if self._lines.is_dropping:
            degraded.append("log lines are dropped: nobody reads standard output, or it can't be written")
        aside = [row.sentence for row in (*self._releases.aside, *self._ring.aside)]
        if aside:
            degraded.append(f"{len(aside)} rows of the database can't be read and are put aside")
        degraded += [words for part in self._parts for words in part()]
        if self._clock.fault is not None:
            degraded.append(f"the clock goes on as it was: {self._clock.fault}")
        return DetailedHealth(
            status="not ready" if not_ready else "degraded" if degraded else "ready",
            not_ready=not_ready,
            degraded=degraded,
            release=ReleaseHealth(
                serving=None if served is None else served.row.champion,
                epoch=None if served is None else served.row.epoch,
                from_cache=served is not None and served.from_cache,
                refused=None if failure is None else failure.digest,
                reason=None if failure is None else failure.reason,
                challenger=None if challenge is None else challenge.challenger.bundle.digest,
                challenger_share=0.0 if challenge is None else challenge.share,
                challenger_refused=None if no_challenger is None else no_challenger.digest,
                challenger_reason=None if no_challenger is None else no_challenger.reason,
            ),
            online_features=OnlineHealth(
                snapshot=None if snapshot is None else date_of(snapshot),
                customers=0 if snapshot is None else snapshot.rows,
                feature_age_s=None
                if snapshot is None or snapshot.snapshot_s is None
                else self._clock.now_s() - snapshot.snapshot_s,
                missing_columns=missing,
            ),
            spool=SpoolHealth(waiting_bytes=self._spool.waiting_bytes, dropping=self._spool.drop),
            log=LinesHealth(waiting_bytes=self._lines.waiting_bytes, dropped_lines=self._lines.dropped),
            aside=aside,
            blocked_data=list(self._blocked.sentences),
        )

    def refresh_metrics(self) -> None:
        """Bring the ages and what is counted elsewhere up to date."""
        for name, age_s in self.ages().items():
            self._metrics.age.labels(name).set(age_s)
        self._metrics.spool_bytes.set(self._spool.waiting_bytes)
        for result, seen in (("hit", self._online.hits), ("miss", self._online.misses)):
            self._metrics.online_lookups.labels(result).inc(seen - self._looked_up[result])
            self._looked_up[result] = seen
        dropped = self._lines.dropped
        self._metrics.log_lines_dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped

    def ages(self) -> dict[str, float]:
        """Seconds since each part last heard of its source."""
        return {"online features": self._online.age_s, **{name: task.age_s for name, task in self._tasks.items()}}


class HealthController(Controller):
    """The state in words; no key needed."""

    opt = PROBED

    @get("/health", summary="The state of the service")
    async def health(self, monitor: Monitor) -> Health:
        """Always answered with 200."""
        return monitor.health()

    @get("/health/live", summary="Whether the process runs")
    async def live(self) -> Alive:
        """Answered by the event loop alone."""
        return Alive()

    @get(
        "/health/ready",
        summary="Whether every prediction can be answered",
        responses={UNAVAILABLE: ResponseSpec(Health, description="Not ready.", generate_examples=False)},
    )
    async def ready(self, monitor: Monitor) -> Response[Health]:
        """The status says whether the service is ready, the body why not."""
        health = monitor.health()
        return Response(health, status_code=UNAVAILABLE if health.not_ready else OK)


def detailed_controller(*, is_open: bool) -> type[Controller]:
    """The routes that tell how many customers there are, what is predicted, and the names of columns.

    Args:
        is_open: whether they need no key (``service.open_metrics``).
    """

    class DetailedController(Controller):
        """State and metrics in full."""

        opt = PUBLIC if is_open else needs("read")

        @get("/health/detailed", summary="The state of the service and of its parts")
        async def detailed(self, monitor: Monitor) -> DetailedHealth:
            """Always answered with 200."""
            return monitor.detailed()

        @get("/metrics", summary="Metrics for Prometheus", media_type=MediaType.TEXT)
        async def metrics(self, exposition: Exposition) -> Response[str]:
            """Text, as Prometheus reads it: the sum over all workers, whichever one answers."""
            return Response(
                (await exposition.text()).decode(), media_type=CONTENT_TYPE.removesuffix("; charset=utf-8")
            )  # Litestar adds it

    return DetailedController
