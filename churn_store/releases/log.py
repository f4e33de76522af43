"""Which release serves: the newest row of the append-only table ``releases``, and the only code that adds one.

Files are written first and the row last, so a process that dies in between leaves only unreferenced files. Belongs here:
reading rows, and adding one behind a fence. Does not belong here: what a release is (``bundles``), and who may ask for what
(``approval``, ``challenge``, ``rollback``, the asset ``champion``).
"""

from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store.database import schema
from churn_store.errors import FencedError, ReleaseError
from churn_store.releases.blessings import RECORDING, newest_blessing
from churn_store.releases.bundles import SEALING, STAGING, Reached, on, seal, verdict_in_words
from churn_store.releases.manifest import Blessing, Manifest
from churn_store.storage.digest_store import DigestStore

RELEASED, APPROVED, OVERRIDDEN = "released", "approved", "overridden"
CHALLENGED, CHALLENGE_ENDED, ROLLED_BACK = "challenged", "challenge_ended", "rolled_back"

ADDING = ("row inserted", "row committed")
"""The steps of ``append``, in order."""

PUBLISHING = ("verdict checked", *SEALING, *ADDING)
"""The steps of ``publish``, in order."""

STEPS = (*STAGING, *RECORDING, *PUBLISHING)
"""All steps from a candidate's files to the row that lets it serve."""


@dataclass(frozen=True)
class Serving:
    """A row of ``releases``: who serves from this epoch on, and why.

    Attributes:
        epoch: number of the row, counted from 1.
        champion: digest of the release that answers.
        challenger: digest of the release that answers a share of the requests, or ``None``.
        challenger_share: share of the requests, at most 0.5; 0 without a challenger.
        actor: name of a person, or of the run that asked.
        reason: reason, in words.
        published_s: time of publication, in epoch seconds.
        kind: what happened: ``released`` by the graph, ``approved`` by a person, ``overridden`` by a person against the gate,
            ``challenged``, ``challenge_ended`` or ``rolled_back``.
        gain: profit per customer above the former champion's, as the gate found it for the new release.
    """

    epoch: int
    champion: str
    challenger: str | None
    challenger_share: float
    actor: str
    reason: str
    published_s: int
    kind: str = RELEASED
    gain: float | None = None


def newest(engine: sa.Engine) -> Serving | None:
    """The row of the release that serves now; ``None`` before the first."""
    rows = history(engine, limit=1)
    return rows[0] if rows else None


def history(engine: sa.Engine, *, limit: int | None = 100) -> list[Serving]:
    """The rows of ``releases``, newest first; all of them if ``limit`` is ``None``."""
    with engine.connect() as connection:
        rows = connection.execute(schema.releases.select().order_by(schema.releases.c.epoch.desc()).limit(limit))
        return [Serving(**row._mapping) for row in rows]


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
    return append(engine, row, reached=reached)


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


def append(engine: sa.Engine, row: Serving, *, reached: Reached = on) -> Serving:
    """Add a row, unless another writer was faster. This is the only place that inserts into ``releases``.

    Args:
        engine: the serving database.
        row: new row, whose epoch is one more than the newest that its writer knew, and whose releases were verified.
        reached: function called at each step of ``ADDING``.

    Returns:
        The row, or the existing one if it has the same epoch and content.

    Raises:
        FencedError: if another row has been added since.
    """
    conflict: IntegrityError | None = None
    try:
        with engine.begin() as connection:
            latest = connection.execute(sa.select(sa.func.max(schema.releases.c.epoch))).scalar() or 0
            if latest == row.epoch - 1:
                connection.execute(schema.releases.insert().values(**asdict(row)))
                reached("row inserted")
        if latest == row.epoch - 1:
            reached("row committed")
            return row
    except IntegrityError as error:
        conflict = error
    existing = newest(engine)
    if existing is not None and _same(existing, row):
        return existing
    raise FencedError(
        f"epoch {0 if existing is None else existing.epoch} was published since epoch {row.epoch - 1} was read; look at it and "
        "decide again"
    ) from conflict


def _same(one: Serving, other: Serving) -> bool:
    """Whether two rows let the same releases serve; who asked and when does not matter."""

    def said(row: Serving) -> tuple[object, ...]:
        return row.epoch, row.champion, row.challenger, row.challenger_share

    return said(one) == said(other)
