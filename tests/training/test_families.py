"""Families: what is exported gives the probabilities of the pipeline, on every row that can come."""

import importlib.util
import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.settings.company import Settings
from churn_assets.settings.training import Training
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.families import FAMILIES, export, inputs
from churn_assets.training.families.light_gbm import LightGbm
from churn_assets.training.families.light_gbm import trees_of as light_trees
from churn_assets.training.families.random_forest import Forest
from churn_assets.training.families.xg_boost import XgBoost
from churn_assets.training.families.xg_boost import trees_of as xg_trees
from churn_assets.training.fitting import Fitted, fit, fit_family
from churn_assets.training.preconditions import correlation
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Column, Signature
from churn_store.releases.manifest import GOLDEN_TOLERANCE, TableVersion

NUMBERS = ("visits", "spend_cents", "seen_s", "days", "always", "never")
NAMES = sorted(FAMILIES)
FIRST_S = 1_700_000_000 // 128 * 128


def attributes(*, numbers: tuple[str, ...] = NUMBERS, categories: tuple[str, ...] = ("plan",)) -> tuple[Feature, ...]:
    columns = [
        *(Column(name=name, kind="number", nullable=True) for name in numbers),
        *(Column(name=name, kind="category", nullable=True) for name in categories),
    ]
    return features_of(["customers"], columns, has_time=False)


@cache
def company(count: int = 1_500, seed: int = 0) -> pl.DataFrame:
    """Whole numbers, amounts with a long tail, epoch seconds, fractions with gaps, a constant, a column without values.

    The epoch seconds are neighbours among the 32-bit floats, so a split point between two of them is none itself.
    """
    generator = np.random.default_rng(seed)
    visits = generator.integers(0, 50, count).astype(float)
    spend = np.exp(generator.normal(8, 2, count)).round()
    plan = generator.choice(np.array(["free", "pro", "team", None], dtype=object), count)
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


def fitted(family: str, later: pl.DataFrame, **parameters: int) -> Fitted:
    """A family fitted on the company and calibrated on later rows."""
    rows = pl.concat([company().with_columns(role=pl.lit(TRAIN)), later.with_columns(role=pl.lit(SELECT))])
    named = rows.with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
    settings = Settings(company="test", training=Training(seed=1)).fitting
    return fit_family(family, named, attributes(), settings, data=TableVersion(0), parameters=parameters)


@cache
def trained(family: str) -> tuple[Pipeline, Signature, Scorer]:
    """A calibrated pipeline of the family, and its export; trees are many and deep enough to have all kinds of nodes."""
    made = fitted(family, company(1_000, seed=11))
    return made.pipeline, made.signature, Scorer(made.model, made.signature)


def difference(pipeline: Pipeline, signature: Signature, scorer: Scorer, rows: pl.DataFrame) -> float:
    expected = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    return float(np.max(np.abs(scorer.score_frame(rows) - expected)))


def split_points(pipeline: Pipeline, column: int) -> npt.NDArray[np.float32]:
    """Every threshold of the trees on a number, as the library itself knows it, and its neighbours among the 32-bit floats."""
    model = pipeline.named_steps["model"].calibrated_classifiers_[0].estimator.estimator
    if isinstance(model, Forest):
        found = [one.tree_.threshold[one.tree_.feature == column] for one in model.estimators_]
    elif isinstance(model, LightGbm | XgBoost):
        trees = light_trees(model) if isinstance(model, LightGbm) else xg_trees(model)
        found = [tree.threshold[~tree.is_leaf & (tree.column == column)] for tree in trees]
    elif hasattr(model, "_predictors"):
        nodes = [predictor.nodes for [predictor] in model._predictors]
        found = [one["num_threshold"][(one["is_leaf"] == 0) & (one["feature_idx"] == column)] for one in nodes]
    else:
        found = [np.arange(-3, 60, 0.5)]
    exact = np.unique(np.concatenate(found)).astype(np.float32)
    near = np.concatenate([exact, np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))])
    return near[np.isfinite(near)]  # an infinite threshold parts what is missing from all that is there


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
    assert checked > 250


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
    features = attributes(numbers=numbers, categories=categories)
    if (numbers, categories) == (("always",), ()):
        with pytest.raises(InputError, match="no feature differs between the 1500 rows to train on"):
            fit(family, company(), features, seed=1)
        return
    pipeline, signature = fit(family, company(), features, seed=1)
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


ADVERSARIAL = st.one_of(
    st.none(),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e30, -1e30, 3.4e38, -3.4e38, 1e-45, -1e-45, 16_777_217.0, float(FIRST_S)]),
    st.integers(-3, 60).map(float),
)


