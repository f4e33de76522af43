"""What the graph found out about drift, quality and performance, as one immutable file that the service reads.

The file lies in the store of the release files, which graph and service share in every installation, with a pointer that names it. It holds
series over the snapshots, verdicts in words and facts, and no customer's data. Belongs here: the form of the file, writing and reading it. Does not
belong here: how the figures come about (the graph's ``monitoring``, ``quality`` and ``performance``), and what a route shows of them.
"""

from typing import Final, Literal

import msgspec

from churn_store.errors import ChurnError, ReleaseError
from churn_store.safe_read import MEBIBYTE
from churn_store.storage.digest_store import DigestStore

FOLDER: Final = "monitoring"
"""Folder of the release files' store in which the file lies."""

ASSET: Final = "monitoring_facts"
"""The asset that publishes it."""

LARGEST_POINTER: Final = MEBIBYTE // 16
LARGEST: Final = 64 * MEBIBYTE
"""Largest file; 60 windows of 60 features take 2 MB."""

State = Literal["fine", "attention", "unknown"]
"""What a verdict comes to; ``unknown`` where nothing could be judged, which is never ``fine``."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a report found out.

    Attributes:
        name: ``drift``, ``served_drift``, ``quality``, ``performance`` or ``skew``.
        sentence: verdict in words.
        snapshot: key of the snapshot that it is about; ``None`` where the data has no time, or no snapshot was judged.
        release: digest of the release that it is about; ``None`` where it is about none.
        as_of_s: time by the platform's clock at which it was found, in epoch seconds.
    """

    name: str
    state: State
    sentence: str
    snapshot: str | None
    release: str | None
    as_of_s: int


class FeatureMove(msgspec.Struct, frozen=True, kw_only=True):
    """How a feature moved in a window, against the baseline. A statistic that the kind of feature does not have is ``None``.

    Attributes:
        ks: Kolmogorov-Smirnov statistic.
        welch_t: Welch's t.
        psi: population stability index, less its bias under no drift.
        wasserstein: Wasserstein distance, in standard deviations of the baseline.
        chi_square: chi-square statistic.
        jensen_shannon: Jensen-Shannon distance with logarithms to base 2, from 0 to 1.
        p_value: p value, corrected for the number of judged features where the feature is judged.
        cut: PSI up to which a move does not matter.
        mean: mean of the window.
        baseline_mean: mean of the baseline.
        mean_shift: change of the mean, as a share of the baseline's.
        missing: share of rows without a value.
        importance: share of the model's importance; ``None`` where it is not known.
        judged: whether it is judged, and not only shown.
        drifted: whether it is judged and has moved materially.
    """

    feature: str
    rows: int
    ks: float | None
    welch_t: float | None
    psi: float
    wasserstein: float | None
    chi_square: float | None
    jensen_shannon: float
    p_value: float
    cut: float
    mean: float | None
    baseline_mean: float | None
    mean_shift: float | None
    missing: float
    importance: float | None
    judged: bool
    drifted: bool


class DriftWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window that was compared with the baseline.

    Attributes:
        window: key of the snapshot.
        of: whether the rows are those of the snapshot, or of the requests that were served in its period.
        segment: segment of the customers, such as ``plan=pro``; ``None`` for all.
        release: digest of the release that was compared.
        baseline: digest of the release whose reference was the baseline.
        verdict: verdict in words.
        since: first window of the unbroken stretch that moved; ``None`` where the window did not move.
        unusual: share of the earlier windows that moved less; ``None`` while there are none.
        mean_score: mean probability of churn.
        positive_rate: share called churners.
        features: moves by feature, empty where nothing could be judged.
    """

    window: str
    of: Literal["snapshot", "served"]
    segment: str | None
    release: str
    baseline: str
    rows: int
    state: State
    verdict: str
    since: str | None
    unusual: float | None
    mean_score: float | None
    positive_rate: float | None
    features: list[FeatureMove]

    @property
    def drifted(self) -> list[str]:
        """Names of the features that moved materially."""
        return [move.feature for move in self.features if move.drifted]

    @property
    def largest(self) -> FeatureMove | None:
        """The judged feature with the greatest index; ``None`` where none is judged."""
        return max((move for move in self.features if move.judged), key=lambda move: move.psi, default=None)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval of 95 %."""

    value: float
    low: float | None
    high: float | None


class SnapshotPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """How right a release was at a mature snapshot.

    Attributes:
        arm: arm of the experiment; ``None`` outside of experiments.
        segment: segment of the customers; ``None`` for all.
        rows: customers with a label who were served.
        effective_rows: number of equally weighted rows that are worth as much (Kish 1965), where treated customers are weighted.
        state: ``unknown`` where the rows can't be judged.
        sentence: verdict in words, with why it can't be judged.
        measures: figures by name, such as ``auc`` and ``log_loss``.
        promised: mean probability.
        seen: share who left.
    """

    snapshot: str
    release: str
    arm: str | None
    segment: str | None
    rows: int
    effective_rows: float
    state: State
    sentence: str
    measures: dict[str, Measured]
    promised: float | None
    seen: float | None


class QualityFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something broken in a period's data.

    Attributes:
        table: table that it was found in.
        period: key of the period.
        kind: kind of fault, such as ``nulls`` or ``unit_changed``.
        column: column, if it is about one.
        blocking: whether it blocks scoring and training of the period.
        sentence: what was found, what was expected, and what to do.
    """

    table: str
    period: str
    kind: str
    column: str | None
    blocking: bool
    sentence: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file: the newest windows of each series, the oldest first.

    Attributes:
        company: name of the company.
        as_of_s: time by the platform's clock at which the file was made, in epoch seconds.
        release: digest of the release that served then; ``None`` for none.
    """

    company: str
    as_of_s: int
    release: str | None
    verdicts: list[Verdict]
    drift: list[DriftWindow]
    performance: list[SnapshotPerformance]
    quality: list[QualityFinding]


class PublishedFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pointer: sha256 and size of the file in bytes."""

    digest: str
    size: int


class UnreadableFactsError(ChurnError):
    """The facts are published, and can't be read; the message says why, and what to do."""


def publish_facts(files: DigestStore, facts: Facts) -> PublishedFacts:
    """Publish the facts, in place of the former ones. The same facts are the same file.

    Raises:
        StoreAwayError: if the object store does not answer; the former facts stay, or both files do until the next time.
        ReleaseError: if the file would be too large to be read.
    """
    content = msgspec.json.encode(facts)
    if len(content) > LARGEST:
        raise ReleaseError(
            f"the monitoring facts have {len(content):,} bytes; expected at most {LARGEST:,}, which the service reads at once"
        )
    folder = files.below(FOLDER)
    published = PublishedFacts(digest=folder.put(content), size=len(content))
    folder.point(msgspec.json.encode(published))
    folder.keep_only(published.digest)
    return published


def newest_facts(files: DigestStore) -> PublishedFacts | None:
    """The pointer, which tells cheaply whether the facts are others than before; ``None`` where none are published.

    Raises:
        UnreadableFactsError: if the pointer is damaged.
        StoreAwayError: if the object store does not answer.
    """
    try:
        content = files.below(FOLDER).pointer(at_most=LARGEST_POINTER)
        return None if content is None else msgspec.json.decode(content, type=PublishedFacts)
    except ReleaseError as error:
        raise _unreadable(str(error)) from error
    except msgspec.DecodeError as error:
        raise _unreadable(f"their pointer is torn, or another version's ({type(error).__name__})") from error
    except OSError as error:
        raise _unreadable(f"their pointer can't be opened ({type(error).__name__})") from error


def read_facts(files: DigestStore) -> Facts | None:
    """The newest facts, verified; ``None`` where none are published.

    Raises:
        UnreadableFactsError: if pointer or file is damaged or missing.
        StoreAwayError: if the object store does not answer.
    """
    folder, published = files.below(FOLDER), newest_facts(files)
    while published is not None:
        try:
            content = folder.get(published.digest, at_most=min(published.size, LARGEST))
        except ReleaseError as error:
            former, published = published, newest_facts(files)
            if published == former:
                raise _unreadable(str(error)) from error
        else:
            return _opened(content)
    return None


def _opened(content: bytes) -> Facts:
    try:
        return msgspec.json.decode(content, type=Facts)
    except msgspec.DecodeError as error:
        raise _unreadable(f"their file is another version's ({type(error).__name__})") from error


def _unreadable(why: str) -> UnreadableFactsError:
    return UnreadableFactsError(f"the monitoring facts can't be read: {why}. Materialize {ASSET} again")
