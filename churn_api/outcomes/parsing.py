"""What a body of outcomes may say.

Belongs here: from a record to an outcome. Does not belong here: reading the body (``intake.bodies``), and saving outcomes
(``churn_store.outcomes.log``).
"""

from typing import Final

from churn_api.intake.bodies import Kind, past
from churn_api.intake.csv_rows import truth
from churn_api.intake.rows import BadValueError
from churn_api.schemas.outcomes import OutcomeRecord
from churn_store.outcomes.log import Outcome, latest_s


def outcome_of(record: OutcomeRecord, now_s: float) -> Outcome:
    """The outcome of a record.

    Raises:
        BadValueError: if a time is none or in the future, or the customer did not leave then.
    """
    snapshot_s = None if record.snapshot is None else past("snapshot", record.snapshot, now_s)
    occurred_s = None if record.occurred is None else past("occurred", record.occurred, now_s)
    if occurred_s is not None and not record.churned:
        raise BadValueError("occurred", "a time although churned is false; leave it out, or say that the customer left")
    if occurred_s is not None and snapshot_s is not None and latest_s(occurred_s) < snapshot_s:
        raise BadValueError(
            "occurred", "a time before the snapshot; who had left before it is no outcome of its prediction"
        )
    return Outcome(record.customer_id, snapshot_s, record.churned, occurred_s, record.idempotency_key)


OUTCOMES: Final = Kind(
    "outcomes", OutcomeRecord, outcome_of, "customer and snapshot", ("customer_id", "churned"), {"churned": truth}
)
