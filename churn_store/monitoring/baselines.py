"""The baseline of drift: whose reference the serving release is compared with, and the record of who pinned another one.

A release brings its own reference, which counts unless a named person pinned another release's. A pin belongs to the release that it was
made for: a new release brings its own reference, and a release that is put back finds its last pin again. Belongs here: which baseline
counts, pinning, and the record. Does not belong here: what a reference holds (``releases.reference_sample``), and the drift rule.
"""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from churn_store.database.schema import baselines
from churn_store.database.turns import take_turns
from churn_store.errors import InputError, ReleaseError
from churn_store.releases.attribution import require_name, require_reason
from churn_store.releases.bundles import load_file, load_manifest
from churn_store.releases.lifecycle import SHOWN_DIGITS
from churn_store.releases.log import history, newest, require_newest
from churn_store.releases.manifest import Manifest
from churn_store.releases.resolve import find_manifest
from churn_store.storage.digest_store import DigestStore

REFERENCE: Final = "reference.parquet"
ADVISORY_LOCK: Final = 0x62617365  # "base"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline of a release.

    Attributes:
        release: digest of the release that is compared with it.
        baseline: digest of the release whose reference it is.
        actor: name of who pinned it; ``None`` where nobody ever pinned one for this release.
        reason: reason in words; empty where nobody pinned one.
        pinned_s: time by the platform's clock, in epoch seconds; ``None`` where nobody pinned one.
    """

    release: str
    baseline: str
    actor: str | None = None
    reason: str = ""
    pinned_s: int | None = None

    @property
    def is_own(self) -> bool:
        """Whether the release is compared with its own reference."""
        return self.release == self.baseline


def baseline_of(engine: sa.Engine, release: str) -> Baseline:
    """The baseline that counts for a release: the one pinned last, else its own reference."""
    rows = _read(engine, baselines.c.release == release, limit=1)
    return rows[0] if rows else Baseline(release, release)


def baseline_now(engine: sa.Engine) -> Baseline | None:
    """The baseline of the release that serves; ``None`` before the first."""
    serving = newest(engine)
    return None if serving is None else baseline_of(engine, serving.champion)


def pins(engine: sa.Engine, *, limit: int) -> list[Baseline]:
    """What was pinned, for all releases, newest first."""
    return _read(engine, sa.true(), limit=limit)


def reference_of(files: DigestStore, baseline: Baseline) -> bytes:
    """The content of the reference that counts, verified.

    Raises:
        ReleaseError: if the baseline's files are missing or changed; the message says how to go back to the release's own.
        StoreAwayError: if the object store does not answer.
    """
    try:
        return load_file(files, load_manifest(files, baseline.baseline), REFERENCE)
    except ReleaseError as error:
        way_out = "put the file back" if baseline.is_own else f"put the file back, or {how_to_unpin(baseline.release)}"
        raise ReleaseError(
            f"the reference of release {baseline.baseline[:SHOWN_DIGITS]}, which drift is measured against, can't be read: {error}; {way_out}"
        ) from error


def pin(
    engine: sa.Engine, files: DigestStore, named: str, *, by: str, reason: str, now_s: int, read_epoch: int | None = None
) -> Baseline:
    """Let another release's reference be the baseline of the release that serves, until another release serves.

    The serving release's own name unpins. Asked again by the same person for the same reason, it returns the existing record.

    Args:
        engine: the serving database.
        files: the release files.
        named: an epoch, a digest or its beginning, or ``name/version`` of the registry.
        by: name of the person.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        read_epoch: newest epoch that the caller knew; default: whichever is the newest now.

    Raises:
        InputError: if nothing serves, no release has that name, it never served, or it has other columns; or without a name or a reason.
        FencedError: if another release serves than the caller knew.
        ReleaseError: if its manifest or its reference is missing or changed.
    """
    by, reason = require_name(by), require_reason(reason)
    serving = newest(engine)
    require_newest(serving, read_epoch)
    if serving is None:
        raise InputError("no release serves yet, so there is no baseline to pin; `churn demo` or the job retrain makes one")
    digest, manifest = find_manifest(engine, files, named)
    if digest not in {one for row in history(engine, limit=None) for one in (row.champion, row.challenger)}:
        raise InputError(
            f"{digest[:SHOWN_DIGITS]} is a candidate that never served; expected a release of `churn releases`, by its epoch or digest"
        )
    pinned = Baseline(serving.champion, digest, by, reason, now_s)
    _require_columns(load_manifest(files, serving.champion), manifest, pinned)
    load_file(files, manifest, REFERENCE)
    return _add(engine, pinned)


def unpin(
    engine: sa.Engine, files: DigestStore, *, by: str, reason: str, now_s: int, read_epoch: int | None = None
) -> Baseline:
    """Let the serving release's own reference be its baseline again; as ``pin`` with its own digest.

    Raises:
        InputError: if nothing serves, or its own reference counts already.
    """
    counts = baseline_now(engine)
    if counts is None or counts.is_own:
        raise InputError("no baseline is pinned for the release that serves: its own reference counts already")
    return pin(engine, files, counts.release, by=by, reason=reason, now_s=now_s, read_epoch=read_epoch)


def how_to_unpin(release: str) -> str:
    """The command that lets a release's own reference count again."""
    return f"churn baseline pin {release[:SHOWN_DIGITS]} --by NAME --reason TEXT"


def _require_columns(serving: Manifest, other: Manifest, pinned: Baseline) -> None:
    """Refuse a reference that lacks a column of the serving release, or has it in another kind.

    Raises:
        InputError: if it does; the message names the columns.
    """
    kinds = {column.name: column.kind for column in other.signature.columns}
    differ = [column.name for column in serving.signature.columns if kinds.get(column.name) != column.kind]
    if differ:
        raise InputError(
            f"release {pinned.baseline[:SHOWN_DIGITS]} has other columns than {pinned.release[:SHOWN_DIGITS]}, which serves: it has no "
            f"{', '.join(differ)} of the same kind. Pin a release that has them, or leave the release its own reference"
        )


def _add(engine: sa.Engine, pinned: Baseline) -> Baseline:
    with engine.connect() as connection:
        take_turns(connection, ADVISORY_LOCK)
        asked = baselines.select().where(baselines.c.release == pinned.release).order_by(baselines.c.id.desc()).limit(1)
        row = connection.execute(asked).one_or_none()
        if row is not None and (row.baseline, row.actor, row.reason) == (pinned.baseline, pinned.actor, pinned.reason):
            return _pinned(row)
        connection.execute(
            baselines.insert().values(
                release=pinned.release,
                baseline=pinned.baseline,
                actor=pinned.actor,
                reason=pinned.reason,
                pinned_s=pinned.pinned_s,
            )
        )
        connection.commit()
    return pinned


def _read(engine: sa.Engine, which: sa.ColumnElement[bool], *, limit: int) -> list[Baseline]:
    asked = baselines.select().where(which).order_by(baselines.c.id.desc()).limit(limit)
    with engine.connect() as connection:
        return [_pinned(row) for row in connection.execute(asked)]


def _pinned(row: sa.Row[Any]) -> Baseline:
    return Baseline(row.release, row.baseline, row.actor, row.reason, row.pinned_s)
