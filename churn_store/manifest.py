"""What a release says of itself: the manifest, the gate's blessing, and the golden rows.

A *candidate* is a manifest without a blessing; its digest is what the gate judges. A *release* is the same manifest with
the blessing in it; its digest is what a row of ``releases`` names.
"""

import hashlib
from typing import Any, Literal

import msgspec

from churn_store.errors import ReleaseError
from churn_store.files import MEBIBYTE
from churn_store.signature import Signature

FORMAT = 1

FILE_LIMITS = {"model.onnx": 256 * MEBIBYTE, "golden.json": 8 * MEBIBYTE, "reference.parquet": 64 * MEBIBYTE}
"""The files of a release and how large each may be, in bytes. Another name is refused."""

MANIFEST_LIMIT = MEBIBYTE

GOLDEN_ROWS = 200
"""A release brings at least this many golden rows."""

GOLDEN_TOLERANCE = 1e-6
"""Greatest difference in probability between the trained pipeline and the exported model (design.md section 10)."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the release: its sha256 and its size in bytes."""

    sha256: str
    size: int


class TableVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lake table as it was read: the Delta version, and the digest of its rows where they were all read."""

    version: int
    digest: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule of the gate: what was found, what was allowed."""

    name: str
    passed: bool
    found: str
    allowed: str


class Blessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gate's verdict on a candidate. ``overridden``: a named person released it against the gate."""

    candidate: str
    verdict: Literal["accepted", "rejected", "overridden"]
    rules: tuple[Rule, ...]
    actor: str
    decided_s: int

    @property
    def releasable(self) -> bool:
        """Whether a release may point at the candidate: every rule passed, or somebody is named who released it anyhow."""
        if self.verdict == "overridden":
            return bool(self.actor.strip())
        return self.verdict == "accepted" and bool(self.rules) and all(rule.passed for rule in self.rules)

    @property
    def reasons(self) -> list[str]:
        """What each rule found, failed rules first, one line each."""
        ordered = sorted(self.rules, key=lambda rule: rule.passed)
        return [
            f"{rule.name}: {'passed' if rule.passed else 'FAILED'}: found {rule.found}, allowed {rule.allowed}"
            for rule in ordered
        ]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that must be known of a model to serve it, judge it and rebuild its training set.

    Attributes:
        family: the model family, such as ``gradient_boosting``.
        label: the definition of churn in words.
        horizon_days: length of the window that the probability speaks of; none where data has no time.
        threshold: a probability at or above it is answered as churn.
        metrics: of the judging rows.
        trained_on: the snapshots that training read.
        judged_on: the later snapshots that the metrics are of.
        split: how judging rows were kept apart: ``by time``, or by customer with what decides who is held out.
        tables: the lake tables as they were read.
        mlflow: run and model version in the tracking server, for people.
        code_commit: of the checkout that trained it; ``unknown`` outside of one.
        lock_sha256: of ``requirements.lock``.
        created_s: by the clock.
    """

    format: int = FORMAT
    company: str
    family: str
    signature: Signature
    label: str
    horizon_days: int | None
    threshold: float
    metrics: dict[str, float]
    trained_on: tuple[str, ...]
    training_rows: int
    judged_on: tuple[str, ...]
    judging_rows: int
    split: str
    tables: dict[str, TableVersion]
    mlflow: dict[str, str]
    code_commit: str
    lock_sha256: str
    created_s: int
    files: dict[str, FileEntry]
    blessing: Blessing | None = None

    @property
    def candidate(self) -> str:
        """Digest of the manifest without its blessing: what the gate judged."""
        return hashlib.sha256(encode(msgspec.structs.replace(self, blessing=None))).hexdigest()


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows with the probabilities that the trained pipeline gave for them."""

    rows: list[dict[str, Any]]
    probabilities: list[float]


def encode(value: Manifest | Golden) -> bytes:
    """The one byte form, so that a digest means something: keys sorted, no white space."""
    return msgspec.json.encode(value, order="deterministic")


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest strictly.

    Raises:
        ReleaseError: not the manifest of a release of this format.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReleaseError(f"manifest.json: {error}") from error
    if manifest.format != FORMAT:
        raise ReleaseError(f"manifest.json has format {manifest.format}, this code reads format {FORMAT}")
    if set(manifest.files) != set(FILE_LIMITS):
        raise ReleaseError(
            f"manifest.json lists {', '.join(sorted(manifest.files)) or 'no file'}; expected {', '.join(FILE_LIMITS)}"
        )
    return manifest


def decode_golden(content: bytes) -> Golden:
    """Read golden rows strictly.

    Raises:
        ReleaseError: not golden rows, fewer than ``GOLDEN_ROWS``, or not as many probabilities as rows.
    """
    try:
        golden = msgspec.json.decode(content, type=Golden)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReleaseError(f"golden.json: {error}") from error
    if len(golden.rows) != len(golden.probabilities) or len(golden.rows) < GOLDEN_ROWS:
        raise ReleaseError(
            f"golden.json has {len(golden.rows)} rows and {len(golden.probabilities)} probabilities; "
            f"expected as many, and at least {GOLDEN_ROWS}"
        )
    return golden
