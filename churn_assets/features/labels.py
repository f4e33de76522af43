"""Labels: who, of the customers at risk at a snapshot, left within the horizon.

Belongs here: the definition of churn, and when a customer left. Does not belong here: who is at risk (``population``), when labels are mature
(``settings.company``), and anything that looks before the snapshot except to find those who had already gone.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.population import is_any_of
from churn_assets.periods import epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.label import Label, matures_on
from churn_store.errors import InputError


def require_mature(snapshot: date, label: Label, *, as_of: date) -> date:
    """The day on which the snapshot's labels matured.

    Raises:
        InputError: if that day has not come; until then the labels do not exist.
    """
    matured = matures_on(snapshot, label)
    if matured > as_of:
        raise InputError(
            f"the labels of {snapshot} do not exist before {matured}, when every outcome of its {label.horizon_days} days is "
            f"known; it is {as_of}. Ask for an earlier snapshot"
        )
    return matured


@dataclass(frozen=True)
class Labelled:
    """The labels of a snapshot.

    Attributes:
        labels: ``customer_id``, ``snapshot_s``, ``churned``; sorted by customer.
        left_before: number of customers at risk who, as became known only later, had left before the snapshot; they have no label.
    """

    labels: pl.DataFrame
    left_before: int


def churn_labels(
    at_risk: pl.DataFrame,
    events: nw.LazyFrame[Any] | None,
    payments: nw.LazyFrame[Any] | None,
    *,
    snapshot: date,
    label: Label,
    rule: AtRisk,
    known_until: date | None = None,
) -> Labelled:
    """Label each customer at risk by what happened in ``[snapshot, snapshot + horizon)``.

    Args:
        at_risk: customers at risk, one row each: ``customer_id``.
        events: events that arrived from the snapshot on; `None` where the company has no such table.
        payments: payments that arrived from the snapshot on; `None` where the company has no such table.
        snapshot: day T of the snapshot.
        label: definition of churn.
        rule: definition of who is at risk, with the types of events that end a customer.
        known_until: day before which a row must have become known to count; default: the day of maturity. A later day restates
            the labels.
    """
    start_s, end_s = epoch_s(snapshot), epoch_s(snapshot + label.horizon)
    known_s = epoch_s(known_until or matures_on(snapshot, label))
    inside = (nw.col("occurred_s") >= start_s, nw.col("occurred_s") < end_s, nw.col("known_s") < known_s)
    if label.kind == "event":
        if events is None:
            raise ValueError(f"label {', '.join(label.event)} needs a table `events`")
        left = _ids(events.filter(*inside, is_any_of("event_type", label.event)))
    else:
        active = [] if events is None else [_ids(events.filter(*inside))]
        if payments is not None:
            active.append(_ids(payments.filter(*inside, nw.col("status") == "settled")))
        left = at_risk.select("customer_id").join(pl.concat(active), on="customer_id", how="anti")
    gone = (
        _ids(
            events.filter(
                is_any_of("event_type", rule.endings),
                nw.col("occurred_s") < start_s,
                nw.col("known_s") < known_s,
            )
        )
        if events is not None and rule.endings
        else pl.DataFrame(schema={"customer_id": pl.String})
    )
    judged = at_risk.select("customer_id").join(gone, on="customer_id", how="anti")
    labels = judged.select(
        "customer_id",
        pl.lit(start_s, dtype=pl.Int64).alias("snapshot_s"),
        pl.col("customer_id").is_in(left["customer_id"].implode()).alias("churned"),
    ).sort("customer_id")
    return Labelled(labels, left_before=at_risk.height - judged.height)


def left_at(events: nw.LazyFrame[Any], *, snapshot: date, label: Label, known_until: date) -> pl.DataFrame:
    """When each customer left who did so in ``[snapshot, snapshot + horizon)`` by an event that is churn.

    Args:
        events: events that arrived from the snapshot on.
        snapshot: day T of the snapshot.
        label: definition of churn, of kind ``event``: inactivity has no such moment.
        known_until: day before which a row must have become known to count, as in ``churn_labels``.

    Returns:
        ``customer_id`` and ``left_s``, the earliest such event in epoch seconds; one row a customer.
    """
    start_s, end_s = epoch_s(snapshot), epoch_s(snapshot + label.horizon)
    inside = (nw.col("occurred_s") >= start_s, nw.col("occurred_s") < end_s, nw.col("known_s") < epoch_s(known_until))
    left: pl.DataFrame = (
        events.filter(*inside, is_any_of("event_type", label.event))
        .group_by("customer_id")
        .agg(nw.col("occurred_s").min().alias("left_s"))
        .collect(backend="polars")
        .to_native()
    )
    return left


def _ids(rows: nw.LazyFrame[Any]) -> pl.DataFrame:
    ids: pl.DataFrame = rows.select("customer_id").unique().collect(backend="polars").to_native()
    return ids
