"""Answer bodies of predictions, and the model that each of them names."""

from datetime import datetime
from typing import Annotated

import msgspec

from churn_api.http.problems import ProblemDetails
from churn_api.schemas.reasons import Reasons

Features = dict[str, float | str | None]
"""The inputs of a model by name."""

Probability = Annotated[float, msgspec.Meta(ge=0, le=1, description="of churn within the horizon")]


class Model(msgspec.Struct, frozen=True, gc=False):
    """The release that answered.

    Attributes:
        release: digest of the release's manifest.
        epoch: number of the row that made the release serve.
        family: model family, such as ``gradient_boosting``.
        role: arm of the comparison: ``champion``, or ``challenger`` for the customers that a running challenge gives it.
    """

    release: str
    epoch: int
    family: str
    role: str


class Place(msgspec.Struct, frozen=True, gc=False):
    """A place in an experiment.

    Attributes:
        name: name of the experiment.
        arm: ``control`` or ``treatment``.
        treat: whether to act on this prediction: the decision is churn and the arm is treated. Absent in an experiment of models.
    """

    name: str
    arm: str
    treat: bool | msgspec.UnsetType = msgspec.UNSET


class Prediction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prediction.

    Attributes:
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else ``prediction_id``.
        prediction_id: id made by the service: the prediction's name in the prediction log.
        churn: the decision: whether the probability reaches the threshold.
        risk_band: band of the probability (``GET /model/info`` says where each begins).
        horizon_days: length of the window that the probability refers to; null where data has no time.
        snapshot: time T of the looked-up features; null for given attributes and for data without time.
        feature_age_s: seconds from T to now, by the platform's clock.
        unknown_categories: columns whose value training never saw; they were scored as unknown.
        missing: columns without a value; the model was trained to do without them.
        features: inputs of the model; null unless ``features=true`` asked for them.
        reasons: reasons of the probability; null unless ``explain=true`` asked for them.
        experiment: place in the experiment that runs; null without one.
    """

    request_id: str
    prediction_id: str
    customer_id: str | None
    probability: Probability
    churn: bool
    risk_band: str
    threshold: float
    horizon_days: int | None
    model: Model
    snapshot: datetime | None
    feature_age_s: float | None
    unknown_categories: list[str]
    missing: list[str]
    features: Features | None
    reasons: Reasons | None
    experiment: Place | None
    answered_at: datetime
    latency_ms: float


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a batch: either a prediction, or ``error`` and nothing else.

    Attributes:
        threshold, model: the challenger's, where it answered; otherwise absent, and those of the batch hold.
        features: absent unless ``features=true`` asked for them.
        reasons: absent unless ``explain=true`` asked for them.
        experiment: absent outside of an experiment.
    """

    customer_id: str | None
    probability: Probability | msgspec.UnsetType = msgspec.UNSET
    churn: bool | msgspec.UnsetType = msgspec.UNSET
    risk_band: str | msgspec.UnsetType = msgspec.UNSET
    unknown_categories: list[str] | msgspec.UnsetType = msgspec.UNSET
    missing: list[str] | msgspec.UnsetType = msgspec.UNSET
    features: Features | msgspec.UnsetType = msgspec.UNSET
    reasons: Reasons | msgspec.UnsetType = msgspec.UNSET
    threshold: float | msgspec.UnsetType = msgspec.UNSET
    model: Model | msgspec.UnsetType = msgspec.UNSET
    experiment: Place | msgspec.UnsetType = msgspec.UNSET
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


class StreamedPrediction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line of a streamed batch: either a prediction, or ``error`` and where it belongs; the other fields are as in ``Prediction``.

    Attributes:
        item: position in the batch, from 0; with ``prediction_id`` the prediction's name in the prediction log.
        line: line of CSV, or row of Parquet, from 1; absent for a batch of JSON.
        release: digest of the release that answered.
        role: arm of the comparison: ``champion`` or ``challenger``.
        latency_ms: from the beginning of the request to this line.
    """

    prediction_id: str
    item: int
    line: int | msgspec.UnsetType = msgspec.UNSET
    customer_id: str | None
    probability: Probability | msgspec.UnsetType = msgspec.UNSET
    churn: bool | msgspec.UnsetType = msgspec.UNSET
    risk_band: str | msgspec.UnsetType = msgspec.UNSET
    threshold: float | msgspec.UnsetType = msgspec.UNSET
    release: str | msgspec.UnsetType = msgspec.UNSET
    role: str | msgspec.UnsetType = msgspec.UNSET
    snapshot: datetime | msgspec.UnsetType | None = msgspec.UNSET
    unknown_categories: list[str] | msgspec.UnsetType = msgspec.UNSET
    missing: list[str] | msgspec.UnsetType = msgspec.UNSET
    features: Features | msgspec.UnsetType = msgspec.UNSET
    reasons: Reasons | msgspec.UnsetType = msgspec.UNSET
    latency_ms: float | msgspec.UnsetType = msgspec.UNSET
    experiment: Place | msgspec.UnsetType = msgspec.UNSET
    error: ProblemDetails | msgspec.UnsetType = msgspec.UNSET
