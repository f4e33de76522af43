"""The answers of ``/monitoring``: what the graph found out, as it counts now.

Belongs here: their form. Does not belong here: what a verdict comes to (``monitoring.verdicts``), and the facts themselves
(``churn_store.monitoring.facts``).
"""

from datetime import datetime

import msgspec

from churn_api.monitoring.verdicts import VerdictEntry
from churn_store.monitoring.facts import FeatureMove, QualityFinding, SnapshotPerformance, State


class Basis(msgspec.Struct, kw_only=True):
    """What an answer rests on.

    Attributes:
        state: ``fine``, ``attention`` or ``unknown``; what is unknown is never fine.
        sentence: verdict in words; of an unknown one, why.
        release: digest of the release that serves; null before the first.
        as_of: time by the platform's clock at which the graph published the facts; null before the first.
        notice: why the facts may not be the newest; null where they are.
    """

    state: State
    sentence: str
    release: str | None
    as_of: datetime | None
    notice: str | None


class DriftFigures(msgspec.Struct, kw_only=True):
    """The newest snapshot beside the baseline.

    Attributes:
        largest: largest index among the judged features, less its bias under no drift; null where none is judged.
        largest_feature: feature that has it.
    """

    window: str
    state: State
    rows: int
    mean_score: float | None
    positive_rate: float | None
    largest: float | None
    largest_feature: str | None
    drifted: list[str]


class QualityFigures(msgspec.Struct, kw_only=True):
    """What is broken in the data.

    Attributes:
        period: newest period that has findings; null without any.
        findings: findings of that period.
        blocking: findings that block a period, of any.
    """

    period: str | None
    findings: int
    blocking: int


class MonitoringMetrics(Basis, kw_only=True):
    """The newest figures.

    Attributes:
        performance: newest matured snapshot of the serving release; null while none is judged.
        drift: newest window of all customers; null before the first.
    """

    performance: SnapshotPerformance | None
    drift: DriftFigures | None
    quality: QualityFigures


class DriftEntry(msgspec.Struct, kw_only=True):
    """A window that was compared with the baseline.

    Attributes:
        release: digest of the release that was compared.
        baseline: digest of the release whose reference was the baseline.
        since: first window of the unbroken stretch that moved; null where the window did not move.
        unusual: share of the earlier windows that moved less; null while there are none.
    """

    window: str
    release: str
    baseline: str
    rows: int
    state: State
    verdict: str
    since: str | None
    unusual: float | None
    mean_score: float | None
    positive_rate: float | None
    drifted: list[str]


class DriftDetection(Basis, kw_only=True):
    """Drift of the snapshots, or of the requests that were served.

    Attributes:
        segments: segments that windows are known of.
        windows: the oldest first.
        features: moves of the newest window, the largest first.
    """

    of: str
    segment: str | None
    segments: list[str]
    windows: list[DriftEntry]
    features: list[FeatureMove]


class Change(msgspec.Struct, kw_only=True):
    """A figure at the first and at the newest judged snapshot of the serving release."""

    measure: str
    first: float
    newest: float
    change: float


class PerformanceDegradation(Basis, kw_only=True):
    """How right the releases were at mature snapshots.

    Attributes:
        segments: segments that performance is known of.
        snapshots: the oldest first, of every release.
        changes: by measure; empty before the serving release is judged at two snapshots.
    """

    segment: str | None
    segments: list[str]
    snapshots: list[SnapshotPerformance]
    changes: list[Change]


class MonitoringReport(Basis, kw_only=True):
    """All verdicts, and what they rest on.

    Attributes:
        severity: greatest severity of the verdicts.
        drifted: features that moved materially in the newest window of all customers.
        findings: newest findings of data quality, the newest first.
        performance: newest matured snapshot of the serving release; null while none is judged.
        pages: addresses of the reports for people.
    """

    company: str | None
    severity: str
    verdicts: list[VerdictEntry]
    drifted: list[str]
    findings: list[QualityFinding]
    performance: SnapshotPerformance | None
    pages: list[str]
