"""Why a release is not taken, and whether another try may help.

Belongs here: the classification of errors. Does not belong here: the reaction to them (``releases.poller``).
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
        digest: digest of the release that was not taken; ``None`` where not even the row could be read.
        reason: one of a few words, also used in the metrics.
        detail: explanation for people with the scope ``read``.
        at_s: time of the failure, by the platform's clock.
    """

    digest: str | None
    reason: LoadFailure
    detail: str
    at_s: float


def failure_of(error: BaseException, digest: str | None, at_s: float) -> Failure:
    """The failure that an error stands for.

    Only messages of our own errors are shown: those of others may quote what they read.
    """
    detail = str(error) if isinstance(error, ReleaseError | StoreAwayError) else where_raised(error)
    return Failure(digest=digest, reason=_reason(error), detail=detail, at_s=at_s)


def may_pass(error: BaseException) -> bool:
    """Whether the same release may be taken later, because the database or the store is away.

    Every other error is blamed on the release, which is not read again.
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
