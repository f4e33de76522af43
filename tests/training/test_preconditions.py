"""Which columns say nothing, and what somebody asks of a family on a command line."""

import polars as pl
import pytest

from churn_assets.cli.train import TrainingRequest
from churn_assets.training.preconditions import constant_features, uninformative_numbers
from churn_assets.training.training_set import signature_of
from churn_store.errors import InputError
from churn_store.model.signature import MISSING_CATEGORY
from tests.champion.world import attributes, training_set


@pytest.mark.parametrize(
    ("values", "silent"),
    [
        ([None, float("nan")], ["spend"]),
        ([float("nan"), float("nan")], ["spend"]),
        ([None, None], ["spend"]),
        ([5.0, 5.0], ["spend"]),
        ([5.0, None], []),
        ([5.0, float("nan")], []),
    ],
)
def test_a_number_without_a_value_says_nothing_however_it_is_missing(values: list[float | None], silent: list[str]) -> None:
    rows = training_set()
    spend = pl.Series("spend", values * (rows.height // 2), dtype=pl.Float64)
    assert uninformative_numbers(rows.with_columns(spend), signature_of(attributes(), rows)) == silent


def test_rows_without_any_value_are_refused_however_they_are_missing() -> None:
    rows = training_set()
    missing = pl.Series([None, float("nan")] * (rows.height // 2), dtype=pl.Float64)
    numbers = attributes()[:2]
    with pytest.raises(InputError, match="no feature has any value in the"):
        uninformative_numbers(rows.with_columns(visits=missing, spend=missing), signature_of(numbers, rows))


def test_features_that_are_the_same_in_every_row_are_constant_and_a_missing_value_is_one_as_well() -> None:
    rows = training_set()
    half = rows.height // 2
    without = {
        "visits": pl.Series([3.0] * (2 * half)),
        "spend": pl.Series([None, float("nan")] * half, dtype=pl.Float64),
        "plan": pl.Series([None, MISSING_CATEGORY] * half, dtype=pl.String),
    }
    assert constant_features(rows, attributes()) == ()
    for name, values in without.items():
        assert constant_features(rows.with_columns(values.alias(name)), attributes()) == (name,)
    with_word = rows.with_columns(pl.Series("plan", ["pro", None] * half))
    assert constant_features(with_word, attributes()) == ()
    alike = rows.with_columns(values.alias(name) for name, values in without.items())
    with pytest.raises(InputError, match="no feature differs between the"):
        uninformative_numbers(alike.with_columns(spend=1.0), signature_of(attributes(), alike))


def test_a_parameter_that_is_set_twice_is_refused() -> None:
    with pytest.raises(InputError, match="--set gives max_depth more than once; expected each parameter once"):
        TrainingRequest("random_forest", ("max_depth=3", "max_depth=4")).config()
    assert TrainingRequest("random_forest", ("max_depth=3",)).config() == {"parameters": {"max_depth": 3}}
