"""What serves and what served: ``GET /model/version`` and ``GET /models``, for keys with the scope ``read``."""

import asyncio
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope
from sqlalchemy.exc import SQLAlchemyError

from churn_api.front import needs
from churn_api.problems import Problem
from churn_api.releases.poller import Failure, ReleasePoller
from churn_api.wire import JSON, Answer
from churn_store.manifest import TableVersion
from churn_store.releases import history

SHOWN = 100
"""Releases in the list, newest first."""


class NotTaken(msgspec.Struct, kw_only=True):
    """Why the newest release is not the one that serves."""

    release: str | None
    reason: str
    detail: str
    at: datetime


class ModelVersion(msgspec.Struct, kw_only=True):
    """The release that serves.

    Attributes:
        since: when this worker began to serve it, by the platform's clock.
        from_cache: taken from local disk because the database or the store was away.
        blessing: the gate's verdict, what each rule found, and who decided.
        not_taken: why a newer one does not serve.
    """

    release: str
    epoch: int
    family: str
    role: str
    since: datetime
    published: datetime
    actor: str
    reason: str
    from_cache: bool
    label: str
    horizon_days: int | None
    threshold: float
    metrics: dict[str, float]
    trained_on: tuple[str, ...]
    training_rows: int
    judged_on: tuple[str, ...]
    judging_rows: int
    blessing: str
    blessing_reasons: list[str]
    blessed_by: str
    tables: dict[str, TableVersion]
    mlflow: dict[str, str]
    code_commit: str
    not_taken: NotTaken | None


class Release(msgspec.Struct, kw_only=True):
    """A row of the history: what served from then on, who released it and why."""

    epoch: int
    release: str
    actor: str
    reason: str
    published: datetime
    serves: bool


class Releases(msgspec.Struct, kw_only=True):
    """The history, newest first."""

    releases: list[Release]


def model_version(poller: ReleasePoller) -> ModelVersion:
    """What serves now.

    Raises:
        Problem: 503, nothing does yet.
    """
    served = poller.current
    if served is None:
        why = f" ({poller.failure.reason}: {poller.failure.detail})" if poller.failure is not None else ""
        raise Problem(503, "no-release", f"No release serves yet{why}.")
    manifest, row = served.bundle.manifest, served.row
    blessing = manifest.blessing
    return ModelVersion(
        release=row.champion,
        epoch=row.epoch,
        family=manifest.family,
        role=served.model.role,
        since=_time(served.since_s),
        published=_time(row.published_s),
        actor=row.actor,
        reason=row.reason,
        from_cache=served.from_cache,
        label=manifest.label,
        horizon_days=manifest.horizon_days,
        threshold=manifest.threshold,
        metrics=manifest.metrics,
        trained_on=manifest.trained_on,
        training_rows=manifest.training_rows,
        judged_on=manifest.judged_on,
        judging_rows=manifest.judging_rows,
        blessing="none" if blessing is None else blessing.verdict,
        blessing_reasons=[] if blessing is None else blessing.reasons,
        blessed_by="" if blessing is None else blessing.actor,
        tables=manifest.tables,
        mlflow=manifest.mlflow,
        code_commit=manifest.code_commit,
        not_taken=_not_taken(poller.failure),
    )


def model_routes(poller: ReleasePoller, engine: sa.Engine) -> list[HTTPRouteHandler]:
    """``GET /model/version`` and ``GET /models``."""

    @get("/model/version", opt=needs("read"))
    async def version(scope: Scope) -> Answer:  # noqa: ARG001
        return Answer(msgspec.json.encode(model_version(poller)), JSON)

    @get("/models", opt=needs("read"))
    async def models(scope: Scope) -> Answer:  # noqa: ARG001
        try:
            rows = await asyncio.to_thread(history, engine, limit=SHOWN)
        except SQLAlchemyError as error:
            raise Problem(503, "database-away", "The serving database does not answer; try again.") from error
        serving = None if poller.current is None else poller.current.row.epoch
        releases = [
            Release(
                epoch=row.epoch,
                release=row.champion,
                actor=row.actor,
                reason=row.reason,
                published=_time(row.published_s),
                serves=row.epoch == serving,
            )
            for row in rows
        ]
        return Answer(msgspec.json.encode(Releases(releases=releases)), JSON)

    return [version, models]


def _not_taken(failure: Failure | None) -> NotTaken | None:
    if failure is None:
        return None
    return NotTaken(release=failure.digest, reason=failure.reason, detail=failure.detail, at=_time(failure.at_s))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
