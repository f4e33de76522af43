"""A release as files: staged by the graph, verified and loaded by every program that scores.

Belongs here: the content of the store of release files, and its verification before any use. Does not belong here: the verdicts
on a candidate (``blessings``) and which release serves (``releases``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from churn_store.errors import ReleaseError
from churn_store.model.scorer import Scorer
from churn_store.releases.golden_rows import replay
from churn_store.releases.manifest import (
    FILE_LIMITS,
    MANIFEST_LIMIT,
    Blessing,
    FileEntry,
    Manifest,
    decode_golden,
    decode_manifest,
    encode,
)
from churn_store.releases.trial import IN_THIS_PROCESS, Trials
from churn_store.storage.digest_store import DigestStore

Reached = Callable[[str], None]
"""Function called at each step, so that a test can kill the process there."""

STAGING = (*(f"{name} stored" for name in FILE_LIMITS), "candidate manifest stored")
"""The steps of ``stage``, in order."""

SEALING = ("release manifest stored", "release verified")
"""The steps of ``seal``, in order."""


def on(_step: str) -> None:
    """Do nothing: the default of ``Reached``."""


@dataclass(frozen=True)
class Bundle:
    """A verified release, ready to score. A request uses one bundle from start to end.

    Attributes:
        reference: content of its ``reference.parquet``, not parsed.
    """

    digest: str
    manifest: Manifest
    scorer: Scorer
    reference: bytes = b""

    def churns(self, probability: float) -> bool:
        """The decision at the release's threshold."""
        return probability >= self.manifest.threshold


def stage(files: DigestStore, contents: Mapping[str, bytes], manifest: Manifest, *, reached: Reached = on) -> Manifest:
    """Store a candidate's files.

    Args:
        files: store to write to.
        contents: content of each file by name; exactly the names of ``FILE_LIMITS``.
        manifest: manifest of the candidate; its ``files`` are filled in here.
        reached: function called at each step of ``STAGING``.

    Returns:
        The manifest with its files, as the gate judges it.
    """
    if set(contents) != set(FILE_LIMITS):
        raise ReleaseError(f"a release has the files {', '.join(FILE_LIMITS)}; found {', '.join(contents) or 'none'}")
    for name, content in contents.items():
        if len(content) > FILE_LIMITS[name]:
            raise ReleaseError(f"{name} has {len(content)} bytes, more than the limit of {FILE_LIMITS[name]}")
    entries = {}
    for name in FILE_LIMITS:
        entries[name] = FileEntry(sha256=files.put(contents[name]), size=len(contents[name]))
        reached(f"{name} stored")
    # Decoded as every reader sees it: a bound given as 0 reads back as 0.0 and has another digest.
    staged = decode_manifest(encode(msgspec.structs.replace(manifest, files=entries, blessing=None)))
    files.put(encode(staged))
    reached("candidate manifest stored")
    return staged


def seal(files: DigestStore, manifest: Manifest, blessing: Blessing, *, reached: Reached = on) -> str:
    """Make a release of a candidate and its blessing, and verify it as the service will.

    Args:
        files: store that already holds the candidate's files.
        manifest: manifest of the candidate.
        blessing: the gate's verdict on it.
        reached: function called at each step of ``SEALING``.

    Returns:
        The digest of the release, the same whenever the same two are sealed.

    Raises:
        ReleaseError: if the blessing is another candidate's or allows no release, or a file is missing, changed, or does not do
            what the manifest says. Nothing refers to the files stored by then.
    """
    digest = files.put(encode(msgspec.structs.replace(manifest, blessing=blessing)))
    reached("release manifest stored")
    verify_release(files, digest)
    reached("release verified")
    return digest


def load_manifest(files: DigestStore, digest: str) -> Manifest:
    """Load a manifest, whose digest is checked before it is parsed.

    Raises:
        ReleaseError: if it is missing, changed or not a manifest.
    """
    return decode_manifest(files.get(digest, at_most=MANIFEST_LIMIT))


