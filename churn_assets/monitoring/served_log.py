"""The newest rows of the prediction log, as what was served: which features, of which snapshot, by which release.

Belongs here: reading them, and telling a look-up from sent attributes. Does not belong here: what they are compared with (``skew``).
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa

from churn_store.database.lenient import raw_rows
from churn_store.database.schema import prediction_log, survey_answers

Origin = Literal["looked up", "sent", "survey"]
"""How a request came to its features: looked up by customer, sent with the request, or looked up and changed by answers to a survey."""

_COLUMNS: Final = tuple(
    prediction_log.c[name]
    for name in (
        "request_id",
        "item",
        "customer_id",
        "release",
        "probability",
        "churn",
        "threshold",
        "snapshot_s",
        "features",
    )
)


@dataclass(frozen=True, slots=True)
class ServedRow:
    """A prediction as it was logged.

    Attributes:
        request_id, item: its name in the log.
        snapshot_s: time T of the looked-up features, in epoch seconds; ``None`` for sent ones and for data without time.
        features: inputs of the model, by name.
    """

    request_id: str
    item: int
    origin: Origin
    customer_id: str | None
    release: str
    probability: float
    threshold: float
    snapshot_s: int | None
    features: dict[str, Any]


def served_rows(engine: sa.Engine, *, since_s: float, limit: int) -> tuple[list[ServedRow], int]:
    """The newest rows of the log.

    Args:
        engine: the serving database.
        since_s: earliest time of an answer, in epoch seconds.
        limit: most rows.

    Returns:
        The rows, the newest first, and the number of damaged ones that were left out.
    """
    dated = prediction_log.c.answered_s
    with engine.connect() as connection:
        raw = list(
            raw_rows(connection, _COLUMNS, lambda asked: asked.where(dated >= since_s).order_by(dated.desc()).limit(limit))
        )
        answered = {one for (one,) in connection.execute(sa.select(survey_answers.c.request_id))}
    rows = [_row(one, is_survey=one["request_id"] in answered) for one in raw]
    legible = [row for row in rows if row is not None]
    return legible, len(rows) - len(legible)


def _row(one: dict[str, Any], *, is_survey: bool) -> ServedRow | None:
    """A row; ``None`` where a value is none that this code writes."""
    is_number = all(isinstance(one[name], int | float) for name in ("probability", "threshold", "item"))
    is_text = all(isinstance(one[name], str) for name in ("request_id", "release"))
    features, customer_id, snapshot_s = one["features"], one["customer_id"], one["snapshot_s"]
    if not (is_number and is_text and isinstance(features, dict) and math.isfinite(one["probability"])):
        return None
    if not isinstance(customer_id, str | None) or not isinstance(snapshot_s, int | None):
        return None
    is_looked_up = snapshot_s is not None and customer_id is not None
    return ServedRow(
        request_id=one["request_id"],
        item=int(one["item"]),
        origin="survey" if is_survey else "looked up" if is_looked_up else "sent",
        customer_id=customer_id,
        release=one["release"],
        probability=float(one["probability"]),
        threshold=float(one["threshold"]),
        snapshot_s=snapshot_s,
        features=features,
    )
