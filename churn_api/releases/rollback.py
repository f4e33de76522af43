"""``POST /releases/rollback``: put the former champion back, for keys with the scope ``release``.

The row that it adds to ``releases`` is the audit: it names the key, the reason and the time. Belongs here: the route, its request,
and its errors. Does not belong here: which release is the former one, and the fence (``churn_store.releases.rollback``).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Annotated

import msgspec
import sqlalchemy as sa
from litestar import Controller, post
from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.decode_errors import malformed
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import Release, row_of
from churn_api.telemetry.json_log import say
from churn_store.errors import FencedError, InputError, ReleaseError, StoreAwayError
from churn_store.releases.attribution import LONGEST_REASON, require_reason
from churn_store.releases.log import history, newest
from churn_store.releases.rollback import roll_back

Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class RollbackRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The reason and the target of a rollback.

    Attributes:
        reason: explanation for everybody who asks later why this release serves; white space counts as one space, other characters
            that can't be shown are refused.
        to_epoch: epoch whose champion is to serve again; default: the newest one with another champion than now.
        read_epoch: newest epoch that the caller knows (``GET /models``). If another one is the newest by now, nothing is done and
            the answer is 409. Sent again with the same reason and ``read_epoch``, the request gives the same answer and changes
            nothing.
    """

    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)]
    to_epoch: Epoch | None = None
    read_epoch: Epoch | None = None


class Rollback:
    """Puts the former champion back.

    Args:
        engine: the serving database.
        releases: source of the release files and of what serves.
        name_of: function from a key's id to the name of its owner.
        now_s: the platform's clock.
    """

    def __init__(
        self, engine: sa.Engine, releases: ReleasePoller, name_of: Callable[[str], str], now_s: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._releases = releases
        self._name_of = name_of
        self._now_s = now_s

    def __call__(self, asked: RollbackRequest, key_id: str) -> Release:
        """Add the row; every worker follows it at its next look.

        Raises:
            Problem: if there is nothing to go back to, another release was faster, or the former champion can't serve (409), or
                the database or the store is away (503). Nothing was changed then.
        """
        try:
            if newest(self._engine) is None:  # then there are no release files to look at either
                raise InputError("nothing was released yet, so there is nothing to go back to")
            row = roll_back(
                self._engine,
                self._releases.store(),
                by=self._name_of(key_id),
                reason=asked.reason,
                now_s=int(self._now_s()),
                to=asked.to_epoch,
                read_epoch=asked.read_epoch,
            )
            former = next(iter([one for one in history(self._engine, limit=2) if one.epoch < row.epoch]), None)
        except FencedError as error:
            raise Problem(409, "fenced", f"Nothing was changed: {error}") from error
        except (InputError, ReleaseError) as error:
            raise Problem(409, "no-rollback", f"Nothing was changed: {error}") from error
        except SQLAlchemyError as error:
            raise Problem(503, "database-away", "The serving database does not answer; try again.") from error
        except (OSError, ObjectStoreError, StoreAwayError) as error:
            raise Problem(503, "store-away", "The release files can't be read at the moment; try again.") from error
        say("rolled_back", logging.WARNING, epoch=row.epoch, release=row.champion[:12], key_id=key_id)
        current = self._releases.current
        return row_of(row, former, None if current is None else current.row.epoch)


class RollbackController(Controller):
    """Put the former champion back."""

    @post(
        "/releases/rollback",
        opt=needs("release"),
        status_code=OK,
        summary="Put the former champion back; every worker follows within about a second",
        responses={
            409: problem_spec("Nothing to go back to, or another release was faster; nothing was changed."),
            503: problem_spec("The database or the store of release files does not answer."),
        },
    )
    async def roll_back_release(self, data: RollbackRequest, call: Call, rollback: Rollback) -> Release:
        """Add a row to the history of releases."""
        if call.key_id is None:  # a route that needs a scope is not reached without a key
            raise Problem(401, "key", "Send a usable API key.")
        try:
            require_reason(data.reason)
        except InputError as error:
            raise malformed("reason", str(error)) from error
        return await asyncio.to_thread(rollback, data, call.key_id)
