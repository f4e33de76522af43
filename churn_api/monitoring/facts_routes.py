"""``/monitoring``: what the graph has found out about drift, performance and data quality, for keys with the scope ``read``.

Belongs here: the addresses, and which part of the facts each shows. Does not belong here: following the facts (``monitoring.facts``), and
what a verdict comes to (``monitoring.verdicts``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from litestar import Controller, get
from litestar.params import Parameter

from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.monitoring.answers import (
    Change,
    DriftDetection,
    DriftEntry,
    DriftFigures,
    MonitoringMetrics,
    MonitoringReport,
    PerformanceDegradation,
    QualityFigures,
)
from churn_api.monitoring.facts import FactsFollower
from churn_api.monitoring.verdicts import (
    ServedNow,
    VerdictEntry,
    newest_performance,
    newest_window,
    together,
    verdict_of,
    verdicts_of,
)
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.releases.poller import ReleasePoller
from churn_api.schemas.requests import ID_PATTERN
from churn_store.monitoring.facts import DriftWindow, Facts, FeatureMove, QualityFinding, SnapshotPerformance
from churn_store.reports import NAMES

SHOWN: Final = 60
"""Most windows, and most findings, in an answer."""

SEVERITIES: Final = ("none", "info", "warning", "critical")

_PAGES: Final = [f"/reports/{name}" for name in NAMES]

_UNKNOWN: Final = {404: problem_spec("Nothing is known of this segment.")}

Segment = Annotated[
    str | None,
    Parameter(min_length=1, max_length=200, pattern=ID_PATTERN, description="such as `plan=pro`; default: all customers"),
]
Windows = Annotated[int, Parameter(ge=1, le=SHOWN, description="most windows, the newest ones")]


@dataclass(frozen=True)
class MonitoringReader:
    """The facts beside the release that serves now.

    Attributes:
        follower: the facts that were read last.
        releases: source of the release that serves.
        online: online features.
    """

    follower: FactsFollower
    releases: ReleasePoller
    online: OnlineFeatures

    @classmethod
    def of(cls, releases: ReleasePoller, online: OnlineFeatures) -> Self:
        """A reader with a follower of its own, which reads nothing before it is asked to."""
        return cls(FactsFollower(releases.store, lambda: releases.current is not None), releases, online)

    @property
    def serving(self) -> str | None:
        """Digest of the release that serves; ``None`` before the first."""
        served = self.releases.current
        return None if served is None else served.row.champion

    @property
    def facts(self) -> Facts:
        """Those read last; empty before the first."""
        return self.follower.current.facts or _NOTHING

    def verdict(self, name: str) -> VerdictEntry:
        """A verdict as it counts now."""
        return verdict_of(name, self.follower.current, self._now)

    def verdicts(self) -> list[VerdictEntry]:
        """All verdicts as they count now."""
        return verdicts_of(self.follower.current, self._now)

    @property
    def _now(self) -> ServedNow:
        snapshot = self.online.snapshot
        return ServedNow(self.serving, None if snapshot is None else snapshot.name)

    def basis(self, *verdicts: VerdictEntry) -> dict[str, Any]:
        """The fields of ``Basis``, for an answer that rests on some verdicts."""
        followed = self.follower.current
        state, sentence = (verdicts[0].state, verdicts[0].sentence) if len(verdicts) == 1 else together(verdicts)
        facts = followed.facts
        return {
            "state": state,
            "sentence": sentence,
            "release": self.serving,
            "as_of": None if facts is None else datetime.fromtimestamp(facts.as_of_s, UTC),
            "notice": followed.unreadable or followed.away or None,
        }


class MonitoringController(Controller):
    """What the graph has found out. Always answered with 200, also where nothing is known: ``state`` says so."""

    path = "/monitoring"
    opt = needs("read")

    @get("/metrics", summary="The newest figures of performance, drift and data quality")
    async def newest(self, monitoring: MonitoringReader) -> MonitoringMetrics:
        """By the verdicts on drift, quality and performance together."""
        facts = monitoring.facts
        window = newest_window(facts.drift)
        return MonitoringMetrics(
            **monitoring.basis(*map(monitoring.verdict, ("drift", "quality", "performance"))),
            performance=newest_performance(facts.performance, release=monitoring.serving),
            drift=None if window is None else _figures(window),
            quality=_quality(facts.quality),
        )

    @get("/drift-detection", summary="Drift of the snapshots or of the served requests, by window", responses=_UNKNOWN)
    async def drift(
        self,
        monitoring: MonitoringReader,
        of: Literal["snapshot", "served"] = "snapshot",
        segment: Segment = None,
        windows: Windows = 12,
    ) -> DriftDetection:
        """The moves of every feature are those of the newest window."""
        facts = monitoring.facts
        of_kind = [one for one in facts.drift if one.of == of]
        segments = _segments(of_kind)
        _require_known(segment, segments)
        found = [one for one in of_kind if one.segment == segment][-windows:]
        return DriftDetection(
            **monitoring.basis(monitoring.verdict("drift" if of == "snapshot" else "served_drift")),
            of=of,
            segment=segment,
            segments=segments,
            windows=list(map(_entry, found)),
            features=_largest_first(found[-1].features) if found else [],
        )

    @get("/performance-degradation", summary="How right the releases were at mature snapshots", responses=_UNKNOWN)
    async def performance(
        self, monitoring: MonitoringReader, segment: Segment = None, windows: Windows = 12
    ) -> PerformanceDegradation:
        """Only by labels that have matured."""
        facts = monitoring.facts
        segments = _segments(facts.performance)
        _require_known(segment, segments)
        found = [one for one in facts.performance if one.segment == segment]
        judged = [one for one in found if one.release == monitoring.serving and one.arm is None and one.state != "unknown"]
        return PerformanceDegradation(
            **monitoring.basis(monitoring.verdict("performance")),
            segment=segment,
            segments=segments,
            snapshots=found[-windows:],
            changes=_changes(judged),
        )

    @get("/report", summary="All verdicts with their severities, and what they rest on")
    async def report(self, monitoring: MonitoringReader) -> MonitoringReport:
        """What a person reads first."""
        facts, verdicts = monitoring.facts, monitoring.verdicts()
        window = newest_window(facts.drift)
        return MonitoringReport(
            **monitoring.basis(*verdicts),
            company=facts.company or None,
            severity=max((one.severity for one in verdicts), key=SEVERITIES.index),
            verdicts=verdicts,
            drifted=[] if window is None else _drifted(window),
            findings=list(reversed(facts.quality))[:SHOWN],
            performance=newest_performance(facts.performance, release=monitoring.serving),
            pages=_PAGES,
        )


_NOTHING: Final = Facts(company="", as_of_s=0, release=None, verdicts=[], drift=[], performance=[], quality=[])


def _require_known(segment: str | None, known: Sequence[str]) -> None:
    """Refuse a segment of which nothing is known.

    Raises:
        Problem: if it is none (404); names those that are known.
    """
    if segment is not None and segment not in known:
        said = f"expected one of {', '.join(known[:SHOWN])}" if known else "no segment is monitored"
        raise Problem(404, "unknown-segment", f"Nothing is known of this segment; {said}. Leave it out for all customers.")


def _segments(entries: Iterable[DriftWindow | SnapshotPerformance]) -> list[str]:
    return sorted({one.segment for one in entries if one.segment is not None})


def _largest_first(features: Iterable[FeatureMove]) -> list[FeatureMove]:
    return sorted(features, key=lambda move: (-move.drifted, -move.judged, -move.psi, move.feature))


def _drifted(window: DriftWindow) -> list[str]:
    return [move.feature for move in _largest_first(window.features) if move.drifted]


def _figures(window: DriftWindow) -> DriftFigures:
    largest = window.largest
    return DriftFigures(
        window=window.window,
        state=window.state,
        rows=window.rows,
        mean_score=window.mean_score,
        positive_rate=window.positive_rate,
        largest=None if largest is None else largest.psi,
        largest_feature=None if largest is None else largest.feature,
        drifted=_drifted(window),
    )


def _quality(findings: Sequence[QualityFinding]) -> QualityFigures:
    newest = max((one.period for one in findings), default=None)
    return QualityFigures(
        period=newest,
        findings=sum(one.period == newest for one in findings),
        blocking=sum(one.blocking for one in findings),
    )


def _entry(window: DriftWindow) -> DriftEntry:
    return DriftEntry(
        window=window.window,
        release=window.release,
        baseline=window.baseline,
        rows=window.rows,
        state=window.state,
        verdict=window.verdict,
        since=window.since,
        unusual=window.unusual,
        mean_score=window.mean_score,
        positive_rate=window.positive_rate,
        drifted=_drifted(window),
    )


def _changes(judged: Sequence[SnapshotPerformance]) -> list[Change]:
    if len(judged) < 2:  # noqa: PLR2004 - a change is between two
        return []
    first, newest = judged[0].measures, judged[-1].measures
    return [
        Change(
            measure=name,
            first=first[name].value,
            newest=newest[name].value,
            change=newest[name].value - first[name].value,
        )
        for name in sorted(first.keys() & newest.keys())
    ]
