"""The parts of the published facts: each is read for itself, and says its verdict.

A part that can't be read is unknown, with the reason, and hides no other. Belongs here: from what the stages keep to a verdict with what it
rests on. Does not belong here: what a stage finds out, the file (``churn_store.monitoring.facts``), and Dagster (``facts.assets``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

import sqlalchemy as sa

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.history import drift_windows
from churn_assets.monitoring.served_log import served_rows
from churn_assets.performance.gathering import published_now
from churn_assets.performance.history import TABLE as PERFORMANCE_HISTORY
from churn_assets.performance.verdicts import snapshot_performances
from churn_assets.performance.verdicts import verdict as performance_verdict
from churn_assets.quality.findings import UNKNOWN, blocking_findings, judged_periods, quality_findings
from churn_assets.skew.replay import replay
from churn_assets.skew.report import verdict_of
from churn_store.errors import LostError
from churn_store.monitoring.facts import DriftWindow, QualityFinding, SnapshotPerformance, State, Verdict
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.online_store import Snapshot

PERIODS: Final = 60
"""Newest periods that are published, of all customers."""

SEGMENTED: Final = 12
"""Newest periods that are published by segment."""

REPLAYED: Final = 2_000
"""Newest predictions that are replayed; `churn skew` replays more."""

SHOWN: Final = 3

Part = TypeVar("Part")


@dataclass(frozen=True)
class Judged(Generic[Part]):
    """A part of the facts with its verdicts."""

    found: list[Part]
    verdicts: list[Verdict]


def drift_part(lake: Lake, *, now_s: int) -> Judged[DriftWindow]:
    """The windows of drift, with the verdicts on the newest snapshot and on the newest served requests."""
    try:
        windows = drift_windows(lake, PERIODS)
    except LostError as error:
        return Judged([], [_unreadable("drift", error, now_s), _unreadable("served_drift", error, now_s)])
    by_segment = set(sorted({one.window for one in windows})[-SEGMENTED:])
    shown = [one for one in windows if one.segment is None or one.window in by_segment]
    return Judged(
        shown,
        [
            _of_window("drift", _newest(windows, "snapshot"), "no snapshot was compared with the baseline yet", now_s),
            _of_window("served_drift", _newest(windows, "served"), "no served requests were compared yet", now_s),
        ],
    )


def quality_part(lake: Lake, *, now_s: int) -> Judged[QualityFinding]:
    """The findings of the newest periods, with the verdict on the newest period of each table and on whatever blocks a period.

    That an older period could not be judged is left out: it says nothing of now.
    """
    try:
        judged, found, blocking = judged_periods(lake), quality_findings(lake, PERIODS), blocking_findings(lake)
    except LostError as error:
        return Judged([], [_unreadable("quality", error, now_s)])
    newest: dict[str, str] = {}
    for table, period in judged:
        newest[table] = max(period, newest.get(table, period))
    of_newest = [one for one in found if newest.get(one.table) == one.period]
    faults = [*blocking, *(one for one in of_newest if one.kind != UNKNOWN and not one.blocking)]
    not_judged = [one for one in of_newest if one.kind == UNKNOWN]
    state: State = "attention" if faults else "unknown" if not_judged or not newest else "fine"
    shown = [one for one in found if one.kind != UNKNOWN or one in not_judged]
    return Judged(
        [*(one for one in blocking if one not in shown), *shown],
        [
            Verdict(
                name="quality",
                state=state,
                sentence=_quality_in_words(faults, not_judged, newest),
                snapshot=max(newest.values(), default=None),
                release=None,
                as_of_s=now_s,
            )
        ],
    )


def performance_part(lake: Lake, files: DigestStore, *, release: str | None, now_s: int) -> Judged[SnapshotPerformance]:
    """How right the releases were at the newest mature snapshots."""
    try:
        keys = lake.periods(PERFORMANCE_HISTORY) if lake.has(PERFORMANCE_HISTORY) else []
        found = snapshot_performances(lake, PERIODS, labels=published_now(files, keys))
    except LostError as error:
        return Judged([], [_unreadable("performance", error, now_s)])
    return Judged(found, [performance_verdict(found, as_of_s=now_s, release=release)])


def skew_verdict(
    engine: sa.Engine, lake: Lake, files: DigestStore, online: Snapshot | None, *, has_time: bool, now_s: int
) -> Verdict:
    """Whether the newest predictions are what the batch path gives."""
    rows, damaged = served_rows(engine, since_s=0.0, limit=REPLAYED)
    try:
        report = replay(rows, damaged, lake=lake, files=files, online=online, has_time=has_time)
    except LostError as error:
        return _unreadable("skew", error, now_s)
    return verdict_of(report, now_s=now_s)


def _newest(windows: Sequence[DriftWindow], of: Literal["snapshot", "served"]) -> DriftWindow | None:
    return next((one for one in reversed(windows) if one.of == of and one.segment is None), None)


def _of_window(name: str, window: DriftWindow | None, none_yet: str, now_s: int) -> Verdict:
    if window is None:
        return Verdict(name=name, state="unknown", sentence=none_yet, snapshot=None, release=None, as_of_s=now_s)
    return Verdict(
        name=name,
        state=window.state,
        sentence=window.verdict,
        snapshot=window.window,
        release=window.release,
        as_of_s=now_s,
    )


def _quality_in_words(
    faults: Sequence[QualityFinding], not_judged: Sequence[QualityFinding], newest: dict[str, str]
) -> str:
    told: Callable[[QualityFinding], str] = lambda one: f"{one.table} {one.period}: {one.sentence}"  # noqa: E731
    for found in (faults, not_judged):
        if found:
            more = f" And {len(found) - SHOWN} more." if len(found) > SHOWN else ""
            return " ".join(map(told, found[:SHOWN])) + more
    if not newest:
        return "no period was judged yet"
    return f"nothing is broken in {', '.join(f'{table} {period}' for table, period in sorted(newest.items()))}"


def _unreadable(name: str, error: LostError, now_s: int) -> Verdict:
    return Verdict(
        name=name,
        state="unknown",
        sentence=f"what was found can't be read: {error}",
        snapshot=None,
        release=None,
        as_of_s=now_s,
    )
