"""The pipeline's probabilities of all held-out rows, as a table that is stored with the exported model.

The gate compares the export with this table, so it needs no pipeline.

Belongs here: which rows are compared, in which order,
and the format of the table. Does not belong here: the comparison (``champion.gate.export``).
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.tables import TRAIN
from churn_assets.training.families import inputs
from churn_assets.training.training_set import KEY
from churn_store.errors import InputError
from churn_store.model.signature import Column, Signature

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ALTERED_ROWS = 20
"""Number of held-out rows of which each column is also compared with a missing value or an unseen word."""

UNSEEN = "a word that nobody has seen"

SCHEMA = pl.Schema({"model": pl.String, "altered": pl.Boolean, "probability": pl.Float64})

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PipelineProbabilities:
    """The trained pipeline's probabilities of the compared rows.

    Attributes:
        model: sha256 of the ONNX model that was exported from the pipeline.
        held_out: probabilities of the held-out rows, in the order of ``held_out``.
        altered: probabilities of the rows of ``altered_rows``.
    """

    model: str
    held_out: Scores
    altered: Scores


def pipeline_probabilities(
    pipeline: "Pipeline", training_set: pl.DataFrame, signature: Signature, *, model: bytes
) -> PipelineProbabilities:
    """Score all held-out rows, and some of them with missing values and unseen words.

    Args:
        pipeline: fitted and calibrated pipeline.
        training_set: training set with the rows of every role.
        signature: the pipeline's inputs.
        model: exported pipeline, ONNX.
    """
    rows, altered = compared_rows(training_set, signature)
    return PipelineProbabilities(
        hashlib.sha256(model).hexdigest(), _scored(pipeline, rows, signature), _scored(pipeline, altered, signature)
    )


def compared_rows(training_set: pl.DataFrame, signature: Signature) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The held-out rows with the signature's columns, and some of them with missing values and unseen words."""
    rows = held_out(training_set)
    return rows.select(signature.names), altered_rows(rows.head(ALTERED_ROWS), signature)


def held_out(training_set: pl.DataFrame) -> pl.DataFrame:
    """The rows that the estimator was not fitted on, sorted by key: the selecting and the judging rows."""
    rows = training_set.filter(pl.col("role") != TRAIN)
    return rows.sort([name for name in KEY if name in rows.columns], maintain_order=True)


def altered_rows(rows: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Copies of rows with missing values and unseen words, in each column alone and then in all together.

    Args:
        rows: rows with the signature's columns.
        signature: signature of the model.
    """
    rows = rows.select(signature.names)
    missing = [_missing(column, rows) for column in signature.columns if column.nullable or column.kind == "category"]
    unseen = [_unseen(column) for column in signature.columns if column.kind == "category"]
    return pl.concat(_altered(rows, missing, unseen)) if missing or unseen else rows.clear()


def encode(probabilities: PipelineProbabilities) -> bytes:
    """The table as Parquet: one row for each probability, with the digest of the model."""
    scores_by_kind = ((False, probabilities.held_out), (True, probabilities.altered))
    table = pl.concat(
        pl.DataFrame({"altered": np.full(len(scores), altered), "probability": scores})
        for altered, scores in scores_by_kind
    )
    buffer = io.BytesIO()
    table.select(pl.lit(probabilities.model).alias("model"), "altered", "probability").cast(SCHEMA).write_parquet(
        buffer, compression="zstd"
    )
    return buffer.getvalue()


def decode(content: bytes) -> PipelineProbabilities:
    """Read the table back.

    Raises:
        InputError: the content is no such table, is empty, or belongs to several models.
    """
    try:
        table = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise InputError(f"the pipeline's probabilities can't be read: {error}") from error
    if table.schema.names() != SCHEMA.names() or any(
        dtype != expected for dtype, expected in zip(table.dtypes, SCHEMA.dtypes(), strict=True)
    ):
        raise InputError(f"the pipeline's probabilities have the columns {table.schema}; expected {SCHEMA}")
    models = table["model"].unique().to_list()
    if len(models) != 1 or table.null_count().sum_horizontal().item():
        raise InputError(
            f"the pipeline's probabilities are of {len(models)} models, or some are missing; expected one model"
        )
    of_rows, of_altered = (table.filter(altered=altered)["probability"].to_numpy() for altered in (False, True))
    return PipelineProbabilities(models[0], of_rows, of_altered)


def _scored(pipeline: "Pipeline", rows: pl.DataFrame, signature: Signature) -> Scores:
    if not rows.height:
        return np.empty(0)
    probabilities: Scores = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    return probabilities


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
