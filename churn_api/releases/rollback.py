"""``POST /releases/rollback``: put the former champion back, for keys with the scope ``release``.

The row that it adds to ``releases`` is the audit: it names the key, the reason and the time. Belongs here: the route, its request,
and its errors. Does not belong here: which release is the former one, and the fence (``churn_store.releases.rollback``).
"""

from functools import partial

import msgspec
from litestar import Controller, post

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.lanes import needs
from churn_api.http.problems import problem_spec
from churn_api.releases.decisions import Decisions, Epoch, Ground
from churn_api.releases.responses import Release
from churn_api.schemas.decisions import GivenReason
from churn_store.errors import InputError
from churn_store.releases.log import Serving, newest
from churn_store.releases.rollback import roll_back


class RollbackRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The reason and the target of a rollback.

    Attributes:
        reason: explanation for everybody who asks later why this release serves; white space counts as one space, other characters
            that can't be shown are refused.
        to_epoch: epoch whose champion is to serve again; default: the newest one with another champion than now.
        read_epoch: newest epoch that the caller knows (``GET /models``). If another one is the newest by now, nothing is done and
            the answer is 409.

    Only the request that wrote the row is answered with 200. Any other, also the same one sent again, changes nothing and is answered with
    409 and the row that serves (``newest``): its ``actor`` and ``reason`` say whether it is the caller's own.
    """

    reason: GivenReason
    to_epoch: Epoch | None = None
    read_epoch: Epoch | None = None


class RollbackController(Controller):
    """Put the former champion back."""

    @post(
        "/releases/rollback",
        opt=needs("release"),
        status_code=OK,
        summary="Put the former champion back; every worker follows within about a second",
        responses={
            409: problem_spec("Nothing to go back to, or another row was faster: ``newest``; nothing was changed."),
            503: problem_spec("The database or the store of release files does not answer."),
        },
    )
    async def roll_back_release(self, data: RollbackRequest, call: Call, decisions: Decisions) -> Release:
        """Add a row to the history of releases."""
        return await decisions.row(call, "no-rollback", data.reason, partial(_rolled_back, data))


def _rolled_back(data: RollbackRequest, ground: Ground) -> Serving:
    if newest(ground.engine) is None:  # then there are no release files to look at either
        raise InputError("nothing was released yet, so there is nothing to go back to")
    return roll_back(
        ground.engine,
        ground.files(),
        by=ground.by,
        reason=data.reason,
        now_s=ground.now_s,
        to=data.to_epoch,
        read_epoch=data.read_epoch,
        once=True,
        trials=ground.trials,
    )
