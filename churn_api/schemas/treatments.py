"""Bodies of the treatment routes.

Belongs here: what is sent and answered, and its bounds. Does not belong here: how a body is read (``intake.bodies``, ``treatments.parsing``).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final

import msgspec

from churn_api.schemas.intake import IdempotencyKey, Time, time_of
from churn_api.schemas.requests import CustomerId
from churn_store.treatments.log import TreatmentVersion

_WORD: Final = "^[^\\x00-\\x1f\\x7f]+$(?!\\n)"

Channel = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=60, pattern=_WORD, description="how the customer was reached", examples=["phone"]
    ),
]
Offer = Annotated[
    str, msgspec.Meta(min_length=1, max_length=100, pattern=_WORD, description="what was offered", examples=["10 % off"])
]
Propensity = Annotated[
    float,
    msgspec.Meta(
        description="probability with which the customer would be treated: above 0 and at most 1, below 1 for who was held out",
        examples=[0.9],
        extra_json_schema={"exclusiveMinimum": 0, "maximum": 1},  # not bounds of msgspec, whose words don't say what to do
    ),
]


class TreatmentRecord(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """That a customer was treated, or was on the list and held out on purpose.

    Attributes:
        assigned: when that was decided.
        channel: absent where it is not known; of who was held out, that of the others on the list.
        offer: absent where it is not known; of who was held out, that of the others on the list.
        treated: whether the customer was treated; false for who was on the list and was left alone on purpose.
        propensity: absent where it is not known; then nobody can tell for how many a customer who was held out stands.
    """

    customer_id: CustomerId
    assigned: Time
    channel: Channel | None = None
    offer: Offer | None = None
    treated: bool = True
    propensity: Propensity | None = None
    idempotency_key: IdempotencyKey | None = None


class TreatmentReceipt(msgspec.Struct, kw_only=True):
    """What became of the treatments; all of them are committed.

    Attributes:
        received: number of treatments in the request.
        added: first treatments of their customer, time, channel and offer.
        corrected: new versions of treatments that said something else.
        unchanged: treatments that say what the newest version says; they add nothing.
        repeated: treatments whose idempotency key was here before with the same content; they add nothing.
        replayed: whether the whole request was here before; the numbers are those of the first time.
    """

    request_id: str
    received: int
    added: int
    corrected: int
    unchanged: int
    repeated: int
    replayed: bool


class TreatmentStatus(msgspec.Struct, kw_only=True):
    """What the treatments say, by customer, time, channel and offer.

    Attributes:
        received: all versions.
        corrected: versions that a later one has replaced.
        treated: newest versions by which a customer was treated.
        held_out: newest versions by which a customer was held out.
        without_propensity: newest versions whose propensity is not known; a label in whose window they lie can't be judged.
        unmatched: newest versions of customers of whom the prediction log has no prediction, such as under the ids of another system.
    """

    received: int
    corrected: int
    treated: int
    held_out: int
    without_propensity: int
    unmatched: int
    as_of: datetime


class TreatmentEntry(msgspec.Struct, kw_only=True):
    """A version of a treatment.

    Attributes:
        channel: null where it is not known.
        offer: null where it is not known.
        newest: whether it is the version that counts.
        key_id: id of the API key that sent it.
    """

    assigned: datetime
    channel: str | None
    offer: str | None
    version: int
    treated: bool
    propensity: float | None
    received: datetime
    key_id: str
    newest: bool


class TreatmentEntries(msgspec.Struct, kw_only=True):
    """The treatments of a customer, the newest time first, and of each the newest version first."""

    customer_id: str
    treatments: list[TreatmentEntry]


def entries_of(versions: Iterable[TreatmentVersion]) -> list[TreatmentEntry]:
    """Versions as an answer has them."""
    return [
        TreatmentEntry(
            assigned=time_of(one.assigned_s),
            channel=one.channel or None,
            offer=one.offer or None,
            version=one.version,
            treated=one.treated,
            propensity=one.propensity,
            received=time_of(one.received_s),
            key_id=one.key_id,
            newest=one.is_newest,
        )
        for one in versions
    ]
