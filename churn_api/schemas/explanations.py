"""Answer body of ``GET /explain/{customer_id}``."""

from datetime import datetime

import msgspec

from churn_api.schemas.predictions import Model, Probability
from churn_api.schemas.reasons import Reasons


class ExplainedCustomer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The reasons of what the serving release says of a customer now. It is no prediction, and not in the prediction log.

    Attributes:
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else the service's.
        churn: whether the probability reaches the threshold.
        horizon_days: length of the window that the probability refers to; null where data has no time.
        snapshot: time T of the looked-up features; null for data without time.
        feature_age_s: seconds from T to now, by the platform's clock.
    """

    request_id: str
    customer_id: str
    probability: Probability
    churn: bool
    threshold: float
    horizon_days: int | None
    model: Model
    snapshot: datetime | None
    feature_age_s: float | None
    reasons: Reasons
    answered_at: datetime
    latency_ms: float
