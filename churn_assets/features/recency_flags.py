"""Flags the newest event per customer and type, day and week, so that distinct days and types are plain row counts.

Belongs here: the flags as expressions for any engine. Does not belong here: a faster way to the same flags
(``features.engines.event_order``), and what is counted (``catalogue_events``).
"""

from typing import Any

import narwhals as nw

from churn_store.clock import DAY_S

STRETCHES_DAYS = {"newest_of_day": 1, "newest_of_week": 7}
"""The flags by stretch of time, with its length in days. Stretches are counted back from the snapshot."""

PLACES = ("newest_of_kind", *STRETCHES_DAYS)
"""The names of the flags. Exactly one row per customer and type is ``newest_of_kind``, and one per customer, type and day (or week) is
its newest."""


def with_recency_flags(events: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Events with a truth value for each of ``PLACES``.

    Args:
        events: events known at the snapshot: ``customer_id``, ``event_type``, ``age_s``.
    """
    of_kind = ("customer_id", "event_type")
    stretches = events.with_columns(_ends(days).alias(name) for name, days in STRETCHES_DAYS.items())
    return stretches.with_columns(
        _is_newest(*of_kind).alias("newest_of_kind"),
        *(_is_newest(*of_kind, name).alias(name) for name in STRETCHES_DAYS),
    )


def _ends(days: int) -> nw.Expr:
    return (nw.col("age_s") - 1) // (days * DAY_S)


def _is_newest(*among: str) -> nw.Expr:
    # Among rows of the same second any one will do: only type and time of the flagged row are used.
    return nw.col("age_s").rank("ordinal").over(*among) == 1
