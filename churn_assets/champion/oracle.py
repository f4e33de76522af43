"""The true probabilities of churn, where the source knows them: the best that anyone could predict."""

from typing import Any

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import Scores
from churn_assets.tables import Source


def true_probabilities(source: Source, rows: pl.DataFrame, *, horizon_s: int) -> Scores | None:
    """The probability of churn of each row, given all that is true at its snapshot.

    Args:
        source: a synthetic one knows; of others nobody does.
        rows: ``customer_id`` and ``snapshot_s``.
        horizon_s: length of the label's window in seconds.

    Returns:
        One a row, in their order; None where the source does not know.
    """
    known: Any = getattr(source, "probability_of_leaving", None)
    if known is None:
        return None
    found = np.empty(rows.height)
    seconds = rows["snapshot_s"].to_numpy()
    for snapshot_s in np.unique(seconds):
        inside = seconds == snapshot_s
        found[inside] = known(rows["customer_id"].filter(pl.Series(inside)).to_list(), int(snapshot_s), horizon_s)
    return found
