"""A row's place among its customer's other rows, so that different days and types are counted as rows are.

Belongs here: which of several rows stands for a type, a day or a week, in expressions for any engine. Does not belong here: a
faster way to the same answer (``features.engines.event_order``), and what is counted (``catalogue_events``).
"""

from typing import Any

import narwhals as nw

from churn_store.clock import DAY_S

STRETCHES_DAYS = {"newest_of_day": 1, "newest_of_week": 7}
"""Days before the snapshot that a stretch has; the first ends with the snapshot."""

PLACES = ("newest_of_kind", *STRETCHES_DAYS)
"""Of the rows of one customer and type exactly one is ``newest_of_kind``; of those of one such day or week exactly one is its newest."""


def with_recency_flags(events: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Events with a truth value for each of ``PLACES``.

    Args:
        events: known at the snapshot: ``customer_id``, ``event_type``, ``age_s``.
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
    # Of rows of the same second any may stand for the others: nothing but type and time is asked of it.
    return nw.col("age_s").rank("ordinal").over(*among) == 1
