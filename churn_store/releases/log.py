"""Which release serves: the newest row of the append-only table ``releases``, and the only code that adds one.

Files are written first and the row last, so a process that dies in between leaves only unreferenced files. Belongs here:
reading rows, and adding one behind a fence. Does not belong here: what a release is (``bundles``), and who may ask for what
(``approval``, ``challenge``, ``rollback``, the asset ``champion``).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store.database import schema
from churn_store.database.lenient import AsideRow, raw_rows
from churn_store.errors import FencedError, ReleaseError
from churn_store.releases.blessings import RECORDING, newest_blessing
from churn_store.releases.bundles import SEALING, STAGING, Reached, on, seal, verdict_in_words
from churn_store.releases.manifest import Blessing, EpochSeconds, Manifest
from churn_store.storage.digest_store import DigestStore

RELEASED, APPROVED, OVERRIDDEN = "released", "approved", "overridden"
CHALLENGED, CHALLENGE_ENDED, ROLLED_BACK = "challenged", "challenge_ended", "rolled_back"
SHADOWED = "shadowed"

ADDING = ("row inserted", "row committed")
"""The steps of ``append``, in order."""

PUBLISHING = ("verdict checked", *SEALING, *ADDING)
"""The steps of ``publish``, in order."""

STEPS = (*STAGING, *RECORDING, *PUBLISHING)
"""All steps from a candidate's files to the row that lets it serve."""


Also = Callable[[sa.Connection, int], None]
"""What else is written in the transaction of a row: function of the connection and the row's epoch."""

PAGE: Final = 100
"""Rows that are read at once, behind those that can't be read."""

_COLUMNS: Final = tuple(schema.releases.c)
_EPOCH: Final = schema.releases.c.epoch


@dataclass(frozen=True)
class Serving:
    """A row of ``releases``: who serves from this epoch on, and why.

    Attributes:
        epoch: number of the row, counted from 1.
        champion: digest of the release that answers.
        challenger: digest of the release that answers a share of the requests, or ``None``.
        challenger_share: share of the requests, at most 0.5; 0 without a challenger, and for one in shadow, which answers nobody.
        actor: name of a person, or of the run that asked.
        reason: reason, in words.
        published_s: time of publication, in epoch seconds.
        kind: what happened: ``released`` by the graph, ``approved`` by a person, ``overridden`` by a person against the gate,
            ``challenged``, ``shadowed``, ``challenge_ended`` or ``rolled_back``.
        gain: profit per customer above the former champion's, as the gate found it for the new release.
    """

    epoch: int
    champion: str
    challenger: str | None
    challenger_share: float
    actor: str
    reason: str
    published_s: EpochSeconds
    kind: str = RELEASED
    gain: float | None = None

    @property
    def is_shadowed(self) -> bool:
        """Whether the challenger answers nobody and scores in shadow."""
        return self.challenger is not None and self.challenger_share == 0


def newest(engine: sa.Engine) -> Serving | None:
    """The row of the release that serves now; ``None`` before the first."""
    rows = history(engine, limit=1)
    return rows[0] if rows else None


def history(engine: sa.Engine, *, limit: int | None = 100) -> list[Serving]:
    """The rows of ``releases``, newest first; all of them if ``limit`` is ``None``.

    Rows that can't be read are left out (``put_aside``), so that one of them hides no other.
    """
    rows: list[Serving] = []
    with engine.connect() as connection:
        for row in _pages(connection, first=limit):
            if isinstance(row, Serving):
                rows.append(row)
            if len(rows) == limit:
                break
    return rows


def put_aside(engine: sa.Engine, *, among: int = 1_000) -> list[AsideRow]:
    """The rows among the newest ones that can't be read, such as one with a gain that is not a number."""
    with engine.connect() as connection:
        rows = raw_rows(connection, _COLUMNS, lambda asked: asked.order_by(_EPOCH.desc()).limit(among))
        return [row for row in map(_row, rows) if isinstance(row, AsideRow)]


def _pages(connection: sa.Connection, *, first: int | None) -> Iterator[Serving | AsideRow]:
    """All rows, newest first, read in pieces of at least ``first``."""
    start, size = 0, first
    while True:
        asked = partial(_piece, start=start, size=size)
        piece = [_row(row) for row in raw_rows(connection, _COLUMNS, asked)]
        yield from piece
        if size is None or len(piece) < size:
            return
        start, size = start + size, max(size, PAGE)


def _piece(asked: Any, *, start: int, size: int | None) -> Any:
    return asked.order_by(_EPOCH.desc()).offset(start).limit(size)


def _row(values: dict[str, Any]) -> Serving | AsideRow:
    try:
        row = msgspec.convert(values, Serving)
    except msgspec.ValidationError as error:
        return AsideRow("releases", f"epoch {values['epoch']}"[:40], str(error)[:200])
    numbers = {"gain": row.gain, "challenger_share": row.challenger_share}
    if wrong := [name for name, number in numbers.items() if number is not None and not math.isfinite(number)]:
        return AsideRow("releases", f"epoch {row.epoch}", f"its {' and '.join(wrong)} is not a number")
    return row


