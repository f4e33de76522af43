"""The self-description of a release: the manifest, the gate's blessing, and the golden rows.

A *candidate* is a manifest without a blessing; its digest is what the gate judges. A *release* is the same manifest with
the blessing in it; its digest is what a row of ``releases`` names.
"""

import hashlib
import json
import math
from typing import Annotated, Any, Literal

import msgspec

from churn_store.errors import ReleaseError
from churn_store.model.reasons.plan import ReasonPlan
from churn_store.model.signature import Signature
from churn_store.safe_read import MEBIBYTE

FORMAT = 3
"""Format that is written. Since format 2 a manifest holds the evaluation of its model (``Evaluation``), since format 3 the version of
how words are written."""

FORMATS = (1, 2, FORMAT)
"""Formats that are read; a release of an older one goes on serving."""

FILE_LIMITS = {"model.onnx": 256 * MEBIBYTE, "golden.json": 8 * MEBIBYTE, "reference.parquet": 64 * MEBIBYTE}
"""The files of a release and how large each may be, in bytes. Another name is refused."""

MANIFEST_LIMIT = MEBIBYTE

GOLDEN_ROWS = 200
"""Fewest golden rows of a release."""

GOLDEN_TOLERANCE = 1e-6
"""Greatest difference in probability between the trained pipeline and the exported model (design.md section 10)."""


GREATEST_THRESHOLD = math.nextafter(1.0, 2.0)
"""The threshold of a model that calls no customer, where one customer's probability is 1."""


EpochSeconds = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""A time that has a date: before the year 10000."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the release: its sha256 and its size in bytes."""

    sha256: str
    size: int


class TableVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lake table as it was read: the Delta version, and the digest of its rows if all of them were read."""

    version: int
    digest: str | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule of the gate: what was found, what was allowed.

    Attributes:
        undecided: whether the rule did not pass because there was too little data to decide.
    """

    name: str
    passed: bool
    found: str
    allowed: str
    undecided: bool = False

    @property
    def sentence(self) -> str:
        """What was found, what it means first; what is allowed, by which setting; and the name of the rule."""
        return f"{self.found}; allowed: {self.allowed} ({self.name}{' is undecided' if self.undecided else ''})"


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measure with its two-sided bootstrap interval, whole customers drawn."""

    value: float
    low: float
    high: float


class Segment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quality of a model on the customers of one category value.

    Attributes:
        column: name of the category column.
        word: value of the category; empty where it is missing.
        rows: number of judging rows.
        base_rate: churn rate of those rows.
        auc: AUC on those rows; ``None`` where all of them churned or all stayed.
        calibration: mean probability minus the churn rate.
        profit: profit per customer, at the model's threshold.
        threshold: most profitable threshold for this segment alone.
    """

    column: str
    word: str
    rows: int
    base_rate: float
    auc: float | None
    calibration: float
    profit: Interval
    threshold: float


class ReliabilityBin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of neighbouring scores: their number, mean probability and churn rate."""

    rows: int
    predicted: float
    observed: float


class ProfitTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The assumptions of the profit, in the company's currency (``churn.yaml``, ``profit``)."""

    customer_value: float
    offer_cost: float
    contact_cost: float
    acceptance_alpha: float
    acceptance_beta: float

    @property
    def acceptance(self) -> float:
        """The expected share of churners who take the offer and stay."""
        return self.acceptance_alpha / (self.acceptance_alpha + self.acceptance_beta)


class KindQuality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quality of a model on the churners of one kind, beside everybody who stayed.

    Attributes:
        churners: number of judging rows that churned so.
        auc: AUC of these and of all rows that stayed; ``None`` without any.
        recall: share of these at or above the model's threshold; ``None`` without any.
    """

    churners: int
    auc: float | None
    recall: float | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quality of a model on its judging rows.

    Attributes:
        confidence: confidence level of the intervals.
        intervals: interval of each measure of ``Manifest.metrics``.
        by_snapshot: measures at each judging snapshot; empty where data has no time.
        baselines: measures of the base rate, the recency rule and the plain logistic regression on the same rows.
        segments: segments with enough rows.
        reliability: reliability bins in the order of the scores.
        importance: fall of the AUC when an input is shuffled, by the input's name (a manifest's keys are in alphabetical order).
        profit: assumptions of the profit.
        kinds: quality by kind of churn; absent where kinds are not told apart.
    """

    confidence: float
    intervals: dict[str, Interval]
    by_snapshot: dict[str, dict[str, float]]
    baselines: dict[str, dict[str, float]]
    segments: tuple[Segment, ...]
    reliability: tuple[ReliabilityBin, ...]
    importance: dict[str, float]
    profit: ProfitTerms
    kinds: dict[str, KindQuality] | msgspec.UnsetType = msgspec.UNSET


class Blessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The gate's verdict on a candidate.

    Fields with their default value are left out, so that an older blessing is encoded as it was.

    Attributes:
        verdict: verdict; ``undecided`` where nothing failed but there was too little data to decide, which releases a first model
            and no other; ``overridden`` where a named person released it against the gate.
        actor: id of the run, or name of the person.
        epoch: newest epoch when the gate read its inputs, whose champion the candidate was compared with; 0 for none.
        gain: profit per customer above the champion's on the same rows; ``None`` without a champion.
        reason: reason of the override.
    """

    candidate: str
    verdict: Literal["accepted", "rejected", "undecided", "overridden"]
    rules: tuple[Rule, ...]
    actor: str
    decided_s: EpochSeconds
    epoch: int = 0
    gain: float | None = None
    reason: str = ""

    @property
    def releasable(self) -> bool:
        """Whether the candidate may be released: every rule passed, or a named person released it all the same.

        So may the first model, of which no rule failed and some could not be decided: no champion would stay in its place.
        """
        if self.verdict == "overridden":
            return bool(self.actor.strip())
        if self.verdict == "undecided":
            first = self.epoch == 0
            return first and bool(self.rules) and all(rule.passed or rule.undecided for rule in self.rules)
        return self.verdict == "accepted" and bool(self.rules) and all(rule.passed for rule in self.rules)

    @property
    def refusal(self) -> str:
        """Why it was not accepted: a sentence for each rule that did not pass, those that failed first."""
        left = sorted((rule for rule in self.rules if not rule.passed), key=lambda rule: rule.undecided)
        return "; ".join(rule.sentence for rule in left)

    @property
    def undecided_rules(self) -> list[str]:
        """The names of the rules that had too little to decide by."""
        return [rule.name for rule in self.rules if rule.undecided]

    @property
    def in_words(self) -> str:
        """The verdict, with the rules that had too little to decide by."""
        unsure = f" by {', '.join(self.undecided_rules)}: too little to decide by" if self.undecided_rules else ""
        if self.verdict != "undecided":
            return f"{self.verdict}{f'; undecided{unsure}' if unsure else ''}"
        first = (
            "; it may serve all the same, as no champion would stay in its place"
            if self.releasable
            else "; the champion stays"
        )
        return f"undecided{unsure}{first}"

    @property
    def reasons(self) -> list[str]:
        """What each rule found, failed rules first, one line each."""
        ordered = sorted(self.rules, key=lambda rule: rule.passed)
        return [
            f"{rule.name}: {'passed' if rule.passed else 'FAILED'}: found {rule.found}, allowed {rule.allowed}"
            for rule in ordered
        ]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that must be known about a model to serve it, judge it and rebuild its training set.

    Attributes:
        family: model family, such as ``gradient_boosting``.
        label: definition of churn in words.
        horizon_days: length of the window that the probability refers to; ``None`` where data has no time.
        threshold: probability from which on the answer is churn.
        metrics: metrics on the judging rows.
        trained_on: snapshots whose labels were used: those that the estimator was fitted on and those that calibrated it.
        judged_on: later snapshots, on which the metrics were computed.
        split: separation of the judging rows: ``by time``, or by customer with the rule that holds customers out.
        tables: lake tables as they were read.
        mlflow: run and model version in the tracking server, for people.
        code_commit: commit of the checkout that trained it; ``unknown`` outside of a checkout.
        lock_sha256: sha256 of ``requirements.lock``.
        created_s: time of creation by the platform's clock, in epoch seconds.
        parameters: parameters of the estimator, as the search found them.
        calibrated_on: last snapshots of ``trained_on``, on which the probabilities were calibrated and the threshold was set.
        population: definition of the customers at risk, in words.
        purpose: purpose of the model, in the company's words.
        evaluation: quality of the model. It and the four before it exist since format 2.
        normalisation: version of how words are written in the tables that it was trained on (``churn_store.model.words``); since
            format 3, and 1 before.
        protected: why each protected input may be used and who said so, by input; empty for one that nobody has allowed, on which
            older code had trained already, and which this release was the last to be trained on without a reason.
        reasons: reference row and groups of the reasons of its predictions.
        treated: what customers who were treated did to the rows that it was trained and judged on, in words.
    """

    format: int = FORMAT
    company: str
    family: str
    signature: Signature
    label: str
    horizon_days: int | None
    threshold: Annotated[float, msgspec.Meta(ge=0, le=GREATEST_THRESHOLD)]
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
    created_s: EpochSeconds
    files: dict[str, FileEntry]
    blessing: Blessing | None = None
    # Absent in format 1, and left out again on encoding, so that the digest does not change.
    parameters: dict[str, str | int | float | bool | None] | msgspec.UnsetType = msgspec.UNSET
    calibrated_on: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    population: str | msgspec.UnsetType = msgspec.UNSET
    purpose: str | msgspec.UnsetType = msgspec.UNSET
    evaluation: Evaluation | msgspec.UnsetType = msgspec.UNSET
    normalisation: int | msgspec.UnsetType = msgspec.UNSET
    # Absent where no input is protected.
    protected: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    # Absent in releases that are older than reasons.
    reasons: ReasonPlan | msgspec.UnsetType = msgspec.UNSET
    # Absent where nobody was treated in the window of a label.
    treated: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def candidate(self) -> str:
        """Digest of the manifest without its blessing: what the gate judged."""
        return hashlib.sha256(encode(msgspec.structs.replace(self, blessing=None))).hexdigest()

    @property
    def model_sha256(self) -> str:
        """Digest of ``model.onnx``: the same for the same model, whatever else the manifest says."""
        return self.files["model.onnx"].sha256


