"""Who serves, decided by a named person: approve, challenge, roll back.

Belongs here: what each of these asks for before a row is added. Does not belong here: how a row is added
(``releases.append``), what state a candidate is in (``lifecycle``), and the gate. Nothing here needs MLflow or Dagster, so a rollback works while both are down.
"""

import math

import sqlalchemy as sa

from churn_store.bundles import Reached, load_bundle, load_manifest, on
from churn_store.errors import FencedError, InputError
from churn_store.files import DigestStore
from churn_store.lifecycle import candidate_of, champion_of, judged_against
from churn_store.manifest import Blessing, Manifest
from churn_store.releases import (
    ADDING,
    APPROVED,
    CHALLENGE_ENDED,
    CHALLENGED,
    OVERRIDDEN,
    PUBLISHING,
    ROLLED_BACK,
    Serving,
    append,
    history,
    newest,
    publish,
    sealed,
)
from churn_store.verdicts import RECORDING, newest_blessing, record_blessing

GREATEST_SHARE = 0.5
"""A challenger answers at most this share of the requests: who answers most of them is the champion."""

LONGEST_NAME, LONGEST_REASON = 200, 2_000

APPROVING = PUBLISHING
OVERRIDING = (*RECORDING, *PUBLISHING)
ROLLING_BACK = ("former champion verified", *ADDING)
"""The steps of ``approve``, of ``approve`` with ``override``, and of ``roll_back``, in order."""


def approve(
    engine: sa.Engine,
    files: DigestStore,
    candidate: str,
    *,
    by: str,
    reason: str,
    now_s: int,
    override: bool = False,
    reached: Reached = on,
) -> Serving:
    """Make an accepted candidate the champion. Asked again for the champion, it returns the row that is there.

    Args:
        engine: the serving database.
        files: the release files.
        candidate: its digest.
        by: the person.
        reason: why, in words.
        now_s: by the clock.
        override: release it against the gate, or against a newer champion; its blessing says so for ever.
        reached: told of each step.

    Raises:
        InputError: no such candidate, no name, no reason, or a verdict that is not ``accepted`` without ``override``.
        FencedError: it was judged against another champion than serves now, or another release was faster.
        ReleaseError: its files are missing or changed.
    """
    by, reason = _person(by, reason)
    serving = newest(engine)
    if serving is not None and candidate_of(files, serving.champion) == candidate:
        return serving
    manifest, blessing, kind = _to_release(
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
        reached=reached,
    )


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
    reached: Reached = on,
) -> Serving:
    """Let an accepted candidate answer a share of the requests beside the champion.

    Args:
        engine: the serving database.
        files: the release files.
        candidate: its digest.
        share: of the requests, above 0 and at most ``GREATEST_SHARE``.
        by: the person.
        reason: why, in words.
        now_s: by the clock.
        override: as in ``approve``.
        reached: told of each step.

    Raises:
        InputError: as ``approve``; or there is no champion, it is the champion, or it has another signature.
        FencedError: as ``approve``.
        ReleaseError: as ``approve``.
    """
    by, reason = _person(by, reason)
    if not (math.isfinite(share) and 0 < share <= GREATEST_SHARE):
        raise InputError(f"a challenger's share is {share:g}; expected more than 0 and at most {GREATEST_SHARE:g}")
    serving = newest(engine)
    if serving is None:
        raise InputError("there is no champion to challenge yet; approve the candidate instead")
    champion = load_manifest(files, serving.champion)
    if champion.candidate == candidate:
        raise InputError(f"candidate {candidate[:12]} is the champion already (epoch {serving.epoch})")
    manifest, blessing, _ = _to_release(
        engine, files, candidate, serving, by=by, reason=reason, now_s=now_s, override=override, reached=reached
    )
    if manifest.signature.asked_for != champion.signature.asked_for:
        raise InputError(
            f"candidate {candidate[:12]} takes other inputs than the champion ({_differences(manifest, champion)}), so the same "
            "request could not be answered by both; approve it instead"
        )
    digest = sealed(engine, files, manifest, blessing, reached=reached)
    if (serving.challenger, serving.challenger_share) == (digest, share):
        return serving
    row = Serving(
        epoch=serving.epoch + 1,
        champion=serving.champion,
        challenger=digest,
        challenger_share=share,
        actor=by,
        reason=reason,
        published_s=now_s,
        kind=CHALLENGED,
        gain=blessing.gain,
    )
    load_bundle(files, row.champion)
    return append(engine, row, reached=reached)


