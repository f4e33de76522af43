"""Which PSI of a column is still usual: the cut of the drift rule, learned from the reference's own snapshots.

Belongs here: what a window of a given size shows without any change of the world. Does not belong here: the statistics
(``drift_statistics``) and the verdict (``drift``).
"""

import numpy as np
import polars as pl

from churn_assets.monitoring.drift_statistics import Bins, Sample
from churn_store.model.psi import population_stability_index
from churn_store.model.signature import Column

LEAST_ROWS = 100
"""The least number of rows of a window or training snapshot that is judged."""

USUAL_SHARE = 0.9
"""The share of training snapshots whose move from the others counts as usual; the rest may have been odd themselves."""

MOST_ALLOWED = 0.5
"""The upper limit of the usual PSI: a greater one matters whatever the training snapshots did, unless the configured effect is
greater still."""


def allowed_psi(reference: pl.DataFrame, column: Column, effect: float) -> float:
    """The PSI up to which a move does not matter: the effect, or more if seasons and growth alone cause more.

    The usual PSI is the one that all but the oddest tenth of the training snapshots (at least one of them) did not exceed, each
    against the others. It is capped at ``MOST_ALLOWED``: one broken month must not switch the judging of a feature off.
    """
    if "snapshot_s" not in reference.columns:
        return effect
    moves = []
    for snapshot in reference["snapshot_s"].unique().sort():
        inside = reference["snapshot_s"] == snapshot
        one, rest = (Sample.of(part[column.name], column) for part in (reference.filter(inside), reference.filter(~inside)))
        if min(one.rows, rest.rows) >= LEAST_ROWS:
            bins = Bins(rest, column)
            moves.append(population_stability_index(bins.tally(rest), bins.tally(one)))
    usual = float(np.quantile(moves, USUAL_SHARE, method="lower")) if moves else 0.0
    return max(effect, min(usual, MOST_ALLOWED))
