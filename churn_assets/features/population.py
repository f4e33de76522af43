"""The population: who can churn at a snapshot, as known at the snapshot.

Belongs here: the definition of being at risk. Does not belong here: what is known of these customers (``snapshot``) and what they
did afterwards (``labels``).
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import narwhals as nw

from churn_assets.features.feature import Aggregates, count
from churn_assets.settings.at_risk import AtRisk
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table


def known_before(rows: nw.LazyFrame[Any], snapshot_s: int) -> nw.LazyFrame[Any]:
    """Rows that had happened and were known before the snapshot, with ``age_s``: the seconds from row to snapshot."""
    return rows.filter(nw.col("occurred_s") < snapshot_s, nw.col("known_s") < snapshot_s).with_columns(
        age_s=snapshot_s - nw.col("occurred_s")
    )


def newest_versions(known: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """The newest known version of each customer's record; one row a customer.

    The newest version is the one that became true last; of versions that became true together, the one that became known last.
    Rows that agree in both times repeat or contradict each other: then the greatest value of each column counts, on every engine.
    """
    newest = known
    for time in ("occurred_s", "known_s"):
        last = newest.group_by("customer_id").agg(nw.col(time).max().alias(f"newest_{time}"))
        newest = newest.join(last, on="customer_id", how="inner").filter(nw.col(time) == nw.col(f"newest_{time}"))
    columns = [name for name in newest.collect_schema().names() if name != "customer_id"]
    return newest.group_by("customer_id").agg(*(nw.col(name).max() for name in columns))


def records_at(newest: nw.LazyFrame[Any], snapshot_s: int) -> nw.LazyFrame[Any]:
    """The newest versions, with ``signed_up_age_s``."""
    return newest.with_columns(signed_up_age_s=snapshot_s - nw.col("signed_up_s"))


def signs(table: Table, rule: AtRisk) -> Aggregates:
    """The aggregates of a table that say who is at risk, computed with those of the features so that rows are read once."""
    if table == "events":
        ended = {"endings": count(is_any_of("event_type", rule.endings))} if rule.endings else {}
        return {"newest_event_age_s": nw.col("age_s").min(), **ended}
    if table == "payments":
        return {"newest_settled_age_s": nw.when(nw.col("status") == "settled").then(nw.col("age_s")).min()}
    return {}


def is_any_of(column: str, words: Sequence[str]) -> nw.Expr:
    """Whether a column of texts holds one of some words, of which there is at least one."""
    return reduce(or_, (nw.col(column) == word for word in words))


def at_risk(people: nw.LazyFrame[Any], rule: AtRisk) -> nw.LazyFrame[Any]:
    """The customers who can churn.

    Args:
        people: customers, one row each: the record from ``records_at``, and the ``signs`` of the tables that the company has, which
            are null for a customer without rows.
        rule: definition of who is at risk.

    Returns:
        Rows of ``people`` that satisfy the rule.
    """
    columns = people.collect_schema().names()
    newest = [nw.col(name) for name in ("newest_event_age_s", "newest_settled_age_s") if name in columns]
    active = people.filter(
        nw.col("signed_up_age_s") >= rule.signed_up_days * DAY_S,
        nw.min_horizontal(*newest) <= rule.active_days * DAY_S,
    )
    return active.filter(nw.col("endings").fill_null(0) == 0) if "endings" in columns else active
