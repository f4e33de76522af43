"""What became of the customers who were predicted: posted outcomes before the labels of the lake, as in the results of experiments.

A posted outcome counts in its newest version, and wins over the label for the same customer and snapshot. Outcomes of customers who were not
at risk, and those from the future, are counted and never used. Who had left before the first prediction was not predicted.

Belongs here: the join. Does not belong here: what was served (``served``), and what a posted outcome says of a window
(``churn_store.experiments.windows``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl
import sqlalchemy as sa

from churn_assets.performance.served import AT_ONCE, Served
from churn_store.database.schema import outcomes
from churn_store.experiments.windows import Said, Window, fate_in
from churn_store.outcomes.log import latest_s
from churn_store.outcomes.published_labels import Label


@dataclass(frozen=True)
class Evidence:
    """Predictions with outcomes.

    Attributes:
        rows: ``served.SCHEMA`` with ``churned``.
        counts: predictions and outcomes by what became of them.
        notes: what has to be known of them, in sentences.
    """

    rows: pl.DataFrame
    counts: dict[str, int]
    notes: list[str]


def posted(engine: sa.Engine, *, snapshot_s: int) -> dict[str, list[Said]]:
    """The versions of the posted outcomes of a snapshot by customer, the oldest first.

    Raises:
        SQLAlchemyError: if the database does not answer.
    """
    columns = outcomes.c
    asked = (
        sa.select(columns.customer_id, columns.churned, columns.occurred_s, columns.received_s)
        .where(columns.snapshot_s == snapshot_s)
        .order_by(columns.customer_id, columns.version)
    )
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=AT_ONCE).execute(asked)
        return {
            customer_id: [Said(bool(row.churned), row.occurred_s, row.received_s) for row in versions]
            for customer_id, versions in groupby(rows, key=lambda row: str(row.customer_id))
        }


def join(
    served: Served, labels: Mapping[str, Label], said: Mapping[str, Sequence[Said]], *, closes_s: int, now_s: float
) -> Evidence:
    """Give each prediction its outcome.

    Args:
        served: the predictions.
        labels: labels of the lake of all who were predicted or posted.
        said: posted outcomes.
        closes_s: end of the window, in epoch seconds.
        now_s: time by the platform's clock.
    """
    future = {customer_id for customer_id, versions in said.items() if any(_is_future(one, now_s) for one in versions)}
    unknown = set(said) - set(labels)
    usable = {
        customer_id: [one for one in versions if not _is_future(one, now_s)]
        for customer_id, versions in said.items()
        if customer_id not in unknown
    }
    churned: list[bool | None] = []
    seen: dict[str, set[str]] = {}
    for customer_id, first_s in served.rows.select("customer_id", "first_s").iter_rows():
        state, left = _outcome(customer_id, first_s, labels, usable.get(customer_id, ()), closes_s)
        seen.setdefault(state, set()).add(customer_id)
        if state == "posted" and customer_id in labels and labels[customer_id].churned != left:
            seen.setdefault("differing", set()).add(customer_id)
        churned.append(left)
    rows = served.rows.with_columns(churned=pl.Series(churned, dtype=pl.Boolean)).drop_nulls("churned")
    disagreeing = {customer_id for customer_id, versions in usable.items() if len({one.churned for one in versions}) > 1}
    counts = {
        **served.counts,
        "labelled": len(seen.get("labelled", ())),
        "posted": len(seen.get("posted", ())),
        "gone_before": len(seen.get("gone", ())),
        "without_outcome": len(seen.get("unknown", ())),
        "posted_unlike_label": len(seen.get("differing", ())),
        "posted_versions_disagree": len(disagreeing),
        "posted_of_unknown_customers": len(unknown),
        "posted_from_the_future": len(future),
    }
    return Evidence(rows, counts, list(_notes(counts)))


def _is_future(said: Said, now_s: float) -> bool:
    return max(said.received_s, said.occurred_s or 0) > now_s


def _outcome(
    customer_id: str, first_s: float, labels: Mapping[str, Label], versions: Sequence[Said], closes_s: int
) -> tuple[str, bool | None]:
    """What became of a prediction, and whether the customer left; ``None`` where it does not count."""
    label = labels.get(customer_id)
    if label is None:
        return "unknown", None
    fate = fate_in(Window(first_s, first_s, closes_s, has_snapshot=True), versions) if versions else None
    left_s = fate.left_s if fate is not None and fate.left_s is not None else label.left_s
    left = label.churned if fate is None else fate.churned
    is_gone = left and ((fate is not None and fate.is_gone) or (left_s is not None and latest_s(left_s) < first_s))
    if is_gone:
        return "gone", None
    return ("labelled" if fate is None else "posted"), left


def _notes(counts: Mapping[str, int]) -> Iterable[str]:
    said = {
        "replayed": "customers were scored by a release that was made after the window had closed, or was trained on it: that proves nothing and is left out.",
        "asked_too_late": "customers were asked about only after the window had closed; they don't count.",
        "gone_before": "customers had left before the first prediction; they don't count as predicted.",
        "without_outcome": "customers were predicted and have no label, as they were not at risk at the snapshot; they don't count.",
        "posted_unlike_label": "customers have a posted outcome that is not what the label of the lake says; the posted one counts.",
        "posted_versions_disagree": "customers were posted as gone and as staying; the newest version counts.",
        "posted_of_unknown_customers": "posted outcomes are of customers who were not at risk at the snapshot; they are not used.",
        "posted_from_the_future": "customers have a posted outcome from the future; it is not used.",
    }
    yield from (f"{counts[name]:,} {words}" for name, words in said.items() if counts.get(name))
