"""What serves and what served: ``GET /model/version`` and ``GET /models``, for keys with the scope ``read``."""

import asyncio

import msgspec
import sqlalchemy as sa
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.body import JSON, Answer
from churn_api.http.middleware import needs
from churn_api.http.problems import Problem
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import Releases, rows_of, version_of
from churn_store.releases.log import history

SHOWN = 100
"""Releases in the list, newest first."""


def model_routes(poller: ReleasePoller, engine: sa.Engine) -> list[HTTPRouteHandler]:
    """``GET /model/version`` and ``GET /models``."""

    @get("/model/version", opt=needs("read"))
    async def version(scope: Scope) -> Answer:  # noqa: ARG001
        served = poller.current
        if served is None:
            why = f" ({poller.failure.reason}: {poller.failure.detail})" if poller.failure is not None else ""
            raise Problem(503, "no-release", f"No release serves yet{why}.")
        return Answer(msgspec.json.encode(version_of(served, poller.failure, poller.challenger_failure)), JSON)

    @get("/models", opt=needs("read"))
    async def models(scope: Scope) -> Answer:  # noqa: ARG001
        try:
            rows = await asyncio.to_thread(history, engine, limit=SHOWN + 1)
        except SQLAlchemyError as error:
            raise Problem(503, "database-away", "The serving database does not answer; try again.") from error
        serving = None if poller.current is None else poller.current.row.epoch
        return Answer(msgspec.json.encode(Releases(releases=rows_of(rows, serving, at_most=SHOWN))), JSON)

    return [version, models]
