"""The drawn drift report: pages by Evidently, for people. It decides nothing (``drift`` does)."""

import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from churn_store.model.signature import MISSING_CATEGORY, Column

NOTHING = (
    "<!doctype html><html lang=en><title>Drift</title><p>Nothing to draw: no column has values on both sides ({}).</html>"
)


def draw(
    reference: pl.DataFrame,
    window: pl.DataFrame,
    columns: list[Column],
    file: Path,
    *,
    allowed: Mapping[str, float],
    rows: int,
    seed: int,
) -> list[str]:
    """Write an HTML page that compares two frames column by column.

    Args:
        reference: training rows.
        window: rows of the newest snapshot.
        columns: columns to draw.
        file: path of the page; its folder is created.
        allowed: PSI of each column up to which it is drawn as not drifted. Evidently's own limits would contradict our rule. The page
            draws one window and tests nothing; the verdict is in the asset's metadata.
        rows: greatest number of rows to draw of each side, by a sample.
        seed: seed of the sample.

    Returns:
        Names of the columns that could not be drawn, as one side has no value.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - five seconds of import
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    drawn = [column for column in columns if reference[column.name].count() and window[column.name].count()]
    left_out = [column.name for column in columns if column not in drawn]
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    if not drawn:
        beside.write_text(NOTHING.format(", ".join(left_out)), encoding="utf-8")
        beside.replace(file)
        return left_out
    definition = DataDefinition(
        numerical_columns=[column.name for column in drawn if column.kind == "number"],
        categorical_columns=[column.name for column in drawn if column.kind == "category"],
    )

    def dataset(frame: pl.DataFrame) -> Dataset:
        sampled = frame.select([column.name for column in drawn]).sample(min(rows, frame.height), seed=seed)
        filled = sampled.with_columns(pl.col(pl.String).fill_null(MISSING_CATEGORY))
        return Dataset.from_pandas(filled.to_pandas(), data_definition=definition)

    # One drifted column counts as drift; Evidently's default is half of them.
    preset = DataDriftPreset(method="psi", per_column_threshold=dict(allowed), drift_share=0.5 / len(drawn))
    snapshot = Report([preset]).run(dataset(window), dataset(reference))
    snapshot.save_html(str(beside))
    beside.replace(file)
    return left_out
