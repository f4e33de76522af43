"""The online features as people see them: ``GET /features/status``, and ``POST /features/reload``.

Belongs here: the routes. Does not belong here: following the snapshot and counting look-ups (``predictions.online_features``).
"""

from datetime import UTC, datetime

import msgspec
from litestar import Controller, get, post

from churn_api.clock import FollowedClock
from churn_api.http.body import OK
from churn_api.http.lanes import needs
from churn_api.http.problems import problem_spec
from churn_api.predictions.online_features import OnlineFeatures, date_of
from churn_api.releases.poller import ReleasePoller


class FeatureStatus(msgspec.Struct, kw_only=True):
    """The online features, as this worker has them.

    Attributes:
        snapshot: date of the snapshot, or its name where data has no time; null before the first. So are the fields that follow.
        digest: digest of all its rows.
        written: time at which the graph wrote it.
        feature_age_s: seconds from its time T to now, by the platform's clock; null where data has no time.
        rows: number of customers.
        columns: number of values of each.
        missing_columns: columns that the serving release takes and the snapshot lacks.
        kept_in: ``file`` or ``redis``.
        bytes: size of what look-ups read: the file, or Redis' memory; null if Redis does not say.
        looked_up: customers that were looked up since the start of this worker.
        hits, misses: those who were in the snapshot, and the others.
        hit_rate: share of those who were in it; null before the first.
        last_look_s: seconds since the pointer to the newest snapshot was last read.
    """

    snapshot: str | None
    digest: str | None
    written: datetime | None
    feature_age_s: float | None
    rows: int
    columns: int
    missing_columns: tuple[str, ...]
    kept_in: str
    bytes: int | None
    looked_up: int
    hits: int
    misses: int
    hit_rate: float | None
    last_look_s: float


async def feature_status(online: OnlineFeatures, releases: ReleasePoller, clock: FollowedClock) -> FeatureStatus:
    """The state of the online features now."""
    snapshot, served = online.snapshot, releases.current
    hits, misses = online.hits, online.misses
    return FeatureStatus(
        snapshot=None if snapshot is None else date_of(snapshot),
        digest=None if snapshot is None else snapshot.digest,
        written=None if snapshot is None else datetime.fromtimestamp(snapshot.written_s, UTC),
        feature_age_s=None
        if snapshot is None or snapshot.snapshot_s is None
        else round(clock.now_s() - snapshot.snapshot_s, 3),
        rows=0 if snapshot is None else snapshot.rows,
        columns=0 if snapshot is None else len(snapshot.columns),
        missing_columns=() if served is None else online.columns_missing_for(served),
        kept_in=online.kept_in,
        bytes=await online.size(),
        looked_up=hits + misses,
        hits=hits,
        misses=misses,
        hit_rate=hits / (hits + misses) if hits + misses else None,
        last_look_s=round(online.age_s, 3),
    )


class FeaturesController(Controller):
    """The snapshot, and how often it had what was asked for."""

    path = "/features"

    @get("/status", opt=needs("read"), summary="The snapshot of online features, its size and its hit rate")
    async def status(self, online: OnlineFeatures, releases: ReleasePoller, clock: FollowedClock) -> FeatureStatus:
        """Of this worker."""
        return await feature_status(online, releases, clock)

    @post(
        "/reload",
        opt=needs("admin"),
        status_code=OK,
        summary="Drop this worker's copy of the online features, and read the newest snapshot anew",
        responses={503: problem_spec("The online features can't be read; the former ones stay.")},
    )
    async def reload(self, online: OnlineFeatures, releases: ReleasePoller, clock: FollowedClock) -> FeatureStatus:
        """Other workers follow the newest snapshot by themselves."""
        await online.reload()
        return await feature_status(online, releases, clock)
