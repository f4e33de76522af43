"""The population: who can churn at a snapshot, as known at the snapshot.

Belongs here: the rule of being at risk. Does not belong here: what is known of those people (``snapshot``) and what they did
afterwards (``labels``).
"""

from typing import Any

import narwhals as nw

from churn_assets.periods import DAY_S
from churn_assets.settings import AtRisk


def known_before(rows: nw.LazyFrame[Any], snapshot_s: int) -> nw.LazyFrame[Any]:
    """Rows that had happened and were known before the snapshot, with ``age_s``: how long before it they happened."""
    return rows.filter(nw.col("occurred_s") < snapshot_s, nw.col("known_s") < snapshot_s).with_columns(
        age_s=snapshot_s - nw.col("occurred_s")
    )


def current_records(customers: nw.LazyFrame[Any], snapshot_s: int) -> nw.LazyFrame[Any]:
    """The newest version of each customer's record as known at the snapshot, one row a customer, with ``signed_up_age_s``.

    Newest is what became true last; of versions that became true together, the one that became known last. Rows that agree in
    both are repetitions, or contradict each other: then the greatest value of each column counts, on every engine.
    """
    newest = known_before(customers, snapshot_s)
    for time in ("occurred_s", "known_s"):
        last = newest.group_by("customer_id").agg(nw.col(time).max().alias(f"newest_{time}"))
        newest = newest.join(last, on="customer_id", how="inner").filter(nw.col(time) == nw.col(f"newest_{time}"))
    columns = [name for name in newest.collect_schema().names() if name != "customer_id"]
    return (
        newest.group_by("customer_id")
        .agg(*(nw.col(name).max() for name in columns))
        .with_columns(signed_up_age_s=snapshot_s - nw.col("signed_up_s"))
    )


def at_risk(
    records: nw.LazyFrame[Any], events: nw.LazyFrame[Any] | None, payments: nw.LazyFrame[Any] | None, rule: AtRisk
) -> nw.LazyFrame[Any]:
    """The records of customers who can churn.

    Args:
        records: ``current_records``, one row a customer.
        events: events known before the snapshot, with ``age_s``; none where the company has no such table.
        payments: payments known before the snapshot, with ``age_s``.
        rule: the definition of risk.

    Returns:
        Those rows of ``records`` that satisfy the rule.
    """
    found = records.filter(nw.col("signed_up_age_s") >= rule.signed_up_days * DAY_S)
    recent = nw.col("age_s") <= rule.active_days * DAY_S
    active = []
    if events is not None:
        active.append(events.filter(recent).select("customer_id"))
        if rule.cancelled_event is not None:
            gone = events.filter(nw.col("event_type") == rule.cancelled_event).select("customer_id").unique()
            found = found.join(gone, on="customer_id", how="anti")
    if payments is not None:
        active.append(payments.filter(recent, nw.col("status") == "settled").select("customer_id"))
    return found.join(nw.concat(active).unique(), on="customer_id", how="semi")
