"""Which arrivals a snapshot needs: so that a new period costs a period, and leaving anything else out changes nothing.

Belongs here: how far back each raw table is read. Does not belong here: what is made of the rows (``snapshot``).
"""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from churn_assets.features.catalogue import Feature, longest_window_days
from churn_assets.periods import Calendar, text
from churn_assets.raw.source import Table
from churn_assets.resources.lake import PERIOD
from churn_assets.settings import AtRisk


def reach_days(table: Table, features: Sequence[Feature], rule: AtRisk) -> int | None:
    """How far back a snapshot reads a table, in days; none for all of it: any version may be a customer's newest."""
    return None if table == "customers" else max(longest_window_days(features, table), rule.active_days)


def reads_all(table: Table, rule: AtRisk) -> bool:
    """Whether some row of any age matters: a version of a record, or the event that ended a customer for ever."""
    return table == "customers" or (table == "events" and rule.cancelled_event is not None)


def needed(
    table: Table, rows: pl.LazyFrame, snapshot: date, features: Sequence[Feature], rule: AtRisk, calendar: Calendar
) -> pl.LazyFrame:
    """The rows of a table of the lake that a snapshot reads, without the column ``period``.

    Args:
        table: which.
        rows: the table, by period of arrival; no row arrived before it happened.
        snapshot: T, the first day of a period.
        features: that are made of it.
        rule: who is at risk.
        calendar: the periods.
    """
    arrived = rows.filter(pl.col(PERIOD) < text(snapshot))
    days = reach_days(table, features, rule)
    if days is not None:
        wanted = pl.col(PERIOD) >= text(calendar.floor(snapshot - timedelta(days=days)))
        if reads_all(table, rule):
            wanted |= pl.col("event_type") == rule.cancelled_event
        arrived = arrived.filter(wanted)
    return arrived.drop(PERIOD)
