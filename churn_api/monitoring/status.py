"""``GET /status``: what this worker holds, and how lately each part of it was made equal to its source.

Belongs here: the summary. Does not belong here: the verdict (``monitoring.health``) and figures over time (``/metrics``).
"""

import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Controller, get

from churn_api.clock import FollowedClock
from churn_api.http.lanes import needs
from churn_api.monitoring.health import Monitor, SpoolHealth
from churn_api.predictions.feature_routes import FeatureStatus, feature_status
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.releases.poller import ReleasePoller
from churn_api.workers.worker import Worker

_STARTED: Final = time.monotonic()


class ReleaseStatus(msgspec.Struct, kw_only=True):
    """The release that this worker holds.

    Attributes:
        since: time from which on it serves, by the platform's clock.
        from_cache: whether it was taken from local disk because the database or the store was away.
        newest: whether the database named it at the last look.
    """

    release: str
    epoch: int
    since: datetime
    from_cache: bool
    newest: bool


class Status(msgspec.Struct, kw_only=True):
    """This worker.

    Attributes:
        worker: its number among the processes that serve one port.
        status: ``ready``, ``degraded`` or ``not ready``, as ``/health`` says with reasons.
        now: time by the platform's clock.
        clock_is_fixed: whether that clock stands still (``churn clock set``).
        release: null before the first.
        features: cache of the online features.
        synchronized_s: seconds since each part was last made equal to its source.
        prediction_log: predictions that wait for the database.
    """

    status: str
    worker: int
    version: str
    uptime_s: float
    now: datetime
    clock_is_fixed: bool
    release: ReleaseStatus | None
    features: FeatureStatus
    synchronized_s: dict[str, float]
    prediction_log: SpoolHealth


class StatusController(Controller):
    """The worker at a glance."""

    @get("/status", opt=needs("read"), summary="What this worker holds, and how lately it was made equal to its source")
    async def status(
        self, monitor: Monitor, releases: ReleasePoller, online: OnlineFeatures, clock: FollowedClock, worker: Worker
    ) -> Status:
        """Always answered with 200."""
        served, health = releases.current, monitor.detailed()
        return Status(
            status=health.status,
            worker=worker.number,
            version=version("churn-platform"),
            uptime_s=round(time.monotonic() - _STARTED, 3),
            now=datetime.fromtimestamp(clock.now_s(), UTC),
            clock_is_fixed=clock.is_fixed,
            release=None
            if served is None
            else ReleaseStatus(
                release=served.row.champion,
                epoch=served.row.epoch,
                since=datetime.fromtimestamp(served.since_s, UTC),
                from_cache=served.from_cache,
                newest=releases.confirmed == served.row,
            ),
            features=await feature_status(online, releases, clock),
            synchronized_s={name: round(age_s, 3) for name, age_s in monitor.ages().items()},
            prediction_log=health.spool,
        )