def end_challenge(
    engine: sa.Engine, files: DigestStore, *, by: str, reason: str, now_s: int, reached: Reached = on
) -> Serving:
    """Let the champion answer every request again.

    Args:
        engine: the serving database.
        files: the release files.
        by: the person, or what guards the challenge.
        reason: why, in words.
        now_s: by the clock.
        reached: told of each step.

    Raises:
        InputError: there is no challenger.
        FencedError: another release was faster.
        ReleaseError: the champion's files are missing or changed.
    """
    by, reason = _person(by, reason)
    serving = newest(engine)
    if serving is None or serving.challenger is None:
        raise InputError("there is no challenger; `churn releases` shows who serves")
    return _let_serve(
        engine, files, serving.champion, serving, kind=CHALLENGE_ENDED, by=by, reason=reason, now_s=now_s, reached=reached
    )


def roll_back(
    engine: sa.Engine,
    files: DigestStore,
    *,
    by: str,
    reason: str,
    now_s: int,
    to: int | None = None,
    read_epoch: int | None = None,
    reached: Reached = on,
) -> Serving:
    """Put a former champion back; a challenge that runs ends with it. Asked again, it returns the row that is there.

    Args:
        engine: the serving database.
        files: the release files.
        by: the person, or the guard.
        reason: why, in words.
        now_s: by the clock.
        to: the epoch whose champion serves again; default: the newest one that had another champion. Where the champion was
            itself put there by a rollback the epoch must be named, so that two people who act at once, or one who acts twice,
            do not bring back what was just taken away.
        read_epoch: the newest epoch that the caller knew, whose champion is to go; default: whichever is the newest now.
        reached: told of each step.

    Raises:
        InputError: there is no such epoch or no former champion, or the champion is one that was put back.
        FencedError: another release was faster.
        ReleaseError: the former champion's files are missing or changed; nothing was changed.
    """
    by, reason = _person(by, reason)
    rows = history(engine, limit=None)
    if not rows:
        raise InputError("nothing was released yet, so there is nothing to go back to")
    serving = rows[0]
    if read_epoch is not None and read_epoch != serving.epoch:
        if (serving.epoch, serving.kind, serving.actor, serving.reason) == (read_epoch + 1, ROLLED_BACK, by, reason):
            return serving
        raise FencedError(f"epoch {serving.epoch} is the newest, not {read_epoch}; look at it and decide again")
    installed = _installed(rows)
    if to is None:
        if installed.kind == ROLLED_BACK:
            if (installed.actor, installed.reason) == (by, reason) and serving == installed:
                return serving
            raise InputError(
                f"epoch {installed.epoch} is itself a rollback (by {installed.actor}: {installed.reason}); if that was wrong as well, "
                "name the epoch to go back to: --to EPOCH, `churn releases` lists them"
            )
        former = next((row for row in rows if row.champion != serving.champion), None)
        if former is None:
            raise InputError(f"release {serving.champion[:12]} (epoch {serving.epoch}) is the only one that ever served")
    else:
        former = next((row for row in rows if row.epoch == to), None)
        if former is None:
            raise InputError(f"there is no epoch {to}; expected one of 1 to {serving.epoch}: `churn releases` lists them")
        if former.champion == serving.champion:
            if installed.kind == ROLLED_BACK and serving == installed:
                return serving
            raise InputError(f"the champion of epoch {to} is the one that serves now (epoch {serving.epoch})")
    return _let_serve(
        engine, files, former.champion, serving, kind=ROLLED_BACK, by=by, reason=reason, now_s=now_s, reached=reached
    )


