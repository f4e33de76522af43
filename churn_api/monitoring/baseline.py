"""``/monitoring/baseline``: whose reference drift is measured against; read with the scope ``read``, pinned with ``release``.

Belongs here: the route and its request. Does not belong here: which baseline counts, and the record (``churn_store.monitoring.baselines``).
"""

from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
import sqlalchemy as sa
from litestar import Controller, get, put

from churn_api.http.asking import asked
from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.decisions import Decisions, Epoch, Ground
from churn_api.schemas.decisions import GivenReason, Named
from churn_store.monitoring.baselines import Baseline, baseline_now, pin, pins, unpin

SHOWN: Final = 20


class BaselineEntry(msgspec.Struct, kw_only=True):
    """A baseline.

    Attributes:
        release: digest of the release that is compared with it.
        baseline: digest of the release whose reference it is.
        is_own: whether the release is compared with its own reference.
        actor: name of who pinned it; null where nobody did.
        reason: reason in words; empty where nobody pinned one.
        pinned: time by the platform's clock; null where nobody pinned one.
    """

    release: str
    baseline: str
    is_own: bool
    actor: str | None
    reason: str
    pinned: datetime | None


class BaselineAnswer(msgspec.Struct, kw_only=True):
    """The baseline that counts for the release that serves, and what was pinned for any release, newest first."""

    counts: BaselineEntry
    pins: list[BaselineEntry]


class BaselineRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The release whose reference is to be the baseline of the one that serves.

    Attributes:
        baseline: the release; null lets the serving release's own reference count again.
        read_epoch: newest epoch that the caller knows. If another one is the newest by now, nothing is done and the answer is 409.
    """

    baseline: Named | None
    reason: GivenReason
    read_epoch: Epoch | None = None


class BaselineController(Controller):
    """Whose reference drift is measured against."""

    path = "/monitoring/baseline"

    @get(
        "/",
        opt=needs("read"),
        summary="Whose reference drift is measured against, and what was pinned",
        responses={404: problem_spec("Nothing was released yet."), 503: problem_spec("The database does not answer.")},
    )
    async def baseline(self, engine: sa.Engine) -> BaselineAnswer:
        """By the newest row of the history."""
        counts, pinned = await asked(lambda: (baseline_now(engine), pins(engine, limit=SHOWN)))
        if counts is None:
            raise Problem(404, "no-release", "Nothing was released yet; materialize the asset champion.")
        return BaselineAnswer(counts=_entry(counts), pins=list(map(_entry, pinned)))

    @put(
        "/",
        opt=needs("release"),
        status_code=OK,
        summary="Pin another release's reference as baseline, until another release serves",
        responses={
            409: problem_spec("Nothing was changed: it can't be done, or another release serves (``newest``)."),
            503: problem_spec("The database or the store of release files does not answer."),
        },
    )
    async def set_baseline(self, data: BaselineRequest, call: Call, decisions: Decisions) -> BaselineEntry:
        """The graph measures against it at its next run."""
        return _entry(await decisions.taken(call, "no-baseline", data.reason, partial(_pinned, data)))


def _pinned(data: BaselineRequest, ground: Ground) -> Baseline:
    act = unpin if data.baseline is None else partial(pin, named=data.baseline)
    return act(
        ground.engine,
        ground.files(),
        by=ground.by,
        reason=data.reason,
        now_s=ground.now_s,
        read_epoch=data.read_epoch,
    )


def _entry(one: Baseline) -> BaselineEntry:
    return BaselineEntry(
        release=one.release,
        baseline=one.baseline,
        is_own=one.is_own,
        actor=one.actor,
        reason=one.reason,
        pinned=None if one.pinned_s is None else datetime.fromtimestamp(one.pinned_s, UTC),
    )
