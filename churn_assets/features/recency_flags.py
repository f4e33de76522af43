"""Gives each event its role, and flags the newest event per customer and type, and per customer, role and day or week.

With these flags distinct days and types are plain row counts. Belongs here: role and flags as expressions for any engine. Does not
belong here: a faster way to the same (``features.engines.event_order``), and what is counted (``catalogue_events``).
"""

from typing import Any

import narwhals as nw

from churn_assets.features.population import is_any_of
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S

STRETCHES_DAYS = {"newest_of_day": 1, "newest_of_week": 7}
"""The flags by stretch of time, with its length in days. Stretches are counted back from the snapshot."""

PLACES = ("newest_of_kind", *STRETCHES_DAYS)
"""The names of the flags. Exactly one row per customer and type is ``newest_of_kind``, and one per customer, role and day (or week) is
its newest; events without a role are taken by type there."""

NO_ROLE = ""
"""The role of events whose type has none."""


def with_recency_flags(events: nw.LazyFrame[Any], roles: EventRoles) -> nw.LazyFrame[Any]:
    """Events with their ``role`` and a truth value for each of ``PLACES``.

    Args:
        events: events known at the snapshot: ``customer_id``, ``event_type``, ``age_s``.
        roles: what the types of events mean.
    """
    with_role = events.with_columns(role=_role(roles)).with_columns(
        type_without_role=nw.when(nw.col("role") == NO_ROLE)
        .then(nw.col("event_type").cast(nw.String))
        .otherwise(nw.lit(""))
    )
    stretches = with_role.with_columns(_ends(days).alias(name) for name, days in STRETCHES_DAYS.items())
    flagged = stretches.with_columns(
        _is_newest("customer_id", "event_type").alias("newest_of_kind"),
        *(_is_newest("customer_id", "role", "type_without_role", name).alias(name) for name in STRETCHES_DAYS),
    )
    return flagged.drop("type_without_role")


def _role(roles: EventRoles) -> nw.Expr:
    role = nw.lit(NO_ROLE)
    for name, words in roles.counted.items():
        if words:
            role = nw.when(is_any_of("event_type", words)).then(nw.lit(name)).otherwise(role)
    return role


def _ends(days: int) -> nw.Expr:
    return (nw.col("age_s") - 1) // (days * DAY_S)


def _is_newest(*among: str) -> nw.Expr:
    # Among rows of the same second any one will do: only role, type and time of the flagged row are used.
    return nw.col("age_s").rank("ordinal").over(*among) == 1
