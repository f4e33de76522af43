"""Bodies of the outcome routes.

Belongs here: what is sent and answered, and its bounds. Does not belong here: how a body is read (``intake.bodies``, ``outcomes.parsing``).
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from churn_api.schemas.intake import IdempotencyKey, Time, time_of
from churn_api.schemas.requests import CustomerId
from churn_store.outcomes.log import OutcomeVersion


class OutcomeRecord(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What became of a customer.

    Attributes:
        churned: whether the customer left within the horizon.
        snapshot: snapshot of the prediction, as its answer says; absent where that says null.
        occurred: when the customer left, if that is known.
    """

    customer_id: CustomerId
    churned: bool
    snapshot: Time | None = None
    occurred: Time | None = None
    idempotency_key: IdempotencyKey | None = None


class OutcomeReceipt(msgspec.Struct, kw_only=True):
    """What became of the outcomes; all of them are committed.

    Attributes:
        received: number of outcomes in the request.
        added: first outcomes of their customer and snapshot.
        corrected: new versions of outcomes that said something else.
        unchanged: outcomes that say what the newest version says; they add nothing, but for who still stays an hour or more later.
        repeated: outcomes whose idempotency key was here before with the same content; they add nothing.
        replayed: whether the whole request was here before; the numbers are those of the first time.
    """

    request_id: str
    received: int
    added: int
    corrected: int
    unchanged: int
    repeated: int
    replayed: bool


class OutcomeStatus(msgspec.Struct, kw_only=True):
    """How the outcomes meet the predictions, by customer and snapshot.

    Attributes:
        received: all versions of all outcomes.
        corrected: versions that a later one has replaced.
        customers_and_snapshots: outcomes in their newest version; equals ``joined`` plus ``unmatched``.
        joined: those that meet a prediction in the prediction log.
        unmatched: those that meet none, such as after its retention (``service.keep_days``).
        matured: joined ones whose horizon has passed; null while no release serves, as the horizon is not known then.
        churned: joined ones who left.
    """

    received: int
    corrected: int
    customers_and_snapshots: int
    joined: int
    unmatched: int
    matured: int | None
    churned: int
    as_of: datetime


class OutcomeEntry(msgspec.Struct, kw_only=True):
    """A version of an outcome.

    Attributes:
        snapshot: snapshot that it is about; null where it names none.
        newest: whether it is the version that counts.
        key_id: id of the API key that sent it.
    """

    snapshot: datetime | None
    version: int
    churned: bool
    occurred: datetime | None
    received: datetime
    key_id: str
    newest: bool


class OutcomeEntries(msgspec.Struct, kw_only=True):
    """The outcomes of a customer, the newest snapshot first, and of each the newest version first."""

    customer_id: str
    outcomes: list[OutcomeEntry]


def entries_of(versions: Iterable[OutcomeVersion]) -> list[OutcomeEntry]:
    """Versions as an answer has them."""
    return [
        OutcomeEntry(
            snapshot=_time(one.snapshot_s),
            version=one.version,
            churned=one.churned,
            occurred=_time(one.occurred_s),
            received=time_of(one.received_s),
            key_id=one.key_id,
            newest=one.is_newest,
        )
        for one in versions
    ]


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)
