"""Approval and rejection: a named person makes a judged candidate the champion, or says that it is not to be one.

Nothing here needs MLflow or Dagster. Belongs here: which candidates may be released at all, also as challengers. Does not belong
here: how a row is added (``releases``), what state a candidate is in (``lifecycle``), and the gate.
"""

import sqlalchemy as sa

from churn_store.errors import FencedError, InputError
from churn_store.releases.attribution import require_name, require_reason
from churn_store.releases.blessings import RECORDING, newest_blessing, record_blessing
from churn_store.releases.bundles import Reached, load_manifest, on
from churn_store.releases.lifecycle import candidate_of, champion_of, judged_against
from churn_store.releases.log import (
    APPROVED,
    OVERRIDDEN,
    PUBLISHING,
    Also,
    Serving,
    history,
    newest,
    publish,
    require_newest,
)
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.storage.digest_store import DigestStore

APPROVING = PUBLISHING
OVERRIDING = (*RECORDING, *PUBLISHING)
"""The steps of ``approve``, and of ``approve`` with ``override``, in order."""

REFUSAL = 600
"""So many letters of why a candidate was not accepted are shown."""


def approve(
    engine: sa.Engine,
    files: DigestStore,
    candidate: str,
    *,
    by: str,
    reason: str,
    now_s: int,
    override: bool = False,
    read_epoch: int | None = None,
    also: Also | None = None,
    reached: Reached = on,
) -> Serving:
    """Make an accepted candidate the champion. If it is the champion already, its row is returned.

    Args:
        engine: the serving database.
        files: the release files.
        candidate: digest of the candidate.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        override: whether to release it against the gate or a newer champion; its blessing records this for ever.
        read_epoch: newest epoch that the caller knew; default: whichever is the newest now.
        also: what else is written in the transaction of the row.
        reached: function called at each step; for tests of crashes.

    Raises:
        InputError: if there is no such candidate, no name or no reason, or, without ``override``, its verdict allows no release
            (``Blessing.releasable``).
        FencedError: if it was compared with another champion than the one that serves now, or another release was faster.
        ReleaseError: if its files are missing or changed.
    """
    by, reason = require_name(by), require_reason(reason)
    serving = newest(engine)
    if serving is not None and candidate_of(files, serving.champion) == candidate:
        return serving
    require_newest(serving, read_epoch)
    manifest, blessing, kind = to_release(
        engine, files, candidate, serving, by=by, reason=reason, now_s=now_s, override=override, reached=reached
    )
    return publish(
        engine,
        files,
        manifest,
        blessing,
        read_epoch=0 if serving is None else serving.epoch,
        actor=by,
        reason=reason,
        now_s=now_s,
        kind=kind,
        also=also,
        reached=reached,
    )


def reject(
    engine: sa.Engine,
    files: DigestStore,
    candidate: str,
    *,
    by: str,
    reason: str,
    now_s: int,
    reached: Reached = on,
) -> Blessing:
    """Record a person's verdict that a candidate is not to be released; it waits no more. Asked again, it returns the existing one.

    What serves is not touched: ``challenge.end_challenge`` and ``rollback`` do that.

    Args:
        engine: the serving database.
        files: the release files.
        candidate: digest of the candidate.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        reached: function called at each step of ``RECORDING``; for tests of crashes.

    Raises:
        InputError: if it was never judged, or serves as champion or challenger; or if there is no name or no reason.
    """
    by, reason = require_name(by), require_reason(reason)
    blessing = newest_blessing(engine, candidate)
    if blessing is None:
        raise InputError(f"candidate {candidate[:12]} was never judged; `churn releases` lists those that were")
    serving = newest(engine)
    for role, digest in () if serving is None else (("champion", serving.champion), ("challenger", serving.challenger)):
        if digest is not None and candidate_of(files, digest) == candidate:
            instead = "roll it back" if role == "champion" else "end the challenge"
            raise InputError(f"candidate {candidate[:12]} serves as {role}; {instead} first")
    if (blessing.verdict, blessing.actor, blessing.reason) == ("rejected", by, reason):
        return blessing
    ours = Blessing(
        candidate, "rejected", blessing.rules, by, now_s, epoch=blessing.epoch, gain=blessing.gain, reason=reason
    )
    record_blessing(engine, ours, reached=reached)
    return ours


def to_release(
    engine: sa.Engine,
    files: DigestStore,
    candidate: str,
    serving: Serving | None,
    *,
    by: str,
    reason: str,
    now_s: int,
    override: bool,
    reached: Reached,
) -> tuple[Manifest, Blessing, str]:
    """The manifest of a candidate that may be released, the verdict that allows it, and the kind of its row.

    With ``override``, the person's own verdict replaces a verdict or a fence that forbids the release.
    """
    blessing = newest_blessing(engine, candidate)
    if blessing is None:
        raise InputError(f"candidate {candidate[:12]} was never judged; `churn releases` lists those that were")
    manifest = load_manifest(files, candidate)
    champions = {row.epoch: row.champion for row in history(engine, limit=None)}
    against, now = judged_against(blessing, champions), champion_of(serving)
    epoch = 0 if serving is None else serving.epoch
    if blessing.verdict != "overridden" and blessing.releasable and against == now:
        return manifest, blessing, APPROVED
    if override:
        ours = Blessing(candidate, "overridden", blessing.rules, by, now_s, epoch=epoch, gain=blessing.gain, reason=reason)
        if (blessing.verdict, blessing.actor, blessing.reason, against) == ("overridden", by, reason, now):
            return manifest, blessing, OVERRIDDEN  # recorded by a process that died, or for the challenge that runs
        record_blessing(engine, ours, reached=reached)
        return manifest, ours, OVERRIDDEN
    if blessing.verdict != "accepted":
        failed = blessing.refusal[:REFUSAL]
        served = [row for row, champion in champions.items() if candidate_of(files, champion) == candidate]
        again = (
            f"it has served: put it back with `churn rollback --to {max(served)}`"
            if served and blessing.verdict == "overridden"
            else "judge it anew, or release it against the gate in your own name with --override"
        )
        raise InputError(
            f"candidate {candidate[:12]} was not accepted: {blessing.verdict} by {blessing.actor} ({failed or blessing.reason or 'no rule failed'}); {again}"
        )
    raise FencedError(
        f"candidate {candidate[:12]} was compared with {_named(against)}, but {_named(now)} serves now (epoch {epoch}); judge it anew "
        "(materialize candidate_model and model_blessing), release it all the same with --override, or, if it has served before, put it "
        "back with `churn rollback --to EPOCH`"
    )


def _named(champion: str | None) -> str:
    return "no champion" if champion is None else f"champion {champion[:12]}"
