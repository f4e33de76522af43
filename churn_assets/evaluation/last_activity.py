"""The time since each customer's newest event or payment of any kind, from the raw tables.

Belongs here: the input of the recency rule (``baselines``). It is no feature: it depends neither on the roles of events nor on the choice
of features, and neither a table of the lake nor a release has to hold it.
"""

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from churn_assets.evaluation.baselines import LAST_SEEN
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar, day_of, text
from churn_assets.settings.at_risk import AtRisk
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

ACTIVITY: tuple[Table, ...] = ("events", "payments")


def with_last_activity(
    lake: Lake, rows: pl.DataFrame, *, tables: Collection[Table], calendar: Calendar | None, rule: AtRisk
) -> pl.DataFrame:
    """Rows with ``LAST_SEEN``, the days since the customer's newest event or payment.

    Args:
        lake: lake with the raw tables.
        rows: rows of customers at risk with ``customer_id`` and ``snapshot_s``.
        tables: raw tables of the company.
        calendar: calendar of the periods in which rows arrived; `None` if the data has no time, and nothing is added.
        rule: definition of who is at risk; everyone was seen within its ``active_days``, so older rows are not read.

    Returns:
        The rows in their order. Only events and payments that had happened and were known before the snapshot count.
    """
    if calendar is None:
        return rows
    newest = [_newest(lake, second, tables, calendar, rule) for second in rows["snapshot_s"].unique().sort()]
    key = ["customer_id", "snapshot_s"]
    days = ((pl.col("snapshot_s") - pl.col("newest_s")) / DAY_S).alias(LAST_SEEN)
    joined = rows.join(pl.concat(newest), on=key, how="left", maintain_order="left")
    return joined.with_columns(days).drop("newest_s")


def _newest(lake: Lake, snapshot_s: int, tables: Collection[Table], calendar: Calendar, rule: AtRisk) -> pl.DataFrame:
    day = day_of(snapshot_s)
    since, until = text(calendar.floor(day - timedelta(days=rule.active_days))), text(day)
    known = (
        pl.col(PERIOD).is_between(pl.lit(since), pl.lit(until), closed="left"),
        pl.col("occurred_s") < snapshot_s,
        pl.col("known_s") < snapshot_s,
    )
    last = pl.col("occurred_s").max().alias("newest_s")
    rows = [
        lake.collect(table, lake.scan(table).filter(*known).group_by("customer_id").agg(last), engine="streaming")
        for table in ACTIVITY
        if table in tables
    ]
    newest = pl.concat(rows).group_by("customer_id").agg(pl.col("newest_s").max())
    return newest.with_columns(snapshot_s=pl.lit(snapshot_s, dtype=pl.Int64))
