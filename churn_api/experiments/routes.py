"""``/experiments``: plan, start, stop and promote for keys with the scope ``release``, read for keys with the scope ``read``.

Belongs here: addresses and errors. Does not belong here: what is decided, which ``churn_store.experiments`` does for the command
``churn experiment`` alike.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, TypeVar

import sqlalchemy as sa
from litestar import Controller, get, post
from litestar.params import Parameter

from churn_api.http.asking import asked
from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.decisions import Decisions, Ground
from churn_api.schemas.experiments import (
    CreateRequest,
    ExperimentEntry,
    ExperimentList,
    StartRequest,
    StopRequest,
    entry_of,
)
from churn_store.experiments.history import listed, put_aside, read
from churn_store.experiments.lifecycle import create, start, stop
from churn_store.experiments.promotion import promote
from churn_store.experiments.record import Record, UnknownExperimentError, UnreadableExperimentError
from churn_store.experiments.results import results
from churn_store.storage.digest_store import DigestStore

SHOWN: Final = 100
"""Most experiments in the list."""

T = TypeVar("T")

Name = Annotated[str, Parameter(min_length=1, max_length=60, description="name of the experiment")]

_AWAY = problem_spec("The database or the store of release files does not answer.")
_UNKNOWN = problem_spec("There is no such experiment.")
_UNREADABLE = problem_spec("Its rows in the database can't be read.")
_REFUSED = {409: problem_spec("Nothing was changed: it can't be done, or another decision was faster."), 503: _AWAY}


class ExperimentReader:
    """Reads experiments and computes their results, for one request at a time.

    Args:
        engine: the serving database.
        files: function that opens the release files.
        now_s: the platform's clock.
    """

    def __init__(self, engine: sa.Engine, files: Callable[[], DigestStore], now_s: Callable[[], float]) -> None:
        self._engine = engine
        self._files = files
        self._now_s = now_s
        self._turns = asyncio.Semaphore(1)

    async def one(self, name: str) -> ExperimentEntry:
        """An experiment with its results so far.

        Raises:
            Problem: if there is no such experiment (404), its rows can't be read (409), or the database does not answer (503).
        """
        async with self._turns:
            return await asked(partial(_told, partial(self._read, name)))

    async def all(self) -> ExperimentList:
        """The experiments, the newest first, without results, and what can't be read.

        Raises:
            Problem: if the database does not answer (503).
        """
        return await asked(self._list)

    def _list(self) -> ExperimentList:
        return ExperimentList(
            experiments=[entry_of(record) for record in listed(self._engine, limit=SHOWN)],
            put_aside=[row.sentence for row in put_aside(self._engine)],
        )

    def _read(self, name: str) -> ExperimentEntry:
        record = read(self._engine, name)
        return entry_of(record, results(self._engine, self._files, record, now_s=self._now_s()))


class ExperimentController(Controller):
    """Experiments of models and of actions."""

    path = "/experiments"

    @post(
        "/",
        opt=needs("release"),
        status_code=OK,
        summary="Plan an experiment; nobody is assigned before it is started",
        responses=_REFUSED,
    )
    async def plan(self, data: CreateRequest, call: Call, decisions: Decisions) -> ExperimentEntry:
        """Say how many customers it takes."""
        return entry_of(await decisions.taken(call, "no-experiment", data.reason, partial(_created, data)))

    @get("/", opt=needs("read"), summary="The experiments, the newest first", responses={503: _AWAY})
    async def entries(self, experiments: ExperimentReader) -> ExperimentList:
        """At most 100."""
        return await experiments.all()

    @get(
        "/{name:str}",
        opt=needs("read"),
        summary="An experiment: its plan, every decision about it, and its results so far",
        responses={404: _UNKNOWN, 409: _UNREADABLE, 503: _AWAY},
    )
    async def experiment(self, name: Name, experiments: ExperimentReader) -> ExperimentEntry:
        """Computed anew for each request."""
        return await experiments.one(name)

    @post(
        "/{name:str}/start",
        opt=needs("release"),
        status_code=OK,
        summary="Begin to assign customers; of models, the challenger begins to answer its share",
        responses={404: _UNKNOWN, **_REFUSED},
    )
    async def begin(self, name: Name, data: StartRequest, call: Call, decisions: Decisions) -> ExperimentEntry:
        """Every worker follows within about a second."""
        return entry_of(await decisions.taken(call, "no-start", data.reason, partial(_decided, start, name, data)))

    @post(
        "/{name:str}/promote",
        opt=needs("release"),
        status_code=OK,
        summary="Make the challenger of a won experiment the champion, by one row of the history",
        responses={404: _UNKNOWN, **_REFUSED},
    )
    async def win(self, name: Name, data: StartRequest, call: Call, decisions: Decisions) -> ExperimentEntry:
        """Refused unless the results say that the challenger is better; asked again, it changes nothing."""
        return entry_of(await decisions.taken(call, "no-promotion", data.reason, partial(_decided, promote, name, data)))

    @post(
        "/{name:str}/stop",
        opt=needs("release"),
        status_code=OK,
        summary="End an experiment: nobody is assigned any more, and the champion answers everybody",
        responses={404: _UNKNOWN, **_REFUSED},
    )
    async def end(self, name: Name, data: StopRequest, call: Call, decisions: Decisions) -> ExperimentEntry:
        """Outcomes of those who were assigned go on counting; asked again, it changes nothing."""
        return entry_of(await decisions.taken(call, "no-stop", data.reason, partial(_stopped, name, data)))


def _known(work: Callable[[], T]) -> T:
    """The answer to a question about an experiment.

    Raises:
        Problem: if there is no such experiment (404).
    """
    try:
        return work()
    except UnknownExperimentError as error:
        raise Problem(
            404, "unknown-experiment", "There is no experiment of this name; GET /experiments lists them."
        ) from error


def _told(work: Callable[[], T]) -> T:
    """The answer to a question about an experiment that may be damaged.

    Raises:
        Problem: if there is no such experiment (404), or its rows can't be read (409).
    """
    try:
        return _known(work)
    except UnreadableExperimentError as error:
        raise Problem(409, "unreadable-experiment", f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def _created(data: CreateRequest, ground: Ground) -> Record:
    return create(ground.engine, ground.files(), data, by=ground.by, reason=data.reason, now_s=ground.now_s)


def _decided(decide: Callable[..., Record], name: str, data: StartRequest, ground: Ground) -> Record:
    """A start or a promotion, which may have to override the verdict of the candidate."""
    return _known(
        lambda: decide(
            ground.engine,
            ground.files(),
            name,
            by=ground.by,
            reason=data.reason,
            now_s=ground.now_s,
            override=data.override,
        )
    )


def _stopped(name: str, data: StopRequest, ground: Ground) -> Record:
    return _known(lambda: stop(ground.engine, ground.files(), name, by=ground.by, reason=data.reason, now_s=ground.now_s))
