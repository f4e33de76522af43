"""The number of customers at risk at a snapshot and their churn rate, straight from the rows of a source.

The graph's own functions decide who is at risk and who left; no features are computed.
"""

from collections.abc import Mapping
from datetime import date

import narwhals as nw
import polars as pl

from churn_assets.features.churn_kinds import kind_counts, kinds_since, with_kinds
from churn_assets.features.labels import churn_labels
from churn_assets.features.snapshot import features_at
from churn_assets.periods import ALL, Calendar, epoch_s
from churn_assets.preflight.report import SnapshotRate
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.settings.label import Label, matures_on
from churn_assets.tables import LABEL, PAYMENT_FAILURE
from churn_store.mapping.labels import LabelCounts
from churn_store.mapping.tables import Table

SNAPSHOTS = 12
"""The number of newest mature snapshots that are examined."""


def mature_snapshots(calendar: Calendar, label: Label, as_of: date, *, first: date) -> list[date]:
    """All snapshots from ``first`` on whose labels are mature, in the order of time."""
    come = calendar.keys(as_of, first=first)
    return [snapshot for snapshot in come if matures_on(snapshot, label) <= as_of]


def rate_at(tables: Mapping[Table, pl.DataFrame], snapshot: date, *, at_risk: AtRisk, label: Label) -> SnapshotRate:
    """The number of customers at risk at a snapshot, and the share of those with a label who churned.

    Args:
        tables: rows that keep their contracts, by table.
        snapshot: T, whose labels are mature.
        at_risk: definition of who can churn.
        label: definition of churn.
    """
    start_s = epoch_s(snapshot)
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    ids = features_at(lazy, (), start_s, at_risk, EventRoles()).select("customer_id")
    if ids.height == 0:
        return SnapshotRate(snapshot.isoformat(), 0, None)

    def arrived(table: Table, since_s: int = start_s) -> nw.LazyFrame[pl.LazyFrame] | None:
        return nw.from_native(lazy[table].filter(pl.col("known_s") >= since_s)) if table in lazy else None

    # Rows known before T decided who is at risk; only rows that became known later can say who left.
    labels = churn_labels(ids, arrived("events"), arrived("payments"), snapshot=snapshot, label=label, rule=at_risk).labels
    by_failure = None
    if label.kinds is not None:
        since_s = epoch_s(kinds_since(snapshot, label.kinds))
        told = (arrived("events", since_s), arrived("payments", since_s))
        by_failure = kind_counts(with_kinds(labels, *told, snapshot=snapshot, label=label, kinds=label.kinds))[
            PAYMENT_FAILURE
        ]
    return SnapshotRate(snapshot.isoformat(), ids.height, share_of_churn(labels), by_payment_failure=by_failure)


def share_of_churn(labels: pl.DataFrame) -> float | None:
    """The share of labelled customers who churned; `None` without any."""
    return None if labels.height == 0 else int(labels["churned"].sum()) / labels.height


def rate_of_table(customers: pl.DataFrame) -> SnapshotRate:
    """The number of customers at risk, and the churn rate of those with a label, for data without time."""
    counts = LabelCounts.of(customers[LABEL])
    return SnapshotRate(ALL, counts.at_risk, share_of_churn(customers.drop_nulls(LABEL)), counts.labelled)
