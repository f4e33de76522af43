"""The one partitions definition: periods of the configured cadence, by the day on which they begin.

The current period is a key as well, since the snapshot at its first day is already due. Which keys are due is not for Dagster
to say: it counts by the wall clock; ``churn_assets.automation.due`` asks ours.
"""

import dagster as dg

from churn_assets.settings.company import Settings


def partitions_of(settings: Settings) -> dg.TimeWindowPartitionsDefinition | None:
    """The periods of a history; none where data has no time."""
    if not settings.has_time:
        return None
    first = settings.calendar.first.isoformat()
    if settings.cadence == "monthly":
        return dg.MonthlyPartitionsDefinition(start_date=first, end_offset=1)
    if settings.cadence == "weekly":
        return dg.WeeklyPartitionsDefinition(start_date=first, day_offset=1, end_offset=1)
    return dg.DailyPartitionsDefinition(start_date=first, end_offset=1)
