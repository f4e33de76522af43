"""The one partitions definition: periods of the configured cadence, by the day on which they begin.

The current period is a key as well, since the snapshot at its first day is already due. Dagster, which counts by the wall clock,
does not decide which keys are due; ``churn_assets.automation.due`` does, by the platform's clock.
"""

import dagster as dg

from churn_assets.periods import Calendar


def partitions_of(timeline: Calendar | None) -> dg.TimeWindowPartitionsDefinition | None:
    """The periods of a history; `None` where the data has no time."""
    if timeline is None:
        return None
    first = timeline.first.isoformat()
    if timeline.cadence == "monthly":
        return dg.MonthlyPartitionsDefinition(start_date=first, end_offset=1)
    if timeline.cadence == "weekly":
        return dg.WeeklyPartitionsDefinition(start_date=first, day_offset=1, end_offset=1)
    return dg.DailyPartitionsDefinition(start_date=first, end_offset=1)