def load_file(files: DigestStore, manifest: Manifest, name: str) -> bytes:
    """A file of a release, checked against its manifest.

    Raises:
        ReleaseError: if it is missing, changed, larger than allowed, or of another size than the manifest says.
    """
    entry = manifest.files[name]
    if entry.size > FILE_LIMITS[name]:
        raise ReleaseError(f"{name} has {entry.size} bytes by its manifest, more than the limit of {FILE_LIMITS[name]}")
    content = files.get(entry.sha256, at_most=FILE_LIMITS[name])
    if len(content) != entry.size:
        raise ReleaseError(f"{name} has {len(content)} bytes, its manifest says {entry.size}")
    return content


def load_bundle(
    files: DigestStore, digest: str, trials: Trials = IN_THIS_PROCESS, *, wanted: Callable[[], bool] | None = None
) -> Bundle:
    """Load a release and verify it fully: every digest, the blessing, and the golden rows, first in a child process.

    Args:
        files: the release files.
        digest: digest of the release.
        trials: what was tried in a child process before, which is not done twice.
        wanted: function asked during a trial; once it says no, the trial ends.

    Raises:
        ReleaseError: if anything is wrong with it.
        NotWantedError: if the trial was ended because nobody wants it any more.
    """
    manifest, contents = _verified(files, digest, trials, wanted)
    scorer = Scorer(contents["model.onnx"], manifest.signature)
    replay(scorer, decode_golden(contents["golden.json"]))
    return Bundle(digest=digest, manifest=manifest, scorer=scorer, reference=contents["reference.parquet"])


def verify_release(files: DigestStore, digest: str, trials: Trials = IN_THIS_PROCESS) -> Manifest:
    """Verify a release as ``load_bundle`` does, without loading it in this process.

    Raises:
        ReleaseError: if anything is wrong with it.
    """
    return _verified(files, digest, trials, None)[0]


def verified_model(
    files: DigestStore, digest: str, trials: Trials = IN_THIS_PROCESS, *, wanted: Callable[[], bool] | None = None
) -> tuple[Manifest, bytes]:
    """Verify a release as ``load_bundle`` does, without loading it in this process.

    Returns:
        The manifest, and the content of ``model.onnx``.

    Raises:
        ReleaseError: if anything is wrong with it.
        NotWantedError: if the trial was ended because nobody wants it any more.
    """
    manifest, contents = _verified(files, digest, trials, wanted)
    return manifest, contents["model.onnx"]


def _verified(
    files: DigestStore, digest: str, trials: Trials, wanted: Callable[[], bool] | None
) -> tuple[Manifest, dict[str, bytes]]:
    manifest = load_manifest(files, digest)
    if manifest.blessing is None or not manifest.blessing.releasable:
        verdict = "no verdict" if manifest.blessing is None else verdict_in_words(manifest.blessing)
        raise ReleaseError(f"release {digest[:12]} has {verdict} of the gate; only accepted or overridden ones serve")
    if manifest.blessing.candidate != manifest.candidate:
        raise ReleaseError(f"release {digest[:12]} carries the blessing of another candidate")
    contents = {name: load_file(files, manifest, name) for name in FILE_LIMITS}
    trials.require(contents["model.onnx"], contents["golden.json"], manifest.signature, wanted=wanted)
    return manifest, contents


def verdict_in_words(blessing: Blessing) -> str:
    """A verdict in words; if it contradicts itself, with the reason why it does not count."""
    words = f"verdict {blessing.verdict!r}"
    if blessing.releasable or blessing.verdict in {"rejected", "undecided"}:
        return words
    if blessing.verdict == "overridden":
        return f"{words} by nobody"
    failed = [rule.name for rule in blessing.rules if not rule.passed]
    return f"{words} although {', '.join(failed)} failed" if failed else f"{words} by no rule"
