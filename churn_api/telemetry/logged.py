"""Reads the table ``prediction_log`` for people: what was answered, newest first.

What still waits in the spool, for about a second, is not in it. Does not belong here: how lines get there (``telemetry.log_rows``).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from churn_store.database.lenient import raw_rows
from churn_store.database.schema import prediction_log

_COLUMNS = tuple(prediction_log.c)


class LoggedPrediction(msgspec.Struct, kw_only=True):
    """A prediction as it was answered.

    Attributes:
        prediction_id, item: its name in the log; ``item`` counts within a batch.
        role: arm of the comparison: ``champion`` or ``challenger``.
        snapshot: time T of the looked-up features; null for given attributes and for data without time.
        features: inputs of the model.
    """

    prediction_id: str
    item: int
    customer_id: str | None
    answered: datetime
    probability: float
    churn: bool
    threshold: float
    release: str
    epoch: int
    role: str
    snapshot: datetime | None
    features: dict[str, float | str | None]
    latency_ms: float


def recent(engine: sa.Engine, *, limit: int) -> list[LoggedPrediction]:
    """The newest predictions of all customers."""
    return _read(engine, lambda asked: asked.order_by(prediction_log.c.answered_s.desc()).limit(limit))


def of_customer(engine: sa.Engine, customer_id: str, *, limit: int) -> list[LoggedPrediction]:
    """The newest predictions of a customer."""
    mine = prediction_log.c.customer_id == customer_id
    return _read(engine, lambda asked: asked.where(mine).order_by(prediction_log.c.answered_s.desc()).limit(limit))


def _read(engine: sa.Engine, change: Any) -> list[LoggedPrediction]:
    with engine.connect() as connection:
        return list(_legible(raw_rows(connection, _COLUMNS, change)))


def _legible(rows: Iterator[dict[str, Any]]) -> Iterator[LoggedPrediction]:
    """The rows that can be read: a damaged one hides no other."""
    for row in rows:
        told = {
            **row,
            "prediction_id": row["request_id"],
            "churn": bool(row["churn"]),
            "latency_ms": None if row["latency_us"] is None else row["latency_us"] / 1000,
        }
        try:
            told["answered"] = datetime.fromtimestamp(row["answered_s"], UTC)
            told["snapshot"] = None if row["snapshot_s"] is None else datetime.fromtimestamp(row["snapshot_s"], UTC)
            yield msgspec.convert(told, LoggedPrediction)
        except (msgspec.ValidationError, TypeError, ValueError, OverflowError, OSError):
            continue
