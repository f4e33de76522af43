"""The releases that serve and served: ``GET /model/version``, ``/model/info`` and ``/models``, for keys with the scope ``read``."""

from functools import partial

import sqlalchemy as sa
from litestar import Controller, get

from churn_api.http.asking import asked
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.model_info import ModelInfo, model_info
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import ModelVersion, Releases, rows_of, version_of
from churn_api.releases.served import Served
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
        return version_of(_serving(releases), releases.failure, releases.challenger_failure)

    @get(
        "/model/info",
        opt=needs("read"),
        summary="What the serving release takes, what its answers mean, and where its risk bands begin",
        responses={503: problem_spec("No release serves yet.")},
    )
    async def info(self, releases: ReleasePoller) -> ModelInfo:
        """For whoever asks for predictions."""
        return model_info(_serving(releases))

    @get(
        "/models",
        opt=needs("read"),
        summary="What served from when on, who released it, and why",
        responses={503: problem_spec("The database does not answer.")},
    )
    async def models(self, releases: ReleasePoller, engine: sa.Engine) -> Releases:
        """What served, newest first."""
        rows = await asked(partial(history, engine, limit=SHOWN + 1))
        serving = None if releases.current is None else releases.current.row.epoch
        return Releases(releases=rows_of(rows, serving, at_most=SHOWN))


def _serving(releases: ReleasePoller) -> Served:
    """What serves.

    Raises:
        Problem: if nothing does (503); says why.
    """
    served = releases.current
    if served is None:
        why = f" ({releases.failure.reason}: {releases.failure.detail})" if releases.failure is not None else ""
        raise Problem(503, "no-release", f"No release serves yet{why}.")
    return served
