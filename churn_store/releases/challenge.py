"""The challenge: an accepted candidate answers a share of the requests, next to the champion, until somebody ends it.

With a share of 0 it is in shadow: it answers nobody and scores what the champion has answered, off the answers' path.

Belongs here: who may be challenger, also for the service that reads the row. Does not belong here: which candidates may be
released at all (``approval``), and which customers a challenger answers (``churn_api.releases.traffic_split``).
"""

import math

import sqlalchemy as sa

from churn_store.errors import InputError, ReleaseError
from churn_store.releases.approval import to_release
from churn_store.releases.attribution import require_name, require_reason
from churn_store.releases.bundles import Reached, load_manifest, on, verify_release
from churn_store.releases.log import (
    ADDING,
    CHALLENGE_ENDED,
    CHALLENGED,
    PUBLISHING,
    SHADOWED,
    Also,
    Serving,
    append,
    newest,
    require_newest,
    sealed,
)
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore

GREATEST_SHARE = 0.5
"""Greatest share of the requests for a challenger: the release that answers most of them is the champion."""

CHALLENGING = PUBLISHING
ENDING = ("champion verified", *ADDING)
"""The steps of ``challenge`` and of ``end_challenge``, in order."""

NAMED_COLUMNS = 5


def challenge(
    engine: sa.Engine,
    files: DigestStore,
    candidate: str,
    *,
    share: float,
    by: str,
    reason: str,
    now_s: int,
    override: bool = False,
    read_epoch: int | None = None,
    anew: bool = False,
    also: Also | None = None,
    reached: Reached = on,
) -> Serving:
    """Let an accepted candidate answer a share of the requests beside the champion, or none in shadow.

    Args:
        engine: the serving database.
        files: the release files.
        candidate: digest of the candidate.
        share: share of the requests, at most ``GREATEST_SHARE``; 0 for a challenger in shadow.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        override: whether a rejected candidate may serve, as in ``approve``.
        read_epoch: newest epoch that the caller knew; default: whichever is the newest now.
        anew: whether a row is added where the newest says the same, so that every worker begins once more.
        also: what else is written in the transaction of the row.
        reached: called at each step; for tests of crashes.

    Raises:
        InputError: if the share is out of range, there is no champion, the candidate is the champion or
            has its ``model.onnx``, or as in ``approve``.
        FencedError: as in ``approve``.
        ReleaseError: as in ``approve``, also for the champion's files; or if the two can't be compared (``require_comparable``).
    """
    by, reason = require_name(by), require_reason(reason)
    if not (math.isfinite(share) and 0 <= share <= GREATEST_SHARE):
        raise InputError(
            f"a challenger's share is {share:g}; expected more than 0 and at most {GREATEST_SHARE:g}, or 0 for one in shadow"
        )
    serving = newest(engine)
    require_newest(serving, read_epoch)
    if serving is None:
        raise InputError("there is no champion to challenge yet; approve the candidate instead")
    champion = verify_release(files, serving.champion)
    if champion.candidate == candidate:
        raise InputError(f"candidate {candidate[:12]} is the champion already (epoch {serving.epoch})")
    asked = load_manifest(files, candidate)
    if asked.model_sha256 == champion.model_sha256:
        raise InputError(
            f"candidate {candidate[:12]} has the same model.onnx as the champion (epoch {serving.epoch}), so nothing could be compared; name "
            "another candidate"
        )
    require_comparable(champion, asked)
    manifest, blessing, _ = to_release(
        engine, files, candidate, serving, by=by, reason=reason, now_s=now_s, override=override, reached=reached
    )
    digest = sealed(engine, files, manifest, blessing, reached=reached)
    if also is None and not anew and (serving.challenger, serving.challenger_share) == (digest, share):
        return serving
    row = Serving(
        epoch=serving.epoch + 1,
        champion=serving.champion,
        challenger=digest,
        challenger_share=share,
        actor=by,
        reason=reason,
        published_s=now_s,
        kind=CHALLENGED if share else SHADOWED,
        gain=blessing.gain,
    )
    return append(engine, row, repeated=also is None, also=also, reached=reached)


def end_challenge(
    engine: sa.Engine,
    files: DigestStore,
    *,
    by: str,
    reason: str,
    now_s: int,
    read_epoch: int | None = None,
    also: Also | None = None,
    reached: Reached = on,
) -> Serving:
    """Let the champion answer every request again.

    Args:
        engine: the serving database.
        files: the release files.
        by: name of the person, or of the guard that ends the challenge.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        read_epoch: newest epoch that the caller knew; default: whichever is the newest now.
        also: what else is written in the transaction of the row.
        reached: called at each step; for tests of crashes.

    Raises:
        InputError: if there is no challenger.
        FencedError: if another release was faster.
        ReleaseError: if the champion's files are missing or changed.
    """
    by, reason = require_name(by), require_reason(reason)
    serving = newest(engine)
    require_newest(serving, read_epoch)
    if serving is None or serving.challenger is None:
        raise InputError("there is no challenger; `churn releases` shows who serves")
    verify_release(files, serving.champion)
    reached("champion verified")
    row = Serving(
        epoch=serving.epoch + 1,
        champion=serving.champion,
        challenger=None,
        challenger_share=0.0,
        actor=by,
        reason=reason,
        published_s=now_s,
        kind=CHALLENGE_ENDED,
    )
    return append(engine, row, repeated=also is None, also=also, reached=reached)


def require_comparable(champion: Manifest, challenger: Manifest) -> None:
    """Refuse a challenger that can't answer the champion's requests, or would answer another question.

    Raises:
        ReleaseError: if it takes other inputs or has another horizon.
    """
    if champion.signature.asked_for != challenger.signature.asked_for:
        raise ReleaseError(
            f"the challenger takes other columns than the champion ({_differences(champion, challenger)}), so the same request could "
            "not be answered by both; approve it as champion instead"
        )
    if champion.horizon_days != challenger.horizon_days:
        raise ReleaseError(
            f"the challenger's horizon is {_days(challenger)}, the champion's {_days(champion)}, so their answers could not be "
            "compared; approve it as champion instead"
        )


def _days(manifest: Manifest) -> str:
    return "none" if manifest.horizon_days is None else f"{manifest.horizon_days} days"


def _differences(one: Manifest, other: Manifest) -> str:
    """The columns that two signatures do not share, the first ``NAMED_COLUMNS`` by name."""
    ours = {column.name: column for column in one.signature.asked_for}
    theirs = {column.name: column for column in other.signature.asked_for}
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    more = len(names) - NAMED_COLUMNS
    return ", ".join(names[:NAMED_COLUMNS]) + (f" and {more} more" if more > 0 else "") or "in another order"
