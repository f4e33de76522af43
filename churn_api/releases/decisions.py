"""A person's decision about releases, taken by a route: who it was, and what is said if nothing was changed.

Belongs here: the name of the key, the errors, and the answer. Does not belong here: what is decided, which ``churn_store.releases``
does for the commands alike.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.asking import away_is_said
from churn_api.http.call import Call
from churn_api.http.decode_errors import malformed
from churn_api.http.problems import Problem
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import Release, row_of
from churn_api.telemetry.json_log import say
from churn_store.errors import FencedError, InputError, ReleaseError
from churn_store.releases.attribution import require_reason
from churn_store.releases.log import Serving, history
from churn_store.releases.trial import Trials
from churn_store.storage.digest_store import DigestStore

Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**53)]

T = TypeVar("T")


@dataclass(frozen=True)
class Ground:
    """What a decision is made on.

    Attributes:
        engine: the serving database.
        files: function that opens the release files.
        trials: models that were tried on this machine.
        by: name of the key's owner.
        now_s: time by the platform's clock, in epoch seconds.
    """

    engine: sa.Engine
    files: Callable[[], DigestStore]
    trials: Trials
    by: str
    now_s: int


class Decisions:
    """Takes decisions in a thread, and turns what stands against them into problems.

    Args:
        engine: the serving database.
        releases: source of the release files and of what serves.
        trials: models that were tried on this machine.
        name_of: function from a key's id to the name of its owner.
        now_s: the platform's clock.
        has_given_up: function that says whether this worker's shadow has given up the release that a row put there.

    Attributes:
        has_given_up: that function.
    """

    def __init__(
        self, engine: sa.Engine, releases: ReleasePoller, trials: Trials, name_of: Callable[[str], str],
        now_s: Callable[[], float], has_given_up: Callable[[Serving], bool],
    ) -> None:  # fmt: skip
        self.has_given_up = has_given_up
        self._engine = engine
        self._releases = releases
        self._trials = trials
        self._name_of = name_of
        self._now_s = now_s

    async def row(self, call: Call, name: str, reason: str, decide: Callable[[Ground], Serving]) -> Release:
        """Take a decision that adds a row to the history; every worker follows it at its next look.

        Args:
            call: the request.
            name: name of the problem if the decision can't be taken.
            reason: reason, in words.
            decide: function that takes the decision.

        Raises:
            Problem: as ``taken`` does.
        """

        def work(ground: Ground) -> tuple[Serving, Serving | None]:
            row = decide(ground)
            return row, next(iter([one for one in history(self._engine, limit=2) if one.epoch < row.epoch]), None)

        row, former = await self.taken(call, name, reason, work)
        say(row.kind, logging.WARNING, epoch=row.epoch, release=row.champion[:12], key_id=call.key_id)
        return row_of(row, former, self._serving_epoch)

    async def taken(self, call: Call, name: str, reason: str, decide: Callable[[Ground], T]) -> T:
        """Take a decision.

        Raises:
            Problem: if the reason is no line of text (400), the decision can't be taken or another was faster (409), or the
                database or the store is away (503). Nothing was changed then.
        """
        if call.key_id is None:  # a route that needs a scope is not reached without a key
            raise Problem(401, "key", "Send a usable API key.")
        try:
            require_reason(reason)
        except InputError as error:
            raise malformed("reason", str(error)) from error
        ground = Ground(self._engine, self._releases.store, self._trials, self._name_of(call.key_id), int(self._now_s()))
        return await asyncio.to_thread(self._told, name, decide, ground)

    def _told(self, name: str, decide: Callable[[Ground], T], ground: Ground) -> T:
        try:
            with away_is_said():
                return decide(ground)
        except FencedError as error:
            raise Problem(409, "fenced", f"Nothing was changed: {error}.", newest=self._newest()) from error
        except (InputError, ReleaseError) as error:
            raise Problem(409, name, f"Nothing was changed: {error}", newest=self._newest()) from error

    @property
    def _serving_epoch(self) -> int | None:
        current = self._releases.current
        return None if current is None else current.row.epoch

    def _newest(self) -> dict[str, Any] | None:
        """The row that serves; ``None`` where there is none, or it can't be read at the moment."""
        try:
            row, former = [*history(self._engine, limit=2), None, None][:2]
        except SQLAlchemyError:
            return None
        if row is None:
            return None
        told: dict[str, Any] = msgspec.to_builtins(row_of(row, former, self._serving_epoch))
        return told
