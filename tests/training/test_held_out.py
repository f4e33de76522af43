"""The table of a pipeline's probabilities: of the same rows whatever their order, and read back as it was or not at all."""

import io
from functools import cache

import numpy as np
import polars as pl
import pytest

from churn_assets.tables import TRAIN
from churn_assets.training.held_out import PipelineProbabilities, compared_rows, decode, encode
from churn_store.errors import InputError
from tests.champion.world import Built, attributes, built, training_set


@cache
def candidate() -> Built:
    return built("logistic_regression", training_set(), attributes())


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def table() -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(encode(candidate().trained)))


def test_every_held_out_row_has_the_probability_that_its_export_gives() -> None:
    rows, altered = compared_rows(training_set(), candidate().signature)
    assert rows.height == training_set().filter(pl.col("role") != TRAIN).height
    found = candidate().trained
    assert found.model == candidate().model
    assert np.abs(candidate().scorer.score_frame(rows) - found.held_out).max() < 1e-6
    assert np.abs(candidate().scorer.score_frame(altered) - found.altered).max() < 1e-6


def test_rows_in_another_order_are_the_same_rows() -> None:
    shuffled = training_set().sample(fraction=1.0, shuffle=True, seed=3)
    again = candidate().says_of(shuffled)
    assert np.array_equal(again.held_out, candidate().trained.held_out)
    assert np.array_equal(again.altered, candidate().trained.altered)


def test_the_table_names_nobody_and_comes_back_as_it_went() -> None:
    assert table().columns == ["model", "altered", "probability"]
    found = decode(encode(candidate().trained))
    assert found.model == candidate().trained.model
    assert np.array_equal(found.held_out, candidate().trained.held_out)
    assert np.array_equal(found.altered, candidate().trained.altered)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: b"\x80\x04\x95", "can't be read"),
        (lambda: parquet(table().drop("model")), "have the columns"),
        (lambda: parquet(table().with_columns(pl.col("probability").cast(pl.Float32))), "have the columns"),
        (lambda: parquet(table().clear()), "of 0 models"),
        (
            lambda: parquet(pl.concat([table(), table().with_columns(model=pl.lit("0" * 64))])),
            "of 2 models",
        ),
        (lambda: parquet(table().with_columns(probability=pl.lit(None, dtype=pl.Float64))), "or some are missing"),
    ],
)
def test_another_table_is_refused(content: object, said: str) -> None:
    assert callable(content)
    with pytest.raises(InputError, match=said):
        decode(content())


def test_a_model_without_numbers_or_words_to_take_away_has_no_altered_rows() -> None:
    empty = PipelineProbabilities("0" * 64, np.array([0.5]), np.empty(0))
    assert decode(encode(empty)).altered.size == 0
