"""When each customer was last seen before a snapshot: the newest event or payment of any kind, straight from the raw tables.

Belongs here: what the recency rule (``baselines``) goes by. It is read anew, and is no feature: it depends on no role of events and
on no choice of features, and no table of the lake and no release has to hold it.
"""

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from churn_assets.evaluation.baselines import LAST_SEEN
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar, day_of, text
from churn_assets.settings.company import AtRisk
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

ACTIVITY: tuple[Table, ...] = ("events", "payments")


def with_last_activity(
    lake: Lake, rows: pl.DataFrame, *, tables: Collection[Table], calendar: Calendar | None, rule: AtRisk
) -> pl.DataFrame:
    """Rows with ``LAST_SEEN``, the days since the customer's newest event or payment.

    Args:
        lake: lake with the raw tables.
        rows: customers at risk: ``customer_id``, ``snapshot_s``.
        tables: raw tables of the company.
        calendar: calendar of the periods in which rows arrived; `None` where the data has no time, and then nothing is added.
        rule: definition of who is at risk: everyone was seen within so many days, so no older row is read.

    Returns:
        The rows in their order. Only what had happened and was known before the snapshot counts.
    """
    if calendar is None:
        return rows
    seen = [_newest(lake, second, tables, calendar, rule) for second in rows["snapshot_s"].unique().sort()]
    key = ["customer_id", "snapshot_s"]
    days = ((pl.col("snapshot_s") - pl.col("newest_s")) / DAY_S).alias(LAST_SEEN)
    joined = rows.join(pl.concat(seen), on=key, how="left", maintain_order="left")
    return joined.with_columns(days).drop("newest_s")


def _newest(lake: Lake, snapshot_s: int, tables: Collection[Table], calendar: Calendar, rule: AtRisk) -> pl.DataFrame:
    day = day_of(snapshot_s)
    since, until = text(calendar.floor(day - timedelta(days=rule.active_days))), text(day)
    known = (
        pl.col(PERIOD).is_between(pl.lit(since), pl.lit(until), closed="left"),
        pl.col("occurred_s") < snapshot_s,
        pl.col("known_s") < snapshot_s,
    )
    rows = [lake.scan(table).filter(*known).select("customer_id", "occurred_s") for table in ACTIVITY if table in tables]
    newest = pl.concat(rows).group_by("customer_id").agg(newest_s=pl.col("occurred_s").max())
    return newest.with_columns(snapshot_s=pl.lit(snapshot_s, dtype=pl.Int64)).collect(engine="streaming")
