"""Releases: stage a candidate's files, record verdicts, publish (the only writer), verify, load.

Which release serves is the newest row of the append-only table ``releases``. ``publish`` is the only function that inserts
one; the asset ``champion``, approval and rollback all call it. Files go first and the row last, so a process that dies in
between leaves unreferenced files and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store import tables
from churn_store.errors import FencedError, ReleaseError
from churn_store.files import DigestStore
from churn_store.manifest import (
    FILE_LIMITS,
    GOLDEN_TOLERANCE,
    MANIFEST_LIMIT,
    Blessing,
    FileEntry,
    Golden,
    Manifest,
    decode_golden,
    decode_manifest,
    encode,
)
from churn_store.scoring import Scorer


@dataclass(frozen=True)
class Serving:
    """A row of ``releases``: who serves from this epoch on, and why."""

    epoch: int
    champion: str
    challenger: str | None
    challenger_share: float
    actor: str
    reason: str
    published_s: int


@dataclass(frozen=True)
class Bundle:
    """A verified release, ready to score: what a request uses from start to end.

    Attributes:
        reference: its ``reference.parquet``, not parsed.
    """

    digest: str
    manifest: Manifest
    scorer: Scorer
    reference: bytes = b""

    def churns(self, probability: float) -> bool:
        """The decision at the release's threshold."""
        return probability >= self.manifest.threshold


def stage(files: DigestStore, contents: Mapping[str, bytes], manifest: Manifest) -> Manifest:
    """Keep a candidate's files.

    Args:
        files: where to.
        contents: by name; exactly the names of ``FILE_LIMITS``.
        manifest: of the candidate; its ``files`` are filled in here.

    Returns:
        The manifest with its files, as the gate judges it.
    """
    if set(contents) != set(FILE_LIMITS):
        raise ReleaseError(f"a release has the files {', '.join(FILE_LIMITS)}; found {', '.join(contents) or 'none'}")
    for name, content in contents.items():
        if len(content) > FILE_LIMITS[name]:
            raise ReleaseError(f"{name} has {len(content)} bytes, more than the limit of {FILE_LIMITS[name]}")
    entries = {name: FileEntry(sha256=files.put(content), size=len(content)) for name, content in contents.items()}
    content = encode(msgspec.structs.replace(manifest, files=entries, blessing=None))
    files.put(content)
    return decode_manifest(content)  # as every reader sees it: a bound given as 0 reads back as 0.0 and has another digest


def record_blessing(engine: sa.Engine, blessing: Blessing) -> None:
    """Append a verdict of the gate."""
    with engine.begin() as connection:
        connection.execute(
            tables.blessings.insert().values(
                candidate=blessing.candidate,
                verdict=blessing.verdict,
                reasons=blessing.reasons,
                actor=blessing.actor,
                decided_s=blessing.decided_s,
            )
        )


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
) -> Serving:
    """Make a blessed candidate the champion.

    Everything that the new row points at is verified before it is written, as the service will verify it. Asked again, as
    after a process died behind the insert, it returns the row that is there.

    Args:
        engine: the serving database.
        files: the release files; the candidate's are already there (``stage``).
        manifest: the candidate's.
        blessing: its verdict, already recorded.
        read_epoch: the newest epoch that the writer knew when it decided; 0 for none.
        actor: a person, or the run that asks.
        reason: why, in words.
        now_s: by the clock.

    Returns:
        The new row; the one that is there if it is the next epoch and names this very release.

    Raises:
        ReleaseError: unblessed, missing, changed, or not able to repeat its golden rows.
        FencedError: another release has been published since ``read_epoch``.
    """
    if blessing.candidate != manifest.candidate:
        raise ReleaseError(
            f"the blessing is for candidate {blessing.candidate[:12]}, not for {manifest.candidate[:12]}; judge it first"
        )
    _require_recorded(engine, blessing)
    digest = files.put(encode(msgspec.structs.replace(manifest, blessing=blessing)))
    load_bundle(files, digest)
    return _append(
        engine,
        Serving(
            epoch=read_epoch + 1,
            champion=digest,
            challenger=None,
            challenger_share=0.0,
            actor=actor,
            reason=reason,
            published_s=now_s,
        ),
    )


def newest(engine: sa.Engine) -> Serving | None:
    """The row that says which release serves now, or none before the first."""
    with engine.connect() as connection:
        row = connection.execute(tables.releases.select().order_by(tables.releases.c.epoch.desc()).limit(1)).first()
    return None if row is None else Serving(**row._mapping)


def history(engine: sa.Engine, *, limit: int = 100) -> list[Serving]:
    """The rows of ``releases``, newest first."""
    with engine.connect() as connection:
        rows = connection.execute(tables.releases.select().order_by(tables.releases.c.epoch.desc()).limit(limit))
        return [Serving(**row._mapping) for row in rows]


