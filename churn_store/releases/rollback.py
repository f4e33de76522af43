"""Rollback: a former champion serves again, after it was verified.

Belongs here: which release is meant, and what is said if it can't serve. Does not belong here: how a row is added (``releases``).
Nothing here needs MLflow or Dagster, so a rollback works while both are down.
"""

import sqlalchemy as sa

from churn_store.errors import FencedError, InputError, ReleaseError
from churn_store.releases.attribution import require_name, require_reason
from churn_store.releases.bundles import Reached, on, verify_release
from churn_store.releases.log import ADDING, ROLLED_BACK, Serving, append, history, in_words
from churn_store.releases.trial import IN_THIS_PROCESS, Trials
from churn_store.storage.digest_store import DigestStore

ROLLING_BACK = ("former champion verified", *ADDING)
"""The steps of ``roll_back``, in order."""

OFFERED, LOOKED_AT = 3, 10
"""Where a former champion can't serve: how many others are offered, and how many are looked at for it."""


def roll_back(
    engine: sa.Engine,
    files: DigestStore,
    *,
    by: str,
    reason: str,
    now_s: int,
    to: int | None = None,
    read_epoch: int | None = None,
    once: bool = False,
    trials: Trials = IN_THIS_PROCESS,
    reached: Reached = on,
) -> Serving:
    """Put a former champion back; a challenge that runs ends with it. Asked again, it returns the existing row, unless ``once``.

    Args:
        engine: the serving database.
        files: the release files.
        by: the person, or the guard.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        to: the epoch whose champion serves again; default: the newest one that had another champion. Where the champion was
            itself put there by a rollback the epoch must be named, so that two people who act at once, or one who acts twice,
            do not bring back what was just taken away.
        read_epoch: the newest epoch that the caller knew, whose champion is to go; default: whichever is the newest now.
        once: whether a call that did not write the row is told so, also where the row is just what it asked for.
        trials: models that were tried in a child process before.
        reached: called at each step; for tests of crashes.

    Raises:
        InputError: there is no such epoch or no former champion, or the champion is one that was put back.
        FencedError: another release was faster; the message names its row.
        ReleaseError: the former champion's files are missing or changed; nothing was changed.
    """
    by, reason = require_name(by), require_reason(reason)
    rows = history(engine, limit=None)
    if not rows:
        raise InputError("nothing was released yet, so there is nothing to go back to")
    serving = rows[0]
    if read_epoch is not None and read_epoch != serving.epoch:
        if serving.epoch == read_epoch + 1 and _made_by_this(rows, by, reason, to):
            return _asked_again(serving, once)
        raise FencedError(f"{in_words(serving)} is the newest, not epoch {read_epoch}; look at it and decide again")
    installed = _installed(rows)
    former = _former(rows, to)
    if to is None:
        if installed.kind == ROLLED_BACK:
            if _made_by_this(rows, by, reason, to):
                return _asked_again(serving, once)
            raise InputError(
                f"epoch {installed.epoch} is itself a rollback (by {installed.actor}: {installed.reason}); if that was wrong as well, "
                "name the epoch to go back to: --to EPOCH, `churn releases` lists them"
            )
        if former is None:
            raise InputError(f"release {serving.champion[:12]} (epoch {serving.epoch}) is the only one that ever served")
    elif former is None:
        raise InputError(f"there is no epoch {to}; expected one of 1 to {serving.epoch}: `churn releases` lists them")
    elif former.champion == serving.champion:
        if installed.kind == ROLLED_BACK and serving == installed:
            return _asked_again(serving, once)
        raise InputError(f"the champion of epoch {to} is the one that serves now (epoch {serving.epoch})")
    _require_whole(files, former, rows, trials)
    reached("former champion verified")
    row = Serving(
        epoch=serving.epoch + 1,
        champion=former.champion,
        challenger=None,
        challenger_share=0.0,
        actor=by,
        reason=reason,
        published_s=now_s,
        kind=ROLLED_BACK,
    )
    return append(engine, row, repeated=False, reached=reached)


def _asked_again(serving: Serving, once: bool) -> Serving:
    """The row that is there already.

    Raises:
        FencedError: if only the call that wrote it is to have it.
    """
    if once:
        raise FencedError(f"{in_words(serving)} is there already and does what was asked for")
    return serving


def _former(rows: list[Serving], to: int | None) -> Serving | None:
    """The row whose champion is meant, if there is one.

    Args:
        rows: all releases, newest first.
        to: its epoch; None for the newest one with another champion.
    """
    if to is None:
        return next((row for row in rows if row.champion != rows[0].champion), None)
    return next((row for row in rows if row.epoch == to), None)


def _made_by_this(rows: list[Serving], by: str, reason: str, to: int | None) -> bool:
    """Whether the newest row is what this very request made of the rows before it.

    Args:
        rows: all releases, newest first.
        by: name of the person.
        reason: reason, in words.
        to: the epoch that is asked for.
    """
    serving, before = rows[0], rows[1:]
    if not before or (serving.kind, serving.actor, serving.reason) != (ROLLED_BACK, by, reason):
        return False
    former = _former(before, to)
    return former is not None and former.champion == serving.champion


def _require_whole(files: DigestStore, former: Serving, rows: list[Serving], trials: Trials) -> None:
    """Verify a release as the service will.

    Raises:
        ReleaseError: it can't serve again; says which former ones can.
    """
    try:
        verify_release(files, former.champion, trials)
    except ReleaseError as error:
        others = _whole(files, rows, trials, besides={rows[0].champion, former.champion})
        instead = (
            f"these epochs can be gone back to: {', '.join(f'--to {epoch}' for epoch in others)}"
            if others
            else "no other former champion that was looked at is whole either; bring the release files back from a backup"
        )
        raise ReleaseError(f"the champion of epoch {former.epoch} can't serve again: {error}; {instead}") from error


def _whole(files: DigestStore, rows: list[Serving], trials: Trials, *, besides: set[str]) -> list[int]:
    """The newest epochs whose champions can serve again, one for each champion.

    Args:
        files: the release files.
        rows: all releases, newest first.
        trials: models that were tried before.
        besides: champions that are left out.
    """
    epochs: dict[str, int] = {}
    for row in rows:
        if row.champion not in besides:
            epochs.setdefault(row.champion, row.epoch)
    found: list[int] = []
    for champion, epoch in list(epochs.items())[:LOOKED_AT]:
        try:
            verify_release(files, champion, trials)
        except ReleaseError:
            continue
        found.append(epoch)
        if len(found) == OFFERED:
            break
    return found


def _installed(rows: list[Serving]) -> Serving:
    """The row since which the champion serves.

    Args:
        rows: all releases, newest first.
    """
    found = rows[0]
    for row in rows:
        if row.champion != found.champion:
            break
        found = row
    return found