def _to_release(
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
    """A candidate that may be released, the verdict that says so, and what its row is called.

    With ``override``, a verdict or a fence that is in the way is overridden by a verdict of the person's own.
    """
    blessing = newest_blessing(engine, candidate)
    if blessing is None:
        raise InputError(f"candidate {candidate[:12]} was never judged; `churn releases` lists those that were")
    manifest = load_manifest(files, candidate)
    champions = {row.epoch: row.champion for row in history(engine, limit=None)}
    against, now = judged_against(blessing, champions), champion_of(serving)
    epoch = 0 if serving is None else serving.epoch
    if blessing.verdict == "accepted" and against == now:
        return manifest, blessing, APPROVED
    if override:
        ours = Blessing(candidate, "overridden", blessing.rules, by, now_s, epoch=epoch, gain=blessing.gain, reason=reason)
        if (blessing.verdict, blessing.actor, blessing.reason, against) == ("overridden", by, reason, now):
            return manifest, blessing, OVERRIDDEN  # recorded by a process that died, or for the challenge that runs
        record_blessing(engine, ours, reached=reached)
        return manifest, ours, OVERRIDDEN
    if blessing.verdict != "accepted":
        failed = "; ".join(f"{rule.name}: {rule.found}" for rule in blessing.rules if not rule.passed)[:600]
        raise InputError(
            f"candidate {candidate[:12]} was not accepted: {blessing.verdict} by {blessing.actor} ({failed or 'no rule failed'}); "
            "judge it anew, or release it against the gate in your own name with --override"
        )
    raise FencedError(
        f"candidate {candidate[:12]} was compared with {_named(against)}, but {_named(now)} serves now (epoch {epoch}); judge it anew "
        "(materialize candidate_model and model_blessing), release it all the same with --override, or, if it has served before, put it "
        "back with `churn rollback --to EPOCH`"
    )


def _let_serve(
    engine: sa.Engine,
    files: DigestStore,
    champion: str,
    serving: Serving,
    *,
    kind: str,
    by: str,
    reason: str,
    now_s: int,
    reached: Reached,
) -> Serving:
    """A release that has served before, alone."""
    load_bundle(files, champion)
    reached("former champion verified")
    row = Serving(
        epoch=serving.epoch + 1,
        champion=champion,
        challenger=None,
        challenger_share=0.0,
        actor=by,
        reason=reason,
        published_s=now_s,
        kind=kind,
    )
    return append(engine, row, reached=reached)


def _installed(rows: list[Serving]) -> Serving:
    """The row since which the champion serves.

    Args:
        rows: all, newest first.
    """
    found = rows[0]
    for row in rows:
        if row.champion != found.champion:
            break
        found = row
    return found


def _named(champion: str | None) -> str:
    return "no champion" if champion is None else f"champion {champion[:12]}"


def _differences(one: Manifest, other: Manifest) -> str:
    """Which columns two signatures do not share, a few of them by name."""
    ours = {column.name: column for column in one.signature.asked_for}
    theirs = {column.name: column for column in other.signature.asked_for}
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "in another order"  # noqa: PLR2004


def _person(by: str, reason: str) -> tuple[str, str]:
    """Who and why, on one line each.

    Raises:
        InputError: one of them is empty or too long.
    """
    by, reason = " ".join(by.split()), " ".join(reason.split())
    if not by or not reason:
        raise InputError(
            f"no {'name' if not by else 'reason'} was given; a release is decided by somebody, and for a reason"
        )
    if len(by) > LONGEST_NAME or len(reason) > LONGEST_REASON:
        raise InputError(
            f"the name has {len(by)} letters and the reason {len(reason)}; expected at most {LONGEST_NAME} and {LONGEST_REASON}"
        )
    return by, reason
