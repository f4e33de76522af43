"""The treatments in the serving database: each written once, a correction as a new version, nothing ever changed.

Belongs here: what a treatment says, the versions of a customer's, and how many there are. Does not belong here: how statements are taken in
(``database.intake``), which of them count for a label (``treatments.newest``), and what a body may hold (``churn_api.treatments``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from churn_store.database.intake import Intake, Receipt, Sender, is_newest, take_in
from churn_store.database.schema import prediction_log, treatment_keys, treatments
from churn_store.treatments.newest import SUBJECT

ADVISORY_LOCK: Final = 0x74726561746564  # "treated"


@dataclass(frozen=True, slots=True)
class Treatment:
    """That a customer was treated, or was on the list and held out on purpose.

    Attributes:
        assigned_s: when that was decided, in epoch seconds.
        channel: how the customer was reached, such as ``phone``; empty where that is not known.
        offer: what was offered; empty where that is not known.
        treated: whether the customer was treated.
        propensity: probability with which the customer would be treated; ``None`` where it is not known.
        idempotency_key: the sender's own name for this statement, if it has one.
    """

    customer_id: str
    assigned_s: int
    channel: str = ""
    offer: str = ""
    treated: bool = True
    propensity: float | None = None
    idempotency_key: str | None = None

    @property
    def subject(self) -> tuple[str, int, str, str]:
        """Customer, time, channel and offer."""
        return self.customer_id, self.assigned_s, self.channel, self.offer

    @property
    def said(self) -> dict[str, Any]:
        """Whether the customer was treated, and how likely that was, by column."""
        return {"treated": self.treated, "propensity": self.propensity}


@dataclass(frozen=True, slots=True)
class TreatmentVersion:
    """A version of a treatment, as it was received.

    Attributes:
        is_newest: whether it is the one that counts.
    """

    customer_id: str
    assigned_s: int
    channel: str
    offer: str
    version: int
    treated: bool
    propensity: float | None
    received_s: float
    key_id: str
    is_newest: bool


@dataclass(frozen=True, slots=True)
class TreatmentCounts:
    """Treatments by what they say.

    Attributes:
        received: all versions.
        corrected: versions that a later one has replaced.
        treated: newest versions by which a customer was treated.
        held_out: newest versions by which a customer was held out.
        without_propensity: newest versions whose probability is not known.
        unmatched: newest versions of customers of whom the prediction log has no prediction.
    """

    received: int
    corrected: int
    treated: int
    held_out: int
    without_propensity: int
    unmatched: int


INTAKE: Final = Intake(treatments, treatment_keys, SUBJECT, "treatment", ADVISORY_LOCK)


def record(engine: sa.Engine, sent: Sequence[Treatment], sender: Sender) -> Receipt:
    """Add treatments, each customer, time, channel and offer once, each idempotency key once: all of them in one transaction, or none.

    Raises:
        ReusedKeyError: as ``take_in`` does.
        SQLAlchemyError: if the database does not answer or take them; nothing is known to be written.
    """
    return take_in(engine, INTAKE, sent, sender)


def versions_of(engine: sa.Engine, customer_id: str, *, limit: int) -> list[TreatmentVersion]:
    """The treatments of a customer, the newest time first, and of each the newest version first."""
    order = (treatments.c.assigned_s.desc(), treatments.c.channel, treatments.c.offer, treatments.c.version.desc())
    asked = treatments.select().where(treatments.c.customer_id == customer_id).order_by(*order).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(asked).all()
    found, seen = [], set()
    for row in rows:
        subject = (row.assigned_s, row.channel, row.offer)
        found.append(
            TreatmentVersion(
                row.customer_id, *subject, row.version, row.treated, row.propensity, row.received_s, row.key_id,
                is_newest=subject not in seen,
            )
        )  # fmt: skip
        seen.add(subject)
    return found


def count(engine: sa.Engine) -> TreatmentCounts:
    """Count the treatments.

    Raises:
        SQLAlchemyError: if the database does not answer.
    """
    is_matched = sa.exists().where(prediction_log.c.customer_id == treatments.c.customer_id)
    parts = (treatments.c.treated, ~treatments.c.treated, treatments.c.propensity.is_(None), ~is_matched)
    each = sa.select(*(sa.case((part, 1), else_=0).label(f"part{number}") for number, part in enumerate(parts)))
    newest = each.select_from(treatments).where(is_newest(treatments, SUBJECT)).subquery()
    sums = sa.select(sa.func.count(), *(sa.func.coalesce(sa.func.sum(column), 0) for column in newest.c)).select_from(
        newest
    )
    with engine.connect() as connection:
        received = connection.execute(sa.select(sa.func.count()).select_from(treatments)).scalar_one()
        current, treated, held_out, without_propensity, unmatched = connection.execute(sums).one()
    return TreatmentCounts(received, received - current, treated, held_out, without_propensity, unmatched)
