"""How long predictions and the audit are kept: removes old rows, a batch at a time.

A batch is a transaction of its own, so that a writer waits for a short time only, and whoever dies in between leaves whole batches.
Belongs here: which rows, and how. Does not belong here: when (``churn_assets.automation.retention``).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from churn_store.database.schema import audit_log, prediction_log

BATCH = 5_000
"""Rows in a transaction: about 0.1 s of SQLite's one writer."""

PAUSE_S = 0.05
"""Between batches, for those who ship predictions meanwhile."""


@dataclass(frozen=True)
class Dated:
    """Rows that are kept for a time.

    Attributes:
        dated: column with the time of a row, in epoch seconds; it has an index.
        key: columns of the primary key.
    """

    dated: sa.Column[Any]
    key: Sequence[sa.Column[Any]]


PREDICTIONS: Final = Dated(prediction_log.c.answered_s, (prediction_log.c.request_id, prediction_log.c.item))
AUDIT: Final = Dated(audit_log.c.at_s, (audit_log.c.id,))


def of_experiments(names: Sequence[str]) -> sa.ColumnElement[bool]:
    """The condition that a prediction is in one of these experiments."""
    return prediction_log.c.experiment.is_not(None) & prediction_log.c.experiment.in_(names)


def has_older(
    engine: sa.Engine, before_s: float, rows: Dated = PREDICTIONS, *, kept: sa.ColumnElement[bool] | None = None
) -> bool:
    """Whether there is a row from before a time, in epoch seconds, that is not ``kept`` all the same."""
    with engine.connect() as connection:
        return connection.execute(_older(rows, before_s, 1, kept)).first() is not None


def remove_older(
    engine: sa.Engine,
    before_s: float,
    rows: Dated = PREDICTIONS,
    *,
    kept: sa.ColumnElement[bool] | None = None,
    batch: int = BATCH,
) -> int:
    """Remove the rows from before a time.

    Args:
        engine: the serving database.
        before_s: first time that is kept, in epoch seconds.
        rows: rows that are meant; default: predictions, by the time of their answer.
        kept: condition of rows that stay all the same.
        batch: rows in a transaction.

    Returns:
        The number of rows that were removed.
    """
    key = sa.tuple_(*rows.key)
    removed = 0
    while True:
        with engine.begin() as connection:
            old = _older(rows, before_s, batch, kept)
            gone = connection.execute(sa.delete(rows.dated.table).where(key.in_(old))).rowcount
        removed += gone
        if gone < batch:
            return removed
        time.sleep(PAUSE_S)


def _older(rows: Dated, before_s: float, at_most: int, kept: sa.ColumnElement[bool] | None) -> sa.Select[Any]:
    """The oldest rows before a time, found by the index on it."""
    old = sa.select(*rows.key).where(rows.dated < before_s).order_by(rows.dated).limit(at_most)
    return old if kept is None else old.where(~kept)
