"""Families: what is exported gives the probabilities of the pipeline, on every row that can come."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.training.families import FAMILIES, export, inputs
from churn_assets.training.fitting import correlation, fit, fit_and_measure
from churn_assets.training.split import SELECT, TRAIN
from churn_store.errors import InputError
from churn_store.manifest import GOLDEN_TOLERANCE
from churn_store.scoring import Scorer
from churn_store.signature import Column, Signature

NUMBERS = ("visits", "spend_cents", "seen_s", "days", "always", "never")
NAMES = sorted(FAMILIES)
FIRST_S = 1_700_000_000 // 128 * 128


def attributes(*, numbers: tuple[str, ...] = NUMBERS, categories: tuple[str, ...] = ("plan",)) -> tuple[Feature, ...]:
    columns = [
        *(Column(name=name, kind="number", nullable=True) for name in numbers),
        *(Column(name=name, kind="category", nullable=True) for name in categories),
    ]
    return features_of(("customers",), columns, has_time=False)


@cache
def company(count: int = 1_500, seed: int = 0) -> pl.DataFrame:
    """Whole numbers, amounts with a long tail, epoch seconds, fractions with gaps, a constant, a column without values.

    The epoch seconds are neighbours among the 32-bit floats, so a split point between two of them is none itself.
    """
    generator = np.random.default_rng(seed)
    visits = generator.integers(0, 50, count).astype(float)
    spend = np.exp(generator.normal(8, 2, count)).round()
    plan = generator.choice(["free", "pro", "team", None], count)
    seen = generator.integers(0, 40, count)
    log_odds = (25 - visits) / 10 - np.log1p(spend) / 4 + 2 * (plan == "free") + np.sin(seen) + 1
    return pl.DataFrame(
        {
            "visits": visits,
            "spend_cents": spend,
            "seen_s": FIRST_S + 128.0 * seen,
            "days": [None if missing else day for missing, day in zip(generator.random(count) < 0.3, generator.random(count) * 90, strict=True)],
            "always": 7.0,
            "never": pl.Series([None] * count, dtype=pl.Float64),
            "plan": pl.Series(plan.tolist(), dtype=pl.String),
            "churned": generator.random(count) < 1 / (1 + np.exp(-log_odds)),
        }
    )  # fmt: skip


@cache
def trained(family: str) -> tuple[Pipeline, Signature, Scorer]:
    pipeline, signature = fit(family, company(), attributes(), seed=1)
    return pipeline, signature, Scorer(export(pipeline, signature), signature)


def difference(pipeline: Pipeline, signature: Signature, scorer: Scorer, rows: pl.DataFrame) -> float:
    expected = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    return float(np.max(np.abs(scorer.score_frame(rows) - expected)))


def split_points(pipeline: Pipeline, column: int) -> npt.NDArray[np.float32]:
    """Every threshold of the trees on a number, and its neighbours among the 32-bit floats."""
    model = pipeline.named_steps["model"]
    if not isinstance(model, HistGradientBoostingClassifier):
        return np.arange(-3, 60, 0.5, dtype=np.float32)
    found = [
        predictor.nodes["num_threshold"][
            ~predictor.nodes["is_leaf"].astype(bool) & (predictor.nodes["feature_idx"] == column)
        ]
        for predictors in model._predictors
        for predictor in predictors
    ]
    exact = np.unique(np.concatenate(found)).astype(np.float32)
    return np.concatenate([exact, np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))])


@pytest.mark.parametrize("family", NAMES)
def test_the_export_equals_the_pipeline_on_other_rows_with_gaps_and_unseen_words(family: str) -> None:
    rows = company(10_000, seed=9).with_columns(
        plan=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("a word that training never saw")).otherwise("plan")
    )
    assert difference(*trained(family), rows) <= GOLDEN_TOLERANCE


@pytest.mark.parametrize("family", NAMES)
def test_the_export_equals_the_pipeline_at_every_split_point_and_beside_it(family: str) -> None:
    pipeline, signature, scorer = trained(family)
    base = company(400, seed=3)
    checked = 0
    for column, name in enumerate(signature.numbers[:4]):
        points = split_points(pipeline, column)
        rows = pl.concat([base] * (len(points) // base.height + 1)).head(len(points))
        checked += len(points)
        assert difference(pipeline, signature, scorer, rows.with_columns(pl.Series(name, points.astype(np.float64)))) <= (
            GOLDEN_TOLERANCE
        )
    assert checked > 300


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("value", [None, 0.0, -1e30, 1e30, 3.4e38, 16_777_217.0, 1e-45])
def test_the_export_equals_the_pipeline_at_extreme_values(family: str, value: float | None) -> None:
    rows = company(50, seed=4).with_columns(pl.lit(value, dtype=pl.Float64).alias(name) for name in NUMBERS)
    assert difference(*trained(family), rows) <= GOLDEN_TOLERANCE


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize(
    ("numbers", "categories"),
    [(("visits", "days"), ()), ((), ("plan",)), (("always",), ()), (("never",), ("plan",)), (("never", "visits"), ())],
)
def test_a_model_may_have_only_numbers_or_only_words_or_columns_that_say_nothing(
    family: str, numbers: tuple[str, ...], categories: tuple[str, ...]
) -> None:
    pipeline, signature = fit(family, company(), attributes(numbers=numbers, categories=categories), seed=1)
    scorer = Scorer(export(pipeline, signature), signature)
    assert difference(pipeline, signature, scorer, company(500, seed=2)) <= GOLDEN_TOLERANCE


@pytest.mark.parametrize("family", NAMES)
def test_a_number_without_any_value_in_training_changes_no_score_later(family: str) -> None:
    pipeline, signature, scorer = trained(family)
    rows = company(300, seed=5)
    later = rows.with_columns(never=pl.lit(5.0))
    assert np.array_equal(scorer.score_frame(later), scorer.score_frame(rows))
    assert difference(pipeline, signature, scorer, later) <= GOLDEN_TOLERANCE


@pytest.mark.parametrize("family", NAMES)
def test_nothing_to_learn_from_is_said_in_a_sentence(family: str) -> None:
    with pytest.raises(InputError, match="no feature has any value in the 1500 rows to train on"):
        fit(family, company(), attributes(numbers=("never",), categories=()), seed=1)


@pytest.mark.parametrize("family", NAMES)
def test_fitting_again_gives_the_same_bytes(family: str) -> None:
    features = attributes(numbers=("visits", "days"))
    again: list[bytes] = []
    for _ in range(2):
        pipeline, signature = fit(family, company(), features, seed=1)
        again.append(export(pipeline, signature))
    assert again[0] == again[1]


def test_rounding_the_trees_for_the_export_moves_no_probability_by_more_than_a_hair() -> None:
    pipeline, signature = fit("gradient_boosting", company(), attributes(), seed=1)
    rows = company(5_000, seed=6)
    before = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    export(pipeline, signature)
    assert np.max(np.abs(pipeline.predict_proba(inputs(rows, signature))[:, 1] - before)) < 1e-4


@pytest.mark.parametrize("family", NAMES)
def test_a_family_is_measured_on_the_selecting_rows_only(family: str) -> None:
    rows = pl.concat([company().with_columns(role=pl.lit(TRAIN)), company(800, seed=7).with_columns(role=pl.lit(SELECT))])
    judge: dict[str, Any] = {"role": "judge", "churned": True}
    noise = company(100, seed=8).with_columns(**{name: pl.lit(value) for name, value in judge.items()})
    fitted = fit_and_measure(family, rows, attributes(), seed=1)
    assert fitted == fit_and_measure(family, pl.concat([rows, noise]), attributes(), seed=1)
    assert 0.6 < fitted.measures["auc"] < 0.95
    assert 0 < fitted.threshold < 1


@pytest.mark.parametrize("family", NAMES)
def test_numbers_that_hardly_go_with_churn_are_taken_and_not_looked_at(family: str) -> None:
    rows = company()
    kept = [name for name in ("visits", "spend_cents", "seen_s", "days") if correlation(rows, name) >= 0.18]
    assert 0 < len(kept) < 4
    assert correlation(rows, "always") == 0.0
    there = rows.drop_nulls("days")
    assert correlation(rows, "days") == pytest.approx(abs(np.corrcoef(there["days"], there["churned"])[0, 1]))
    pipeline, signature = fit(family, rows, attributes(), seed=1, minimum_correlation=0.18)
    before = pipeline.predict_proba(inputs(rows, signature))
    for name in NUMBERS:
        other = rows.with_columns(pl.col(name).reverse() + 3)
        changed = not np.array_equal(pipeline.predict_proba(inputs(other, signature)), before)
        assert changed == (name in kept), name
    with pytest.raises(InputError, match=r"training\.minimum_correlation 0\.99.* lower it"):
        fit(family, rows, attributes(categories=()), seed=1, minimum_correlation=0.99)
