"""The partitions of the tables: periods of the configured cadence, of each table those that can exist.

A raw period exists once it has ended, a snapshot from its first day on, its labels once every outcome can be known. Where the
platform's clock is fixed, the last period follows the clock, and not the wall clock by which Dagster counts: otherwise each period from
then to now would be called missing. Which keys are due is not decided here (``churn_assets.automation.due``).
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, Self

import dagster as dg

from churn_assets.orchestration.dagster_internals import TimestampWithTimezone
from churn_assets.periods import Cadence, Calendar
from churn_store.clock import Clock

SCHEDULES: dict[Cadence, str] = {"monthly": "0 0 1 * *", "weekly": "0 0 * * 1", "daily": "0 0 * * *"}
"""When a period begins."""

LONGEST: dict[Cadence, timedelta] = {
    "monthly": timedelta(days=31),
    "weekly": timedelta(days=7),
    "daily": timedelta(days=1),
}

Kind = Literal["raw", "snapshots", "labels"]


class ClockPartitions(dg.TimeWindowPartitionsDefinition):
    """Periods up to the last that can exist by a clock, which is asked each time: it may be moved under a running daemon.

    Dagster's web server keeps what it was told when the definitions were loaded. Where the clock is not fixed, it is told an offset and
    counts on by itself.
    """

    def __new__(cls, calendar: Calendar, clock: Clock | None, *, first: date, kind: Kind, known_after: timedelta) -> Self:
        """The periods of a kind of table; ``partitions_of`` describes the arguments."""
        made: Self = super().__new__(
            cls,
            start=first.isoformat(),
            fmt="%Y-%m-%d",
            cron_schedule=SCHEDULES[calendar.cadence],
            end_offset=0 if kind == "raw" else 1 - known_after // LONGEST[calendar.cadence],
        )
        for name, value in {"_calendar": calendar, "_clock": clock, "_kind": kind, "_known_after": known_after}.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def end_ts(self) -> TimestampWithTimezone | None:  # type: ignore[override]
        """The end of the last period, where the clock is fixed."""
        known: Any = self
        clock: Clock | None = known._clock
        if clock is None or not clock.is_fixed:
            return None
        calendar: Calendar = known._calendar
        today = calendar.floor(clock.now().date() - known._known_after)
        end = today if known._kind == "raw" else calendar.next(today)
        return TimestampWithTimezone(datetime.combine(end, time(), tzinfo=UTC).timestamp(), "UTC")


def partitions_of(
    timeline: Calendar | None,
    clock: Clock | None = None,
    *,
    first: date | None = None,
    kind: Kind = "raw",
    known_after: timedelta = timedelta(0),
) -> dg.TimeWindowPartitionsDefinition | None:
    """The periods of a kind of table; `None` where the data has no time.

    Args:
        timeline: calendar of a history.
        clock: the platform's clock; None for the wall clock.
        first: a day that no period begins before; default: that of the data.
        kind: what a period holds.
        known_after: time from the first day of a period to the day on which it can be made.
    """
    if timeline is None:
        return None
    start = timeline.first if first is None else max(timeline.first, timeline.ceil(first))
    return ClockPartitions(timeline, clock, first=start, kind=kind, known_after=known_after)
