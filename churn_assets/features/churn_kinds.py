"""Kinds of churn: by payment failure, which the field calls involuntary churn, or by the customer's own will.

Belongs here: the kind of a customer who is labelled as churned. Does not belong here: who churned (``labels``), and what a model is worth
on each kind (``evaluation.kinds``).
"""

from datetime import date, timedelta
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.population import is_any_of
from churn_assets.periods import epoch_s
from churn_assets.settings.churn_kinds import ChurnKinds
from churn_assets.settings.label import Label, matures_on
from churn_assets.tables import KIND, PAYMENT_FAILURE, VOLUNTARY
from churn_store.clock import DAY_S

ENDS_S = "ends_s"
"""The column with the last second that counts for a customer."""


def kinds_since(snapshot: date, kinds: ChurnKinds) -> date:
    """The first day whose payments and events can tell the kind of a label of the snapshot."""
    return snapshot - timedelta(days=kinds.failed_days)


def with_kinds(
    labels: pl.DataFrame,
    events: nw.LazyFrame[Any] | None,
    payments: nw.LazyFrame[Any] | None,
    *,
    snapshot: date,
    label: Label,
    kinds: ChurnKinds,
    known_until: date | None = None,
) -> pl.DataFrame:
    """Labels with the kind of each churn.

    A customer churned by payment failure if the newest payment that settled or failed is a failed one, or if an event of
    ``label.kinds.events`` says so. Both are looked for in the ``failed_days`` before the end. The end is the event by which the
    customer left; with ``label.kind: inactivity``, which has no such moment, it is the whole window of the label.

    Args:
        labels: ``customer_id``, ``snapshot_s``, ``churned``.
        events: events that arrived from ``kinds_since`` on; `None` where the company has no such table.
        payments: payments that arrived from ``kinds_since`` on; `None` where the company has no such table.
        snapshot: day T of the snapshot.
        label: definition of churn.
        kinds: definition of churn by payment failure.
        known_until: day before which a row must have become known to count; default: the day of maturity.

    Returns:
        The labels with ``KIND``: null for who stayed.
    """
    start_s, end_s = epoch_s(snapshot), epoch_s(snapshot + label.horizon)
    look_back_s = kinds.failed_days * DAY_S
    counts = (
        nw.col("occurred_s") >= start_s - look_back_s,
        nw.col("occurred_s") < end_s,
        nw.col("known_s") < epoch_s(known_until or matures_on(snapshot, label)),
    )
    churners = labels.filter("churned").select("customer_id")
    if label.kind == "event" and events is not None:
        leaving = (*counts, nw.col("occurred_s") >= start_s, is_any_of("event_type", label.event))
        ends = _rows(events, "event_type", *leaving).group_by("customer_id").agg(pl.col("occurred_s").min().alias(ENDS_S))
        churners = churners.join(ends, on="customer_id", how="left").with_columns(since_s=pl.col(ENDS_S) - look_back_s)
    else:
        churners = churners.with_columns(
            pl.lit(end_s - 1, dtype=pl.Int64).alias(ENDS_S), since_s=pl.lit(start_s - look_back_s, dtype=pl.Int64)
        )
    failed = [pl.Series("customer_id", [], dtype=pl.String)]
    if payments is not None:
        tried = _rows(payments, "status", *counts, is_any_of("status", ("settled", "failed")))
        before = tried.join(churners, on="customer_id").filter(_near_the_end())
        newest = before.filter(pl.col("occurred_s") == pl.col("occurred_s").max().over("customer_id"))
        failed.append(_without(newest.filter(status="failed"), newest.filter(status="settled")))
    if events is not None and kinds.events:
        told = _rows(events, "event_type", *counts, is_any_of("event_type", kinds.events))
        failed.append(told.join(churners, on="customer_id").filter(_near_the_end())["customer_id"])
    by_failure = pl.col("customer_id").is_in(pl.concat(failed).implode())
    kind = pl.when(by_failure).then(pl.lit(PAYMENT_FAILURE)).otherwise(pl.lit(VOLUNTARY))
    return labels.with_columns(pl.when("churned").then(kind).alias(KIND))


def kind_counts(labels: pl.DataFrame) -> dict[str, int]:
    """The number of churned customers of each kind."""
    return {kind: labels.filter(pl.col(KIND) == kind).height for kind in (PAYMENT_FAILURE, VOLUNTARY)}


def _near_the_end() -> pl.Expr:
    return pl.col("occurred_s").is_between("since_s", ENDS_S)


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.Series:
    """The customers of some rows who have none of the others."""
    return rows.join(others, on="customer_id", how="anti")["customer_id"]


def _rows(table: nw.LazyFrame[Any], column: str, *conditions: nw.Expr) -> pl.DataFrame:
    rows: pl.DataFrame = (
        table.filter(*conditions).select("customer_id", "occurred_s", column).collect(backend="polars").to_native()
    )
    return rows