@st.composite
def rows_of_anything(draw: st.DrawFn) -> pl.DataFrame:
    """Rows whose numbers are anything that a 32-bit float can be, many of them at a split point, with known and unknown words."""
    family = draw(st.sampled_from(NAMES))
    at = {name: [float(point) for point in points(family, place)] for place, name in enumerate(NUMBERS[:4])}
    count = draw(st.integers(1, 40))
    numbers = {
        name: draw(
            st.lists(
                ADVERSARIAL | st.sampled_from(at[name]) if at.get(name) else ADVERSARIAL, min_size=count, max_size=count
            )
        )
        for name in NUMBERS
    }
    words = draw(st.lists(st.sampled_from(["free", "pro", "team", None, "unheard of"]), min_size=count, max_size=count))
    return pl.DataFrame({**numbers, "plan": words}, schema={**dict.fromkeys(NUMBERS, pl.Float64), "plan": pl.String})


@cache
def points(family: str, column: int) -> npt.NDArray[np.float32]:
    return split_points(trained(family)[0], column)


@given(rows_of_anything())
def test_the_export_of_every_family_equals_the_pipeline_on_rows_of_anything(rows: pl.DataFrame) -> None:
    for family in NAMES:
        assert difference(*trained(family), rows) <= 1e-7, family


@pytest.mark.parametrize("family", NAMES)
def test_no_decision_is_flipped_by_the_export_at_a_threshold_between_two_scores(family: str) -> None:
    pipeline, signature, scorer = trained(family)
    rows = company(4_000, seed=12)
    exported = scorer.score_frame(rows)
    expected = pipeline.predict_proba(inputs(rows, signature))[:, 1]
    for share in (0.1, 0.5, 0.9):
        ordered = np.unique(exported)
        place = int(share * (len(ordered) - 2))
        threshold = (ordered[place] + ordered[place + 1]) / 2
        assert np.array_equal(exported >= threshold, expected >= threshold)


@pytest.mark.parametrize("family", ["gradient_boosting", "lightgbm", "random_forest", "xgboost"])
def test_a_single_tree_is_exported_as_well(family: str) -> None:
    [trees] = {"max_iter", "n_estimators"} & set(FAMILIES[family].parameters)
    made = fitted(family, company(500, seed=15), **{trees: 1})
    scorer = Scorer(made.model, made.signature)
    assert difference(made.pipeline, made.signature, scorer, company(300, seed=14)) <= 1e-7


@pytest.mark.parametrize("family", NAMES)
def test_a_tree_of_one_leaf_is_exported_as_well(family: str) -> None:
    rows = company(120, seed=13)  # too few for the smallest leaf that is asked for
    leaf = {"min_samples_leaf", "min_child_samples"} & set(FAMILIES[family].parameters)
    pipeline, signature = fit(family, rows, attributes(), parameters=dict.fromkeys(leaf, 100), seed=1)
    assert difference(pipeline, signature, Scorer(export(pipeline, signature), signature), company(300, seed=14)) <= 1e-7


@pytest.mark.parametrize(
    ("value", "said"), [(math.inf, "days in 1 rows"), (-math.inf, "days in 1 rows"), (1e39, "days in 1 rows")]
)
def test_what_no_32_bit_float_holds_is_refused_by_column_and_rows(value: float, said: str) -> None:
    rows = company()
    broken = rows.with_columns(days=pl.when(pl.int_range(pl.len()) == 7).then(value).otherwise("days"))
    with pytest.raises(InputError, match=f"of 1,500 rows to train on an infinite value.*{said}"):
        fit("logistic_regression", broken, attributes(), seed=1)
    with pytest.raises(InputError, match=f"of 1,500 rows to calibrate on an infinite value.*{said}"):
        fitted("logistic_regression", broken)


@pytest.mark.parametrize("family", ["logistic_regression", "lightgbm"])
@pytest.mark.parametrize("churned", [True, False])
def test_one_class_only_is_refused(family: str, *, churned: bool) -> None:
    said = "churned" if churned else "stayed"
    with pytest.raises(InputError, match=f"all 1500 rows to train on {said}; expected both"):
        fit(family, company().with_columns(churned=pl.lit(churned)), attributes(), seed=1)


def test_a_family_whose_package_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec

    def without_lightgbm(name: str, package: str | None = None) -> Any:
        return None if name == "lightgbm" else there(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_lightgbm)
    with pytest.raises(
        InputError, match=r"the package lightgbm is not installed; `pip install --editable '\.\[boosting\]'`"
    ):
        FAMILIES["lightgbm"].require_installed()
    FAMILIES["xgboost"].require_installed()
    FAMILIES["random_forest"].require_installed()


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


def test_a_tree_of_a_forest_draws_no_more_than_its_most_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    columns, churned = generator.random((2_000, 3)), generator.random(2_000) < 0.3
    monkeypatch.setattr("churn_assets.training.families.random_forest.MOST_ROWS_OF_A_TREE", 100)
    forest = Forest(n_estimators=3, max_samples=0.5, random_state=1).fit(columns, churned)
    assert {int(tree.tree_.weighted_n_node_samples[0]) for tree in forest.estimators_} == {100}
    assert forest.max_samples == 0.5
