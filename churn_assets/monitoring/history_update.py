"""Which windows of the history are judged in a run, and what becomes of those that are stored already.

The newest ``REJUDGED`` windows are always those of the release that serves and of the baseline that counts: where another release served or another baseline
counted when they were judged, they are judged again. Older windows stay as they were judged then, and name their release.

Belongs here: the choice of windows, and merging them with the stored ones. Does not belong here: judging one (``judged_windows``), and reading or
writing the table (``history``, ``assets``).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from churn_assets.monitoring.judged_windows import Against, Compared, Comparer, Rows, in_order
from churn_assets.monitoring.window_rows import WindowRows
from churn_store.monitoring.facts import DriftWindow

KINDS: Final[tuple[Rows, ...]] = ("snapshot", "served")

REJUDGED: Final = 12
"""Newest windows that are judged again for another release or baseline; a year of monthly ones."""

OPEN_PERIODS: Final = 2
"""Newest periods of served requests that are judged in each run, as requests may have come since."""


@dataclass(frozen=True)
class Judged:
    """What a run judged.

    Attributes:
        windows: windows by period, each whole, with the stored ones that stay.
        newest: newest window of all customers that was judged, of the snapshot and of served requests.
        failed: why windows could not be judged, in a sentence, by what they are of.
        failures: errors by which comparisons failed.
    """

    windows: Mapping[str, list[DriftWindow]]
    newest: list[DriftWindow]
    failed: dict[str, str]
    failures: list[Exception]


def judge(
    rows: WindowRows, against: Against, periods: Sequence[str], stored: Sequence[DriftWindow], *, lost: Collection[str]
) -> Judged:
    """Judge the windows that a run is for.

    Args:
        rows: rows of the windows.
        against: what they are compared with.
        periods: snapshots up to that of the run, the oldest first.
        stored: windows that the table has of these periods.
        lost: periods that the lake lost.
    """
    comparer = Comparer(against)
    windows: list[DriftWindow] = []
    failed: dict[str, str] = {}
    for of, read in zip(KINDS, (rows.snapshot, rows.served), strict=True):
        asked = periods_to_judge(periods, stored, of, release=against.release, baseline=against.baseline, lost=lost)
        compared: list[Compared] = []
        for period in asked:
            window = read(period)
            if of == "snapshot" or window.height:
                with_segments = period in periods[-against.rule.windows :]
                compared += comparer.compared(period, of, window, with_segments=with_segments)
        windows += in_order(compared, [one for one in stored if one.of == of], against)
        if broken := [one for one in compared if one.failed]:
            failed[of] = _failed_in_words(of, broken)
    newest = [[one for one in windows if one.segment is None and one.of == of][-1:] for of in KINDS]
    old = by_period(stored)
    whole = {period: merged(old.get(period, []), found) for period, found in by_period(windows).items()}
    return Judged(whole, [one for found in newest for one in found], failed, comparer.failures)


def periods_to_judge(
    periods: Sequence[str], stored: Collection[DriftWindow], of: Rows, *, release: str, baseline: str, lost: Collection[str]
) -> list[str]:
    """The periods that are judged: the newest, and all from the first one on that lacks a window of this release and baseline.

    Args:
        periods: periods that can be judged, the oldest first; the last is what the run is for.
        stored: windows that the table has.
        of: what the windows are of.
        release: digest of the release that serves.
        baseline: digest of the release whose reference counts.
        lost: periods that the lake lost, which are judged again however old they are.
    """
    known = {
        one.window
        for one in stored
        if one.of == of and one.segment is None and (one.release, one.baseline) == (release, baseline) and one.features
    }
    always = periods[-1:] if of == "snapshot" else periods[-OPEN_PERIODS:]
    wanted = [period for period in periods[-REJUDGED:] if period not in known or period in always]
    wanted += [period for period in periods if period in lost]
    return [period for period in periods if period >= min(wanted)] if wanted else []


def merged(stored: Sequence[DriftWindow], judged: Sequence[DriftWindow]) -> list[DriftWindow]:
    """The windows of one period: the stored ones, with the judged ones in their place.

    What was judged for another release goes with all its segments, unless this release answered too few requests to say anything.

    Args:
        stored: windows that the table has of the period.
        judged: windows of the same period that were judged now.
    """
    now = {(one.of, one.segment): one for one in judged}
    for of, one in [(of, one) for (of, segment), one in now.items() if segment is None]:
        former = next((old for old in stored if old.of == of and old.segment is None), None)
        of_another = former is not None and (former.release, former.baseline) != (one.release, one.baseline)
        if of_another and of == "served" and not one.features and former is not None and former.features:
            now = {key: window for key, window in now.items() if key[0] != of}
        elif of_another:
            stored = [old for old in stored if old.of != of]
    kept = [old for old in stored if (old.of, old.segment) not in now]
    return sorted([*kept, *now.values()], key=lambda one: (one.of, one.segment or ""))


def by_period(windows: Sequence[DriftWindow]) -> Mapping[str, list[DriftWindow]]:
    """Windows by their period, in the order of the periods."""
    found: dict[str, list[DriftWindow]] = {}
    for one in sorted(windows, key=lambda one: one.window):
        found.setdefault(one.window, []).append(one)
    return found


def _failed_in_words(of: str, broken: Sequence[Compared]) -> str:
    listed = ", ".join(f"{one.window}{f' {one.segment}' if one.segment else ''} ({one.failed})" for one in broken)
    whose = "customers at risk" if of == "snapshot" else "served requests"
    return (
        f"drift of the {whose} could not be judged, as the comparison failed: {listed}; expected a verdict. The log of the run of drift_history says "
        "where; report it, and materialize drift_history again"
    )