def publish(
    engine: sa.Engine,
    files: DigestStore,
    manifest: Manifest,
    blessing: Blessing,
    *,
    read_epoch: int,
    actor: str,
    reason: str,
    now_s: int,
    kind: str = RELEASED,
    also: Also | None = None,
    reached: Reached = on,
) -> Serving:
    """Make a blessed candidate the champion; a challenge that runs ends with it.

    Everything that the new row names is verified before the row is written, as the service will verify it. A repeated call, such
    as after a process died behind the insert, returns the existing row.

    Args:
        engine: the serving database.
        files: the release files, among them the candidate's (``stage``).
        manifest: manifest of the candidate.
        blessing: its verdict, already recorded.
        read_epoch: newest epoch that the writer knew when it decided; 0 for none.
        actor: name of a person, or of the run that asks.
        reason: reason, in words.
        now_s: time by the platform's clock, in epoch seconds.
        kind: kind of the row.
        also: what else is written in the transaction of the row.
        reached: function called at each step of ``PUBLISHING``.

    Returns:
        The new row, or the existing one if it has the next epoch and names the same release.

    Raises:
        ReleaseError: if the candidate is unblessed, missing, changed, or does not reproduce its golden rows.
        FencedError: if another release has been published since ``read_epoch``.
    """
    digest = sealed(engine, files, manifest, blessing, reached=reached)
    row = Serving(
        epoch=read_epoch + 1,
        champion=digest,
        challenger=None,
        challenger_share=0.0,
        actor=actor,
        reason=reason,
        published_s=now_s,
        kind=kind,
        gain=blessing.gain,
    )
    return append(engine, row, repeated=also is None, also=also, reached=reached)


def sealed(engine: sa.Engine, files: DigestStore, manifest: Manifest, blessing: Blessing, *, reached: Reached = on) -> str:
    """Make a verified release of a candidate and the newest verdict recorded on it, and return its digest.

    Raises:
        ReleaseError: if the candidate is unblessed, missing, changed, or does not reproduce its golden rows.
    """
    if blessing.candidate != manifest.candidate:
        raise ReleaseError(
            f"the blessing is for candidate {blessing.candidate[:12]}, not for {manifest.candidate[:12]}; judge it first"
        )
    if not blessing.releasable:
        raise ReleaseError(
            f"candidate {blessing.candidate[:12]} has {verdict_in_words(blessing)}; only accepted or overridden candidates are "
            "published"
        )
    recorded = newest_blessing(engine, blessing.candidate)
    if recorded is None or recorded.verdict != blessing.verdict:
        raise ReleaseError(
            f"the newest recorded verdict on candidate {blessing.candidate[:12]} is "
            f"{'none' if recorded is None else recorded.verdict}; only accepted or overridden candidates are published"
        )
    reached("verdict checked")
    return seal(files, manifest, blessing, reached=reached)


def append(
    engine: sa.Engine, row: Serving, *, repeated: bool = True, also: Also | None = None, reached: Reached = on
) -> Serving:
    """Add a row, unless another writer was faster. This is the only place that inserts into ``releases``.

    Args:
        engine: the serving database.
        row: new row, whose epoch is one more than the newest that its writer knew, and whose releases were verified. Where rows that
            can't be read follow that one, the new row comes behind them.
        repeated: whether a row with the same epoch and content is returned as the row of this call, as for a process that died behind
            its insert; otherwise only the call that wrote it gets it.
        also: what else is written in the same transaction; it says itself, by a FencedError, whom a conflict in it is with.
        reached: function called at each step of ``ADDING``.

    Returns:
        The row, or the existing one.

    Raises:
        FencedError: if another row has been added since; the message names it.
    """
    conflict: IntegrityError | None = None
    try:
        with engine.begin() as connection:
            later = list(raw_rows(connection, _COLUMNS, lambda asked: asked.where(row.epoch <= _EPOCH)))
            before = connection.execute(sa.select(sa.func.max(_EPOCH)).where(row.epoch > _EPOCH)).scalar() or 0
            latest = max((one["epoch"] for one in later if isinstance(one["epoch"], int)), default=before)
            written = not any(isinstance(_row(one), Serving) for one in later) and latest >= row.epoch - 1
            if written:
                row = replace(row, epoch=max(latest + 1, row.epoch))
                connection.execute(schema.releases.insert().values(**asdict(row)))
                if also is not None:
                    also(connection, row.epoch)
                reached("row inserted")
        if written:
            reached("row committed")
            return row
    except IntegrityError as error:
        conflict = error
    existing = newest(engine)
    if repeated and existing is not None and _same(existing, row):
        return existing
    raise FencedError(
        f"{'nothing' if existing is None else in_words(existing)} was published since epoch {row.epoch - 1} was read; look at it and "
        "decide again"
    ) from conflict


def require_newest(serving: Serving | None, read_epoch: int | None) -> None:
    """Refuse a decision that was made with another row in view.

    Args:
        serving: newest row; ``None`` before the first.
        read_epoch: newest epoch that the caller knew, 0 for none; ``None`` where the caller does not mind.

    Raises:
        FencedError: if another row is the newest; the message names it.
    """
    if read_epoch is not None and read_epoch != (0 if serving is None else serving.epoch):
        newest_row = "nothing was released yet" if serving is None else f"{in_words(serving)} is the newest"
        raise FencedError(f"{newest_row}, not epoch {read_epoch}; look at it and decide again")


def in_words(row: Serving) -> str:
    """A row, who wrote it and why."""
    return f"epoch {row.epoch} ({row.kind} by {row.actor}: {row.reason})"


def _same(one: Serving, other: Serving) -> bool:
    """Whether two rows let the same releases serve; who asked and when does not matter."""

    def said(row: Serving) -> tuple[object, ...]:
        return row.epoch, row.champion, row.challenger, row.challenger_share

    return said(one) == said(other)
