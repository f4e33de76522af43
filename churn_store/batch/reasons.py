"""The strongest reasons of scored rows, as the lake has them.

Belongs here: reasons of many rows, and their columns. Does not belong here: the reasons of one row (``churn_store.model.reasons``).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import polars as pl

from churn_store.model.reasons.explainer import STRONGEST, Explainer, Explanation
from churn_store.model.scorer import NoProbabilityError

CODE, TEXT, CONTRIBUTION, ACTIONABLE = "", "_text", "_log_odds", "_actionable"

REASON_COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    f"reason_{place}{end}": kind
    for place in range(1, STRONGEST + 1)
    for end, kind in ((CODE, pl.String), (TEXT, pl.String), (CONTRIBUTION, pl.Float64), (ACTIONABLE, pl.Boolean))
}
"""The columns of the strongest reasons, with their types."""

THREADS: Final = 2
"""Threads for what is not quick: the runtime and numpy on large arrays let go of Python's lock, and the rest of the work does not."""


def reasons_of(explainer: Explainer, rows: pl.DataFrame) -> pl.DataFrame:
    """The strongest reasons that raise the risk of each row: ``REASON_COLUMNS``, in the order of the rows.

    A row has as many as it has; the columns of the others are empty. So are all of a row for which the model gives no probability.

    Args:
        explainer: explainer of the release.
        rows: ``customer_id`` and the signature's columns.
    """
    numbers, words = explainer.signature.frame_tensors(rows)

    def explained(place: int) -> Explanation | None:
        try:
            return explainer.explain(customers[place], numbers[place], words[place])
        except NoProbabilityError:
            return None

    customers = rows["customer_id"].to_list()
    if explainer.is_quick:
        found = [explained(place) for place in range(rows.height)]
    else:
        with ThreadPoolExecutor(max_workers=min(THREADS, os.cpu_count() or 1)) as threads:
            found = list(threads.map(explained, range(rows.height)))
    records = [[] if explanation is None else _record(explanation) for explanation in found]
    return pl.DataFrame(
        [[*record, *[None] * (len(REASON_COLUMNS) - len(record))] for record in records],
        schema=REASON_COLUMNS,
        orient="row",
    )


def _record(explanation: Explanation) -> list[object]:
    return [
        value
        for reason in explanation.raising
        for value in (reason.code, reason.text, reason.contribution, reason.actionable)
    ]
