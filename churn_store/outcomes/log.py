"""The outcomes in the serving database: each written once, a correction as a new version, nothing ever changed.

Belongs here: what an outcome says, and reading the versions. Does not belong here: how statements are taken in (``database.intake``), how
they meet the predictions (``outcomes.counts``), and what a body may hold (the service's ``churn_api.outcomes``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import Intake, Receipt, Sender, take_in
from churn_store.database.schema import NO_SNAPSHOT, outcome_keys, outcomes

STILL_THERE_S: Final = 3_600
"""Seconds after which it is news that a customer stays, though the newest version says so: the window may have closed meanwhile."""

SUBJECT: Final = ("customer_id", "snapshot_s")
"""What an outcome is about; of each the greatest version counts."""

ADVISORY_LOCK: Final = 0x6F7574636F6D65  # "outcome"


def latest_s(occurred_s: float) -> float:
    """The latest time at which a customer left, in epoch seconds: a time of exactly midnight is a date, and that day has a last second."""
    return occurred_s + DAY_S - 1 if occurred_s % DAY_S == 0 else occurred_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a customer.

    Attributes:
        snapshot_s: time T of the features that the prediction used, in epoch seconds; ``None`` where it used none.
        churned: whether the customer left within the horizon.
        occurred_s: when the customer left, in epoch seconds, if that is known.
        idempotency_key: the sender's own name for this statement, if it has one.
    """

    customer_id: str
    snapshot_s: int | None
    churned: bool
    occurred_s: int | None = None
    idempotency_key: str | None = None

    @property
    def subject(self) -> tuple[str, int]:
        """Customer and snapshot, as they are kept."""
        return self.customer_id, NO_SNAPSHOT if self.snapshot_s is None else self.snapshot_s

    @property
    def said(self) -> dict[str, Any]:
        """Whether and when the customer left, by column."""
        return {"churned": self.churned, "occurred_s": self.occurred_s}


@dataclass(frozen=True, slots=True)
class OutcomeVersion:
    """A version of an outcome, as it was received.

    Attributes:
        is_newest: whether it is the one that counts.
    """

    customer_id: str
    snapshot_s: int | None
    version: int
    churned: bool
    occurred_s: int | None
    received_s: float
    key_id: str
    is_newest: bool


def _is_still_there(one: Outcome, newest: Any, now_s: float) -> bool:
    """Whether a repeated outcome says that the customer stays at a later time."""
    return not one.churned and newest is not None and now_s - newest.received_s >= STILL_THERE_S


INTAKE: Final = Intake(outcomes, outcome_keys, SUBJECT, "outcome", ADVISORY_LOCK, _is_still_there)
"""Where outcomes are kept; one that says an hour later that the customer still stays is a version."""


def record(engine: sa.Engine, sent: Sequence[Outcome], sender: Sender) -> Receipt:
    """Add outcomes, each customer and snapshot once, each idempotency key once: all of them in one transaction, or none.

    Raises:
        ReusedKeyError: as ``take_in`` does.
        SQLAlchemyError: if the database does not answer or take them; nothing is known to be written.
    """
    return take_in(engine, INTAKE, sent, sender)


def versions_of(engine: sa.Engine, customer_id: str, *, limit: int) -> list[OutcomeVersion]:
    """The outcomes of a customer, the newest snapshot first, and of each the newest version first."""
    order = (outcomes.c.snapshot_s.desc(), outcomes.c.version.desc())
    asked = outcomes.select().where(outcomes.c.customer_id == customer_id).order_by(*order).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(asked).all()
    found, seen = [], set()
    for row in rows:
        snapshot_s = None if row.snapshot_s == NO_SNAPSHOT else row.snapshot_s
        found.append(
            OutcomeVersion(
                row.customer_id, snapshot_s, row.version, row.churned, row.occurred_s, row.received_s, row.key_id,
                is_newest=row.snapshot_s not in seen,
            )
        )  # fmt: skip
        seen.add(row.snapshot_s)
    return found
