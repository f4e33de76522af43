"""Why a release is not taken, and whether another try may help.

Belongs here: the sorting of errors. Does not belong here: what is done about them (``releases.poller``).
"""

from dataclasses import dataclass

from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.telemetry.json_log import where_raised
from churn_api.telemetry.metrics import LoadFailure
from churn_store.errors import ReleaseError, StoreAwayError


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a release that the newest row names does not serve.

    Attributes:
        digest: of the release that was not taken; none where not even the row could be read.
        reason: one of a few words, also in the metrics.
        detail: what is wrong, for people with the scope ``read``.
        at_s: when, by the platform's clock.
    """

    digest: str | None
    reason: LoadFailure
    detail: str
    at_s: float


def failure_of(error: BaseException, digest: str | None, at_s: float) -> Failure:
    """What an error says of a release. A message is shown only where it is ours: others may quote what they read."""
    detail = str(error) if isinstance(error, ReleaseError | StoreAwayError) else where_raised(error)
    return Failure(digest=digest, reason=_reason(error), detail=detail, at_s=at_s)


def may_pass(error: BaseException) -> bool:
    """Whether the same release may be taken later: the database or the store is away.

    Whatever else goes wrong while a release is read is the release's fault, and it is not read again.
    """
    return _reason(error) in ("database", "store")


def _reason(error: BaseException) -> LoadFailure:
    if isinstance(error, ReleaseError):
        return "release"
    if isinstance(error, SQLAlchemyError):
        return "database"
    if isinstance(error, OSError | ObjectStoreError | StoreAwayError):
        return "store"
    return "unexpected"