SINCE: dict[int, tuple[str, ...]] = {
    2: ("parameters", "calibrated_on", "population", "purpose", "evaluation"),
    3: ("normalisation",),
}
"""Names by the format that added them."""


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows with the probabilities that the trained pipeline gave for them."""

    rows: list[dict[str, Any]]
    probabilities: list[float]


def encode(value: Manifest | Golden) -> bytes:
    """Encode in the one canonical form, so that equal content has equal digests: keys sorted, no white space."""
    return msgspec.json.encode(value, order="deterministic")


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest strictly.

    Raises:
        ReleaseError: if it is not the manifest of a release in a format that is read.
    """
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
        json.loads(content, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:  # msgspec's errors are of these
        raise ReleaseError(f"manifest.json: {error}") from error
    if manifest.format not in FORMATS:
        raise ReleaseError(
            f"manifest.json has format {manifest.format}, this code reads the formats {', '.join(map(str, FORMATS))}"
        )
    needed = [name for since, names in SINCE.items() if manifest.format >= since for name in names]
    if absent := [name for name in needed if getattr(manifest, name) is msgspec.UNSET]:
        raise ReleaseError(f"manifest.json of format {manifest.format} has no {', '.join(absent)}")
    if set(manifest.files) != set(FILE_LIMITS):
        raise ReleaseError(
            f"manifest.json lists {', '.join(sorted(manifest.files)) or 'no file'}; expected {', '.join(FILE_LIMITS)}"
        )
    names = manifest.signature.names
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ReleaseError(f"manifest.json has the columns {', '.join(twice[:5])} twice in its signature")
    return manifest


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        raise ReleaseError("manifest.json has a name twice in an object, so it could be read in two ways")


def decode_golden(content: bytes) -> Golden:
    """Read golden rows strictly.

    Raises:
        ReleaseError: not golden rows, fewer than ``GOLDEN_ROWS``, not as many probabilities as rows, or one that is none.
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
    if not all(-GOLDEN_TOLERANCE <= probability <= 1 + GOLDEN_TOLERANCE for probability in golden.probabilities):
        raise ReleaseError("golden.json has a probability below 0 or above 1")
    return golden
