"""The drawing of a window beside the baseline: what the reports of drift and of data quality share.

Does not belong here: what is on a page (``report_page``, ``quality_page``), and how Evidently draws (``evidently_report``).
"""

from collections.abc import Sequence

import polars as pl

from churn_assets.monitoring.evidently_report import Drawing, Kind, draw
from churn_assets.monitoring.judged_windows import SCORED
from churn_assets.monitoring.window_rows import scored
from churn_assets.settings.monitoring import Monitoring
from churn_store.model.signature import Column
from churn_store.monitoring.facts import FeatureMove
from churn_store.releases.bundles import Bundle
from churn_store.reports import address_of
from churn_store.storage.digest_store import digest_of

ANY_PSI = 1e9
"""The allowed PSI of a column that is not judged, so large that the page always draws it as not drifted."""


def drawing_of(
    bundle: Bundle,
    reference: pl.DataFrame | None,
    rows: pl.DataFrame,
    moves: Sequence[FeatureMove],
    monitoring: Monitoring,
    *,
    seed: int,
    kind: Kind,
) -> Drawing:
    """What Evidently draws of a window; nothing where there is no reference to draw beside it.

    Args:
        bundle: release whose scores are drawn.
        reference: reference rows with ``score``.
        rows: rows of the window.
        moves: moves of the features; the greatest are drawn first.
        monitoring: section ``monitoring``, with the rows that are drawn.
        seed: seed of the sample.
        kind: what is drawn.
    """
    columns = [
        column
        for column in (*bundle.manifest.signature.columns, SCORED)
        if reference is not None and column.name in reference.columns
    ]
    if reference is None or not columns:
        return Drawing(None, None, ())
    return draw(
        reference,
        scored(bundle, rows),
        columns,
        kind=kind,
        allowed=allowed_of(moves, columns, monitoring.effect),
        order=[move.feature for move in sorted(moves, key=lambda move: -move.psi)],
        rows=monitoring.report_rows,
        seed=seed,
    )


def allowed_of(moves: Sequence[FeatureMove], columns: Sequence[Column], effect: float) -> dict[str, float]:
    """The PSI of each column up to which the page draws it as not drifted; any PSI for a column that is only shown."""
    judged = {move.feature: move.cut if move.judged else ANY_PSI for move in moves}
    return {column.name: judged.get(column.name, effect) for column in columns}


def frame_of(drawing: Drawing) -> str | None:
    """The file of a drawing, as the frame of a page names it; ``None`` where nothing was drawn."""
    return None if drawing.page is None else address_of(digest_of(drawing.page.encode()))
