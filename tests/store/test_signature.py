"""A model's inputs: what is decoded strictly, and how rows and frames become the same two tensors."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from churn_store.model.signature import MISSING_CATEGORY, Column, Signature

SIGNATURE = Signature(
    (
        Column(name="plan", kind="category", categories=("basic", "pro"), nullable=True),
        Column(name="sessions", kind="number", low=0, high=100),
        Column(name="days since ticket", kind="number", nullable=True),
    )
)
GOOD = {"plan": "pro", "sessions": 3, "days since ticket": None}


def decode(row: dict[str, object]) -> msgspec.Struct:
    return msgspec.json.decode(msgspec.json.encode(row), type=SIGNATURE.attributes)


def test_a_row_goes_through_the_decoder_unchanged_whatever_its_columns_are_called() -> None:
    assert SIGNATURE.row(decode(GOOD)) == GOOD


@pytest.mark.parametrize("name", ["total charges", "class", "_x", "__init__", "1st", "x-y", "ümlaut", "_0"])
def test_a_column_may_be_called_anything(name: str) -> None:
    signature = Signature((Column(name="other", kind="number"), Column(name=name, kind="number")))
    decoded = msgspec.json.decode(msgspec.json.encode({"other": 1, name: 2}), type=signature.attributes)
    assert signature.row(decoded) == {"other": 1.0, name: 2.0}


WRONG = [
    ({"sessions": -1}, r"sessions"),
    ({"sessions": 101}, r"sessions"),
    ({"sessions": None}, r"sessions"),
    ({"sessions": "3"}, r"sessions"),
    ({"sessions": True}, r"sessions"),
    ({"days since ticket": 1e39}, r"days since ticket"),
    ({"plan": 5}, r"plan"),
    ({"plan": "x" * 257}, r"plan"),
    ({"unknown": 1}, r"unknown"),
]


@pytest.mark.parametrize(("changed", "named"), WRONG)
def test_a_value_that_does_not_fit_is_refused_by_name(changed: dict[str, object], named: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=named):
        decode({**GOOD, **changed})


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_value_is_refused_by_name(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=name):
        decode({other: value for other, value in GOOD.items() if other != name})


def test_only_words_that_training_never_saw_are_unknown() -> None:
    assert SIGNATURE.unknown_categories({**GOOD, "plan": "gold"}) == ["plan"]
    assert SIGNATURE.unknown_categories(GOOD) == SIGNATURE.unknown_categories({**GOOD, "plan": None}) == []


def test_a_row_becomes_numbers_and_texts_with_the_missing_marked() -> None:
    numbers, categories = SIGNATURE.tensors([{"plan": None, "sessions": 2, "days since ticket": None}])
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, [[2.0, np.nan]])
    assert categories.tolist() == [[MISSING_CATEGORY]]


def test_rows_and_a_frame_become_the_same_tensors() -> None:
    rows: list[dict[str, Any]] = [GOOD, {"plan": None, "sessions": 7.5, "days since ticket": 1.25}]
    frame = pl.DataFrame(rows, schema={"plan": pl.String, "sessions": pl.Float64, "days since ticket": pl.Float64})
    for of_rows, of_frame in zip(SIGNATURE.tensors(rows), SIGNATURE.frame_tensors(frame), strict=True):
        np.testing.assert_array_equal(of_rows, of_frame)


@pytest.mark.parametrize(
    ("columns", "shapes"),
    [
        ((Column(name="n", kind="number"),), [(2, 1), (2, 0)]),
        ((Column(name="c", kind="category"),), [(2, 0), (2, 1)]),
    ],
)
def test_a_model_may_have_only_numbers_or_only_texts(columns: tuple[Column, ...], shapes: list[tuple[int, int]]) -> None:
    rows = [{"n": 1.0, "c": "a"}, {"n": 2.0, "c": "b"}]
    assert [tensor.shape for tensor in Signature(columns).tensors(rows)] == shapes