def load_manifest(files: DigestStore, digest: str) -> Manifest:
    """A manifest whose digest was checked before it was parsed.

    Raises:
        ReleaseError: missing, changed or not a manifest.
    """
    return decode_manifest(files.get(digest, at_most=MANIFEST_LIMIT))


def load_file(files: DigestStore, manifest: Manifest, name: str) -> bytes:
    """A file of a release, checked against its manifest.

    Raises:
        ReleaseError: missing, changed, larger than allowed, or of another size than the manifest says.
    """
    entry = manifest.files[name]
    content = files.get(entry.sha256, at_most=FILE_LIMITS[name])
    if len(content) != entry.size:
        raise ReleaseError(f"{name} has {len(content)} bytes, its manifest says {entry.size}")
    return content


def load_bundle(files: DigestStore, digest: str) -> Bundle:
    """A release fully verified: every digest, the blessing, and the golden rows replayed.

    Raises:
        ReleaseError: says what is wrong with it.
    """
    manifest = load_manifest(files, digest)
    if manifest.blessing is None or not manifest.blessing.releasable:
        verdict = "no verdict" if manifest.blessing is None else _verdict(manifest.blessing)
        raise ReleaseError(f"release {digest[:12]} has {verdict} of the gate; only accepted or overridden ones serve")
    if manifest.blessing.candidate != manifest.candidate:
        raise ReleaseError(f"release {digest[:12]} carries the blessing of another candidate")
    contents = {name: load_file(files, manifest, name) for name in FILE_LIMITS}
    scorer = Scorer(contents["model.onnx"], manifest.signature)
    replay(scorer, decode_golden(contents["golden.json"]))
    return Bundle(digest=digest, manifest=manifest, scorer=scorer, reference=contents["reference.parquet"])


def replay(scorer: Scorer, golden: Golden) -> float:
    """Score the golden rows again.

    Returns:
        The greatest difference in probability.

    Raises:
        ReleaseError: a row is not of the model's signature, or the difference exceeds ``GOLDEN_TOLERANCE``.
    """
    try:
        again = scorer.score_rows(golden.rows)
    except Exception as error:  # onnxruntime's exceptions have no common base but Exception
        raise ReleaseError(
            f"golden.json: its rows can't be scored ({type(error).__name__}); they or the model do not fit the signature"
        ) from error
    difference = float(np.max(np.abs(again - np.asarray(golden.probabilities))))
    if not difference <= GOLDEN_TOLERANCE:
        raise ReleaseError(
            f"the model gives other probabilities than the trained pipeline on the golden rows: "
            f"greatest difference {difference:.2e}, allowed {GOLDEN_TOLERANCE:.0e}"
        )
    return difference


def _require_recorded(engine: sa.Engine, blessing: Blessing) -> None:
    if not blessing.releasable:
        raise ReleaseError(
            f"candidate {blessing.candidate[:12]} has {_verdict(blessing)}; only accepted or overridden candidates are published"
        )
    with engine.connect() as connection:
        verdict = connection.execute(
            sa.select(tables.blessings.c.verdict)
            .where(tables.blessings.c.candidate == blessing.candidate)
            .order_by(tables.blessings.c.id.desc())
            .limit(1)
        ).scalar()
    if verdict != blessing.verdict:
        raise ReleaseError(
            f"the newest recorded verdict on candidate {blessing.candidate[:12]} is {verdict or 'none'}; "
            "only accepted or overridden candidates are published"
        )


def _verdict(blessing: Blessing) -> str:
    """A verdict in words, with why it counts for nothing if it contradicts itself."""
    said = f"verdict {blessing.verdict!r}"
    if blessing.releasable or blessing.verdict == "rejected":
        return said
    if blessing.verdict == "overridden":
        return f"{said} by nobody"
    failed = [rule.name for rule in blessing.rules if not rule.passed]
    return f"{said} although {', '.join(failed)} failed" if failed else f"{said} by no rule"


def _append(engine: sa.Engine, row: Serving) -> Serving:
    try:
        with engine.begin() as connection:
            latest = connection.execute(sa.select(sa.func.max(tables.releases.c.epoch))).scalar() or 0
            if latest == row.epoch - 1:
                connection.execute(tables.releases.insert().values(**row.__dict__))
                return row
    except IntegrityError as error:
        conflict: IntegrityError | None = error
    else:
        conflict = None
    there = newest(engine)
    if there is not None and (there.epoch, there.champion) == (row.epoch, row.champion):
        return there
    raise FencedError(
        f"epoch {0 if there is None else there.epoch} was published since epoch {row.epoch - 1} was read; look at it and "
        "decide again"
    ) from conflict
