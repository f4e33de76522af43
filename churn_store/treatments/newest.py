"""The treatments that count: of each customer, time, channel and offer the greatest version.

Belongs here: reading them for whoever judges labels. Does not belong here: writing (``treatments.log``), and what a treatment does to a
label (the graph's ``treatments.weights``).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import sqlalchemy as sa

from churn_store.database.intake import is_newest
from churn_store.database.schema import treatments

SUBJECT: Final = ("customer_id", "assigned_s", "channel", "offer")
"""What a treatment is about; of each the greatest version counts."""


class NewestTreatment(NamedTuple):
    """A treatment in its newest version; the attributes are those of ``treatments.log.Treatment``, and when it was received."""

    customer_id: str
    assigned_s: int
    channel: str
    offer: str
    treated: bool
    propensity: float | None
    received_s: float


def newest_between(engine: sa.Engine, start_s: int, end_s: int) -> Iterator[NewestTreatment]:
    """The treatments that were assigned in ``[start_s, end_s)``, in epoch seconds.

    Raises:
        SQLAlchemyError: if the database does not answer.
    """
    columns = (treatments.c[name] for name in NewestTreatment._fields)
    within = (treatments.c.assigned_s >= start_s) & (treatments.c.assigned_s < end_s)
    with engine.connect() as connection:
        for row in connection.execute(sa.select(*columns).where(within & is_newest(treatments, SUBJECT))):
            yield NewestTreatment(*row)
