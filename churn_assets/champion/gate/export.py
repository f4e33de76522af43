"""Whether the exported model is the trained one: on its golden rows, and on every row that it was not fitted on."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from churn_assets.champion.gate.evidence import Case, Found
from churn_assets.training.families import inputs
from churn_store.model.signature import Column, Signature
from churn_store.releases.bundles import replay
from churn_store.releases.manifest import GOLDEN_TOLERANCE, decode_golden

ALTERED_ROWS = 20
"""Of so many held-out rows each column is taken away, or given a word that nobody has seen."""

UNSEEN = "a word that nobody has seen"


def golden_rows_repeat(case: Case) -> Found:
    """The export gives the golden rows the probabilities that the trained pipeline gave."""
    golden = decode_golden(case.golden)
    difference = replay(case.scorer, golden)
    return Found(
        difference <= GOLDEN_TOLERANCE,
        f"{difference:.1e} on {len(golden.rows)} golden rows",
        f"at most {GOLDEN_TOLERANCE:.0e}",
        numbers={"greatest_difference": difference, "rows": len(golden.rows)},
    )


def export_equals_pipeline(case: Case) -> Found:
    """The export gives what the pipeline gives, and decides alike, on all held-out rows and with values missing and words unseen."""
    altered = altered_rows(case.held_out.head(ALTERED_ROWS), case.scorer.signature)
    rows = pl.concat([case.held_out.select(altered.columns), altered], how="vertical_relaxed")
    exported = case.scorer.score_frame(rows)
    trained = case.pipeline.predict_proba(inputs(rows, case.scorer.signature))[:, 1]
    difference = float(np.max(np.abs(exported - trained)))
    flipped = int(np.sum((exported >= case.threshold) != (trained >= case.threshold)))
    return Found(
        difference <= GOLDEN_TOLERANCE and flipped == 0,
        f"{difference:.1e} and {flipped} decisions flipped on {case.held_out.height} held-out rows and {altered.height} with values "
        "missing or words unseen",
        f"at most {GOLDEN_TOLERANCE:.0e}, and no decision at the threshold {case.threshold:.4f} flipped",
        numbers={
            "greatest_difference": difference,
            "flipped": flipped,
            "held_out_rows": case.held_out.height,
            "altered_rows": altered.height,
        },
    )


def altered_rows(rows: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Rows with each column alone, and then all together, missing where that is allowed, and of unseen words.

    Args:
        rows: with the signature's columns.
        signature: of the model.
    """
    rows = rows.select(signature.names)
    missing = [_missing(column, rows) for column in signature.columns if column.nullable or column.kind == "category"]
    unseen = [_unseen(column) for column in signature.columns if column.kind == "category"]
    return pl.concat(_altered(rows, missing, unseen)) if missing or unseen else rows.clear()


def _altered(rows: pl.DataFrame, missing: list[pl.Expr], unseen: list[pl.Expr]) -> Iterator[pl.DataFrame]:
    for expression in (*missing, *unseen):
        yield rows.with_columns(expression)
    yield rows.with_columns(missing)
    yield rows.with_columns(unseen)
    yield rows.with_columns(missing).with_columns(unseen)


def _missing(column: Column, rows: pl.DataFrame) -> pl.Expr:
    return pl.lit(None, dtype=rows.schema[column.name]).alias(column.name)


def _unseen(column: Column) -> pl.Expr:
    word = UNSEEN
    while word in column.categories:
        word += "!"
    return pl.lit(word).alias(column.name)
