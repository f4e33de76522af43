"""The releases that serve and served: ``GET /model/version`` and ``GET /models``, for keys with the scope ``read``."""

import asyncio

import sqlalchemy as sa
from litestar import Controller, get
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import ModelVersion, Releases, rows_of, version_of
from churn_store.releases.log import history

SHOWN = 100
"""Most releases in the list, newest first."""


class ModelController(Controller):
    """The release that serves, and those before it."""

    @get(
        "/model/version",
        opt=needs("read"),
        summary="The release that serves, with its evidence",
        responses={503: problem_spec("No release serves yet.")},
    )
    async def version(self, releases: ReleasePoller) -> ModelVersion:
        """What serves."""
        served = releases.current
        if served is None:
            why = f" ({releases.failure.reason}: {releases.failure.detail})" if releases.failure is not None else ""
            raise Problem(503, "no-release", f"No release serves yet{why}.")
        return version_of(served, releases.failure, releases.challenger_failure)

    @get(
        "/models",
        opt=needs("read"),
        summary="What served from when on, who released it, and why",
        responses={503: problem_spec("The database does not answer.")},
    )
    async def models(self, releases: ReleasePoller, engine: sa.Engine) -> Releases:
        """What served, newest first."""
        try:
            rows = await asyncio.to_thread(history, engine, limit=SHOWN + 1)
        except SQLAlchemyError as error:
            raise Problem(503, "database-away", "The serving database does not answer; try again.") from error
        serving = None if releases.current is None else releases.current.row.epoch
        return Releases(releases=rows_of(rows, serving, at_most=SHOWN))
