"""How the outcomes meet the predictions: by customer and snapshot.

An outcome with a snapshot meets the predictions that looked up features of that snapshot; one without a snapshot meets those whose
attributes were sent, or came from data without time. Only the newest version counts. An outcome is matured once the horizon of a
prediction that it meets has passed: before that, who has not left yet may still leave.

Belongs here: the join, for counts and for whoever judges predictions by outcomes. Does not belong here: writing (``outcomes.log``).
"""

from dataclasses import dataclass

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import is_newest
from churn_store.database.schema import NO_SNAPSHOT, outcomes, prediction_log
from churn_store.outcomes.log import SUBJECT


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Outcomes by what they meet.

    Attributes:
        received: all versions.
        customers_and_snapshots: what they are about; equals ``joined`` plus ``unmatched``.
        corrected: versions that a later one has replaced.
        joined: newest versions that meet a prediction.
        unmatched: newest versions that meet none.
        matured: joined ones whose prediction's horizon has passed; ``None`` where the horizon is not known.
        churned: joined ones who left.
    """

    received: int
    customers_and_snapshots: int
    corrected: int
    joined: int
    unmatched: int
    matured: int | None
    churned: int


def meets() -> sa.ColumnElement[bool]:
    """The condition that a row of ``outcomes`` and one of ``prediction_log`` are about the same."""
    of_customer = prediction_log.c.customer_id == outcomes.c.customer_id
    return of_customer & (sa.func.coalesce(prediction_log.c.snapshot_s, NO_SNAPSHOT) == outcomes.c.snapshot_s)


def count(engine: sa.Engine, *, now_s: float, horizon_days: int | None, is_known: bool = True) -> OutcomeCounts:
    """Count the outcomes.

    Args:
        engine: the serving database.
        now_s: present time by the platform's clock, in epoch seconds.
        horizon_days: length of the window that a probability refers to; ``None`` where data has no time, so that all is matured.
        is_known: whether the horizon is known; if not, ``matured`` is ``None``.
    """
    begun_s = sa.func.coalesce(prediction_log.c.snapshot_s, prediction_log.c.answered_s)
    joined = sa.exists().where(meets())
    over = sa.exists().where(meets() & (begun_s <= now_s - (horizon_days or 0) * DAY_S))
    newest = sa.select(
        sa.case((joined, 1), else_=0).label("joined"),
        sa.case((over, 1), else_=0).label("matured"),
        sa.case((joined & outcomes.c.churned, 1), else_=0).label("churned"),
    ).where(is_newest(outcomes, SUBJECT))
    each = newest.subquery()
    sums = sa.select(sa.func.count(), *(sa.func.coalesce(sa.func.sum(column), 0) for column in each.c)).select_from(each)
    with engine.connect() as connection:
        received = connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one()
        subjects, met, matured, churned = connection.execute(sums).one()
    return OutcomeCounts(
        received=received,
        customers_and_snapshots=subjects,
        corrected=received - subjects,
        joined=met,
        unmatched=subjects - met,
        matured=matured if is_known else None,
        churned=churned,
    )
