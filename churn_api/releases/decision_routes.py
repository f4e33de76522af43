"""``/releases``: what served and what waits, approved or rejected; ``/ab/config``: who answers which share of the customers.

Each decision is one row, signed with the name of the key: of ``releases``, or of ``blessings`` for a rejection. Belongs here: the
routes and their requests. Does not belong here: what a decision does (``churn_store.releases``) and its errors
(``releases.decisions``); the rollback has a module of its own (``releases.rollback``).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
import sqlalchemy as sa
from litestar import Controller, get, post, put

from churn_api.http.asking import asked
from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.decode_errors import malformed
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.releases.decisions import Decisions, Epoch, Ground
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.responses import Release, rows_of
from churn_api.releases.routes import SHOWN
from churn_api.schemas.decisions import GivenReason, Named
from churn_store.errors import InputError
from churn_store.releases.approval import approve, reject
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.challenge import GREATEST_SHARE, challenge, end_challenge
from churn_store.releases.lifecycle import states
from churn_store.releases.log import Serving, history, newest
from churn_store.releases.manifest import Blessing
from churn_store.releases.resolve import find_manifest


class Candidate(msgspec.Struct, kw_only=True):
    """A candidate with its newest verdict.

    Attributes:
        candidate: its digest.
        state: ``waiting`` if it can be approved now; ``blessed`` if another champion serves than it was compared with; ``candidate``,
            ``champion``, ``challenger``, ``retired`` or ``rejected``.
        actor: id of the run of the gate, or name of the person who decided.
        epoch: newest epoch when it was judged; 0 for none.
        gain: profit per customer above the champion's of that epoch.
        reasons: what each rule of the gate found, those that failed first.
        reason: reason of a person's verdict.
    """

    candidate: str
    state: str
    verdict: str
    actor: str
    decided: datetime
    epoch: int
    gain: float | None
    reasons: list[str]
    reason: str


class ReleaseList(msgspec.Struct, kw_only=True):
    """The history, and the candidates that were judged; each newest first."""

    releases: list[Release]
    candidates: list[Candidate]


class ApproveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The candidate that is to be champion.

    Attributes:
        override: whether to release it against the gate or a newer champion; its blessing records this for ever.
        read_epoch: newest epoch that the caller knows. If another one is the newest by now, nothing is done and the answer is 409.
    """

    candidate: Named
    reason: GivenReason
    override: bool = False
    read_epoch: Epoch | None = None


class RejectRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The candidate that is not to be released. What serves can't be rejected: roll it back, or end the challenge."""

    candidate: Named
    reason: GivenReason


class Arms(msgspec.Struct, kw_only=True):
    """Who answers.

    Attributes:
        epoch: row of the history that says so.
        challenger: digest of the release that answers the share; null if there is none.
        share: share of the customers, chosen by a hash of their ids; 0 for a challenger in shadow, of which ``GET /shadow`` tells.
        serves: whether this worker answers so already; false too where its challenger in shadow failed and was given up.
    """

    epoch: int
    champion: str
    challenger: str | None
    share: float
    actor: str
    reason: str
    since: datetime
    serves: bool


class ArmsRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is to answer.

    Attributes:
        challenger: candidate that is to answer the share; null ends the challenge, or the shadow.
        share: share of the customers for the challenger; 0 puts it in shadow.
        override: whether a rejected candidate may be challenger.
        read_epoch: as for an approval.
    """

    challenger: Named | None
    reason: GivenReason
    share: Annotated[float, msgspec.Meta(ge=0, le=GREATEST_SHARE)] | None = None
    override: bool = False
    read_epoch: Epoch | None = None


_REFUSED = {
    409: problem_spec("Nothing was changed: it can't be done, or another row was faster (``newest``)."),
    503: problem_spec("The database or the store of release files does not answer."),
}
_AWAY = problem_spec("The database or the store of release files does not answer.")


class DecisionController(Controller):
    """What served, what waits, and the decision about it."""

    path = "/releases"

    @get("/", opt=needs("read"), summary="What served and what was judged", responses={503: _AWAY})
    async def entries(self, releases: ReleasePoller, engine: sa.Engine) -> ReleaseList:
        """Newest first."""
        return await asked(partial(_listed, releases, engine))

    @post(
        "/approve",
        opt=needs("release"),
        status_code=OK,
        summary="Make a judged candidate the champion; every worker follows within about a second",
        responses=_REFUSED,
    )
    async def approve_candidate(self, data: ApproveRequest, call: Call, decisions: Decisions) -> Release:
        """Add a row to the history; for the champion itself, answer with its row."""
        return await decisions.row(call, "no-approval", data.reason, partial(_approved, data))

    @post(
        "/reject",
        opt=needs("release"),
        status_code=OK,
        summary="Say that a candidate is not to be released; what serves is not touched",
        responses=_REFUSED,
    )
    async def reject_candidate(self, data: RejectRequest, call: Call, decisions: Decisions) -> Candidate:
        """Add a verdict."""
        return _candidate(await decisions.taken(call, "no-rejection", data.reason, partial(_rejected, data)), "rejected")


class ArmsController(Controller):
    """Champion and challenger."""

    path = "/ab/config"

    @get(
        "/",
        opt=needs("read"),
        summary="Who answers which share of the customers",
        responses={404: problem_spec("Nothing was released yet."), 503: _AWAY},
    )
    async def arms(self, releases: ReleasePoller, engine: sa.Engine, decisions: Decisions) -> Arms:
        """By the newest row of the history."""
        row = await asked(partial(newest, engine))
        if row is None:
            raise Problem(404, "no-release", "Nothing was released yet; materialize the asset champion.")
        served = releases.current
        answers = served is not None and served.row == row and served.has_challenger and not decisions.has_given_up(row)
        return Arms(
            epoch=row.epoch,
            champion=row.champion,
            challenger=row.challenger,
            share=row.challenger_share,
            actor=row.actor,
            reason=row.reason,
            since=datetime.fromtimestamp(row.published_s, UTC),
            serves=answers,
        )

    @put(
        "/",
        opt=needs("release"),
        summary="Begin, change or end a challenge or a shadow, by one row of the history",
        responses=_REFUSED,
    )
    async def set_arms(self, data: ArmsRequest, call: Call, decisions: Decisions) -> Release:
        """Add a row; where it would say the same as the newest, answer with that, unless its challenger in shadow was given up."""
        if data.challenger is not None and data.share is None:
            raise malformed("share", "a challenger needs a share of the customers, 0 for one in shadow; it is missing")
        if data.challenger is None and (data.share is not None or data.override):
            raise malformed("challenger", "null ends the challenge, which has no share and nothing to override")
        return await decisions.row(call, "no-challenge", data.reason, partial(_challenged, data, decisions.has_given_up))


def _listed(releases: ReleasePoller, engine: sa.Engine) -> ReleaseList:
    rows = history(engine, limit=SHOWN + 1)
    judged = newest_blessings(engine)
    known = states(engine, releases.store()) if judged else {}
    serving = None if releases.current is None else releases.current.row.epoch
    return ReleaseList(
        releases=rows_of(rows, serving, at_most=SHOWN),
        candidates=[_candidate(one, known[one.candidate]) for one in judged[:SHOWN] if one.candidate in known],
    )


def _candidate(blessing: Blessing, state: str) -> Candidate:
    return Candidate(
        candidate=blessing.candidate,
        state=state,
        verdict=blessing.verdict,
        actor=blessing.actor,
        decided=datetime.fromtimestamp(blessing.decided_s, UTC),
        epoch=blessing.epoch,
        gain=blessing.gain,
        reasons=blessing.reasons,
        reason=blessing.reason,
    )


def _approved(data: ApproveRequest, ground: Ground) -> Serving:
    files = ground.files()
    _, manifest = find_manifest(ground.engine, files, data.candidate)
    return approve(
        ground.engine, files, manifest.candidate, by=ground.by, reason=data.reason, now_s=ground.now_s, override=data.override,
        read_epoch=data.read_epoch,
    )  # fmt: skip


def _rejected(data: RejectRequest, ground: Ground) -> Blessing:
    files = ground.files()
    _, manifest = find_manifest(ground.engine, files, data.candidate)
    return reject(ground.engine, files, manifest.candidate, by=ground.by, reason=data.reason, now_s=ground.now_s)


def _challenged(data: ArmsRequest, has_given_up: Callable[[Serving], bool], ground: Ground) -> Serving:
    serving = newest(ground.engine)
    if serving is None:  # then there are no release files to look at either
        raise InputError("nothing was released yet, so there is no champion to challenge")
    files = ground.files()
    if data.challenger is None or data.share is None:
        return end_challenge(
            ground.engine, files, by=ground.by, reason=data.reason, now_s=ground.now_s, read_epoch=data.read_epoch
        )
    _, manifest = find_manifest(ground.engine, files, data.challenger)
    return challenge(
        ground.engine, files, manifest.candidate, share=data.share, by=ground.by, reason=data.reason, now_s=ground.now_s,
        override=data.override, read_epoch=data.read_epoch, anew=has_given_up(serving),
    )  # fmt: skip
