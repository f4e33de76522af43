"""The requests that the serving release answered in a period, as rows that drift is measured on.

They come from the prediction log of the serving database: by customer id and by attributes alike. Belongs here: which answers count, and a
sample of them. Does not belong here: comparing them (``judged_windows``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from churn_assets.monitoring.judged_windows import CALLED
from churn_assets.tables import SCORE
from churn_store.database.lenient import raw_rows
from churn_store.database.schema import prediction_log
from churn_store.model.signature import Signature

MOST_ROWS: Final = 20_000
"""Most answers of a period that are read; a reference has as many rows."""

_log: Final = prediction_log.c
_COLUMNS: Final = (_log.answered_s, _log.customer_id, _log.probability, _log.churn, _log.features)


@dataclass(frozen=True)
class ServedRequests:
    """The answers of a period.

    Attributes:
        rows: inputs of the release, ``score`` and ``called_churn``; of a customer the last answer alone.
        answered: number of answers that the release gave in the period.
        damaged: number of read answers whose inputs could not be read.
    """

    rows: pl.DataFrame
    answered: int
    damaged: int


def served_requests(
    engine: sa.Engine, release: str, signature: Signature, *, start_s: int, end_s: int, most: int = MOST_ROWS
) -> ServedRequests:
    """The answers that a release gave in ``[start_s, end_s)``.

    Where there are more than ``most``, the first ones in the order of their request ids, which have nothing to do with time or customer.

    Args:
        engine: the serving database.
        release: digest of the release.
        signature: inputs of the release.
        start_s: first second, in epoch seconds by the platform's clock.
        end_s: first second after.
        most: most answers that are read.
    """
    inside = sa.and_(_log.release == release, _log.answered_s >= start_s, _log.answered_s < end_s)
    with engine.connect() as connection:
        answered = connection.execute(sa.select(sa.func.count()).select_from(prediction_log).where(inside)).scalar_one()
        if not answered:
            return ServedRequests(_frame([], signature), 0, 0)
        rows = list(
            raw_rows(
                connection,
                _COLUMNS,
                lambda asked: asked.where(inside).order_by(_log.request_id, _log.item).limit(most),
            )
        )
    whole = [row for row in rows if _is_whole(row, signature)]
    newest: dict[object, dict[str, Any]] = {}
    for place, row in enumerate(sorted(whole, key=lambda row: row["answered_s"])):
        newest[row["customer_id"] or place] = row
    return ServedRequests(_frame(list(newest.values()), signature), answered, len(rows) - len(whole))


def _is_whole(row: Mapping[str, Any], signature: Signature) -> bool:
    """Whether an answer says what it was given, in the release's own types."""
    features, probability = row["features"], row["probability"]
    if not isinstance(features, dict) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        return False
    if not isinstance(row["answered_s"], int | float) or not isinstance(row["customer_id"], str | None):
        return False
    return all(name in features and isinstance(features[name], int | float | None) for name in signature.numbers) and all(
        name in features and isinstance(features[name], str | None) for name in signature.categories
    )


def _frame(rows: list[dict[str, Any]], signature: Signature) -> pl.DataFrame:
    features = [row["features"] for row in rows]
    given = {
        **{name: pl.Series([one[name] for one in features], dtype=pl.Float64) for name in signature.numbers},
        **{name: pl.Series([one[name] for one in features], dtype=pl.String) for name in signature.categories},
        SCORE: pl.Series([row["probability"] for row in rows], dtype=pl.Float64),
        CALLED: pl.Series([bool(row["churn"]) for row in rows], dtype=pl.Boolean),
    }
    return signature.as_trained(pl.DataFrame(given))
