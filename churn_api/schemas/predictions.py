"""Answer bodies of predictions, and the model that each of them names."""

from datetime import datetime
from typing import Annotated

import msgspec

from churn_api.http.problems import ProblemDetails

Probability = Annotated[float, msgspec.Meta(ge=0, le=1, description="of churn within the horizon")]


class Model(msgspec.Struct, frozen=True, gc=False):
    """The release that answered.

    Attributes:
        release: digest of the release's manifest.
        epoch: number of the row that made the release serve.
        family: model family, such as ``gradient_boosting``.
        role: ``champion``, or ``challenger`` for the customers that a running challenge gives it.
    """

    release: str
    epoch: int
    family: str
    role: str


class Prediction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prediction.

    Attributes:
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else ``prediction_id``.
        prediction_id: id made by the service: the prediction's name in the prediction log.
        churn: whether the probability reaches the threshold.
        horizon_days: length of the window that the probability refers to; null where data has no time.
        snapshot: time T of the looked-up features; null for given attributes and for data without time.
        feature_age_s: seconds from T to now, by the platform's clock.
        unknown_categories: columns whose value training never saw; they were scored as unknown.
    """

    request_id: str
    prediction_id: str
    customer_id: str | None
    probability: Probability
    churn: bool
    threshold: float
    horizon_days: int | None
    model: Model
    snapshot: datetime | None
    feature_age_s: float | None
    unknown_categories: list[str]
    answered_at: datetime
    latency_ms: float


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a batch: either a prediction, or ``error`` and nothing else.

    Attributes:
        threshold, model: the challenger's, where it answered; otherwise absent, and those of the batch hold.
    """

    customer_id: str | None
    probability: Probability | msgspec.UnsetType = msgspec.UNSET
    churn: bool | msgspec.UnsetType = msgspec.UNSET
    unknown_categories: list[str] | msgspec.UnsetType = msgspec.UNSET
    threshold: float | msgspec.UnsetType = msgspec.UNSET
    model: Model | msgspec.UnsetType = msgspec.UNSET
    error: ProblemDetails | msgspec.UnsetType = msgspec.UNSET


class Batch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A batch: one entry per input, in the order of the inputs; the other fields are as in ``Prediction``.

    Attributes:
        threshold, model: the champion's; an entry that the challenger answered carries its own.
    """

    request_id: str
    prediction_id: str
    predictions: list[BatchItem]
    threshold: float
    horizon_days: int | None
    model: Model
    snapshot: datetime | None
    feature_age_s: float | None
    answered_at: datetime
    latency_ms: float
