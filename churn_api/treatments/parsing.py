"""What a body of treatments may say.

Belongs here: from a record to a treatment. Does not belong here: reading the body (``intake.bodies``), and saving treatments
(``churn_store.treatments.log``).
"""

from typing import Final

from churn_api.intake.bodies import Kind, past
from churn_api.intake.csv_rows import number, truth
from churn_api.intake.rows import BadValueError
from churn_api.schemas.treatments import TreatmentRecord
from churn_store.treatments.log import Treatment


def treatment_of(record: TreatmentRecord, now_s: float) -> Treatment:
    """The treatment of a record.

    Raises:
        BadValueError: if its time is none or in the future, or its propensity is no such probability.
    """
    assigned_s = past("assigned", record.assigned, now_s)
    e = record.propensity
    if e is not None and not 0 < e <= 1:
        raise BadValueError(
            "propensity",
            "a probability of 0 or less, above 1, or none; expected a number above 0 and at most 1. Who could not be treated is not on the list: "
            "leave the customer out",
        )
    if e == 1 and not record.treated:
        raise BadValueError(
            "propensity",
            "a probability of 1 although treated is false; expected less than 1, as who was held out was not treated for certain",
        )
    return Treatment(
        record.customer_id, assigned_s, record.channel or "", record.offer or "", record.treated, e, record.idempotency_key
    )


TREATMENTS: Final = Kind(
    "treatments",
    TreatmentRecord,
    treatment_of,
    "customer, time, channel and offer",
    ("customer_id", "assigned"),
    {"treated": truth, "propensity": number},
)
