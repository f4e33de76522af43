"""What is fitted on which rows, and what comes of it."""

import numpy as np
import polars as pl
import pytest

from churn_assets.settings.company import Settings
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.diagnostics import order
from churn_assets.training.families import FAMILIES, inputs
from churn_assets.training.fitting import Fitted, Resampling, fit, fit_family, resampled, training_rows
from churn_assets.training.preconditions import uninformative_numbers
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.releases.manifest import TableVersion
from tests.champion.world import attributes, training_set

NAMES = sorted(FAMILIES)
MADE_OF = TableVersion(3, "d" * 64)


def fitted(family: str, rows: pl.DataFrame, **training: object) -> Fitted:
    settings = Settings(company="test", training=Training(**training)).fitting
    return fit_family(family, rows, attributes(), settings, data=MADE_OF)


@pytest.mark.parametrize("family", NAMES)
def test_judging_rows_have_no_say_and_measures_are_of_the_selecting_ones(family: str) -> None:
    rows = training_set()
    other = rows.with_columns(churned=pl.when(pl.col("role") == JUDGE).then(~pl.col("churned")).otherwise("churned"))
    one, two = fitted(family, rows), fitted(family, other)
    assert one.model == two.model
    assert (one.measures, one.threshold) == (two.measures, two.threshold)
    assert 0.6 < one.measures["auc"] < 0.95
    assert one.measures["base_rate"] == rows.filter(role=SELECT)["churned"].mean()
    assert one.training_set == MADE_OF


@pytest.mark.parametrize("family", NAMES)
def test_the_threshold_lies_between_two_scores_of_the_exported_model(family: str) -> None:
    rows = training_set()
    found = fitted(family, rows)
    scores = Scorer(found.model, found.signature).score_frame(rows.filter(role=SELECT))
    assert found.threshold not in scores
    assert scores.min() < found.threshold < scores.max()


@pytest.mark.parametrize("family", ["logistic_regression", "lightgbm"])
@pytest.mark.parametrize("resampling", ["none", "undersample", "oversample"])
def test_whatever_rows_train_the_probabilities_are_right_in_the_large(family: str, resampling: Resampling) -> None:
    rows = training_set().filter(~((pl.col("churned")) & (pl.col("noise") < 0.6)))  # churners are the rarer class now
    found = fitted(family, rows, resampling=resampling)
    later = rows.filter(role=JUDGE)
    scores = Scorer(found.model, found.signature).score_frame(later)
    assert later["churned"].mean() == pytest.approx(scores.mean(), abs=0.03)
    estimator, signature = fit(family, rows.filter(role=TRAIN), attributes(), seed=1, resampling=resampling)
    before = estimator.predict_proba(inputs(later, signature))[:, 1].mean()
    assert (abs(before - scores.mean()) > 0.1) == (resampling != "none")


@pytest.mark.parametrize("family", NAMES)
def test_what_is_constant_in_the_training_rows_is_no_input_and_changes_no_probability(family: str) -> None:
    rows = training_set()
    visits = pl.when(pl.col("role") == TRAIN).then(pl.lit(3.0)).otherwise("visits").alias("visits")
    found = fitted(family, rows.with_columns(visits))
    assert found.constant == ("visits",)
    assert set(found.signature.names) == {feature.name for feature in attributes()} - {"visits"}
    assert not set(found.ignored) & {"visits"}
    alone = fit_family(
        family,
        rows,
        tuple(feature for feature in attributes() if feature.name != "visits"),
        Settings(company="test").fitting,
        data=MADE_OF,
    )
    assert (alone.model, alone.constant, alone.signature) == (found.model, (), found.signature)
    assert fitted(family, rows).signature.names[0] == "visits"


def test_resampling_takes_whole_rows_of_training_and_leaves_none_of_the_rarer_class_out() -> None:
    rows = training_set().filter(~((pl.col("churned")) & (pl.col("noise") < 0.6)))
    churned, stayed = rows["churned"].sum(), (~rows["churned"]).sum()
    assert churned < stayed
    under, over = (resampled(rows, way, seed=1) for way in ("undersample", "oversample"))
    assert (under.height, under["churned"].sum(), under.n_unique()) == (2 * churned, churned, 2 * churned)
    assert (over.height, over["churned"].sum(), over.n_unique()) == (2 * stayed, stayed, rows.height)
    for drawn in (under, over):
        assert drawn.join(rows, on=rows.columns, how="anti").height == 0
    assert under.equals(resampled(rows, "undersample", seed=1))
    assert not under.equals(resampled(rows, "undersample", seed=2))
    assert resampled(rows, "none", seed=1) is rows


def test_what_says_nothing_is_named_and_changes_no_score() -> None:
    rows = training_set().with_columns(spend=pl.lit(5.0))
    signature = fit("gradient_boosting", rows.filter(role=TRAIN), attributes(), seed=1)[1]
    assert uninformative_numbers(rows.filter(role=TRAIN), signature) == ["spend"]
    found = fitted("gradient_boosting", rows, minimum_correlation=0.05)
    assert (found.constant, found.ignored) == (("spend",), ())
    scorer = Scorer(found.model, found.signature)
    judging = rows.filter(role=JUDGE)
    assert np.array_equal(scorer.score_frame(judging), scorer.score_frame(judging.with_columns(spend=pl.lit(1e6))))


def test_a_calibration_that_turns_the_order_round_says_so() -> None:
    rows = training_set()
    turned = rows.with_columns(churned=pl.when(pl.col("role") == SELECT).then(~pl.col("churned")).otherwise("churned"))
    assert order(fitted("logistic_regression", rows).pipeline) == "kept by the calibration"
    found = fitted("logistic_regression", turned)
    assert order(found.pipeline).startswith("reversed by the calibration")
    assert found.measures["auc"] > 0.6  # of the selecting rows, which it follows


def test_too_few_churners_for_two_halves_is_a_sentence() -> None:
    rows = training_set()
    one = rows.filter(role=SELECT).filter("churned").head(1)
    selecting = pl.concat([one, rows.filter(role=SELECT).filter(~pl.col("churned"))])
    with pytest.raises(InputError, match=r"1 of .* rows to calibrate on churned: too few to calibrate on one half"):
        fitted("logistic_regression", pl.concat([rows.filter(role=TRAIN), selecting]))
    with pytest.raises(InputError, match="rows to calibrate on stayed; expected both"):
        fitted("logistic_regression", pl.concat([rows.filter(role=TRAIN), selecting.filter(~pl.col("churned"))]))


def test_a_model_is_fitted_on_no_more_rows_than_most_rows_of_whole_customers_and_is_calibrated_on_all_that_select() -> None:
    rows = training_set()
    limited = Training(most_rows=1_000)
    assert training_rows(rows, limited, seed=42).equals(rows.filter(role=TRAIN))  # fewer: nothing is drawn
    longer = pl.concat(
        [
            rows,
            *(
                rows.filter(role=TRAIN).with_columns(customer_id=pl.format("{}-{}", "customer_id", pl.lit(one)))
                for one in range(2)
            ),
        ]
    )
    few = training_rows(longer, limited, seed=42)
    assert 990 < few.height <= 1_000
    assert set(few.group_by("customer_id").len()["len"]) == {3}
    one, two = (
        fitted("logistic_regression", part, most_rows=1_000)
        for part in (longer, pl.concat([few, rows.filter(role=SELECT)]))
    )
    assert one.model == two.model
