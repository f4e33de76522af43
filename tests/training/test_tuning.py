"""The search: the same parameters twice, from training rows alone, inside a space that makes sense."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

from churn_assets.settings.company import Settings
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.training import Training
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training import tuning
from churn_assets.training.families import FAMILIES, export, inputs
from churn_assets.training.families.gradient_boosting import MOST_ROUNDS
from churn_assets.training.fitting import Trial, fit, fit_early_stopping
from churn_assets.training.search_space import search_space
from churn_assets.training.split import sample_customers
from churn_assets.training.training_set import signature_of
from churn_assets.training.tuning import best, folds, search_and_fit, shares, tune
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.releases.manifest import TableVersion
from tests.champion.world import attributes, training_set

HORIZON_S = 30 * DAY_S
MADE_OF = TableVersion(0, "0" * 64)


def settings(**training: Any) -> FittingSettings:
    return Settings(company="test", training=Training(trials=3, **training)).fitting


def training_rows(seed: int = 0) -> pl.DataFrame:
    return training_set(seed).filter(role=TRAIN)


def test_the_same_rows_and_seed_find_the_same_parameters_and_the_defaults_come_first() -> None:
    once, again = (tune("lightgbm", training_rows(), attributes(), settings()) for _ in range(2))
    assert once == again
    assert len(once) == 3
    assert once[0].parameters == FAMILIES["lightgbm"].defaults
    assert len({trial.log_loss for trial in once}) == 3
    assert min(trial.log_loss for trial in once) <= best(once).log_loss < 0.693
    assert once[0].noise == 0 < once[1].noise
    other = tune("lightgbm", training_rows(), attributes(), settings(), seed=7)
    assert [trial.parameters for trial in other[1:]] != [trial.parameters for trial in once[1:]]


def test_shares_grow_threefold_to_all_rows_and_keep_their_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = training_rows()
    few, more, every = shares(rows, 50, seed=1)
    assert few.height <= 50 < more.height <= 150 < every.height <= 450
    assert set(few["customer_id"]) < set(more["customer_id"]) < set(every["customer_id"])
    assert [part.height for part in shares(rows, rows.height, seed=1)] == [rows.height]
    monkeypatch.setattr(tuning, "SHARES", 1)
    assert len(list(shares(rows, 50, seed=1))) == 1


def test_the_defaults_and_the_untuned_parameters_reach_the_largest_share_and_the_best_is_of_those_that_do() -> None:
    rows = training_rows()
    found = tune("gradient_boosting", rows, attributes(), settings(tuning_rows=500), trials=8)
    assert [trial.rows for trial in found[:2]] == [rows.height, rows.height]
    assert found[1].parameters == FAMILIES["gradient_boosting"].untuned
    assert found[0].parameters["max_iter"] < MOST_ROUNDS
    dropped = [trial for trial in found if trial.rows < rows.height]
    assert 1 <= len(dropped) < 7
    assert best(found).rows == rows.height


def test_a_loss_on_fewer_rows_is_not_compared_and_of_equal_ones_the_first_is_taken() -> None:
    first, second, small = Trial({"C": 1.0}, 0.3, 900), Trial({"C": 2.0}, 0.3, 900), Trial({"C": 3.0}, 0.1, 500)
    assert best((first, second, small)) is first


def test_the_defaults_are_taken_where_another_is_better_by_no_more_than_its_standard_error() -> None:
    first, other = Trial({"C": 1.0}, 0.300, 900), Trial({"C": 2.0}, 0.299, 900, noise=0.002)
    assert best((first, other)) is first
    assert best((first, better := Trial({"C": 2.0}, 0.297, 900, noise=0.002))) is better


def test_boosting_stops_on_later_rows_and_is_what_as_many_rounds_make() -> None:
    rows = training_rows()
    earlier, later = list(folds(rows, horizon_s=HORIZON_S, seed=1))[-1]
    stopped, signature, rounds = fit_early_stopping(
        "gradient_boosting", earlier, later, attributes(), parameters={"learning_rate": 0.2}, seed=1
    )
    assert 1 <= rounds < 60
    fitted, _ = fit(
        "gradient_boosting", earlier, attributes(), parameters={"learning_rate": 0.2, "max_iter": rounds}, seed=1
    )
    assert export(stopped, signature) == export(fitted, signature)
    churned = later["churned"].to_numpy()
    for other in (max(1, rounds // 2), rounds + 10):
        beside, _ = fit(
            "gradient_boosting", earlier, attributes(), parameters={"learning_rate": 0.2, "max_iter": other}, seed=1
        )
        assert log_loss(churned, probabilities(beside, later)) > log_loss(churned, probabilities(stopped, later))


def probabilities(pipeline: Pipeline, rows: pl.DataFrame) -> Any:
    columns = inputs(rows, signature_of(attributes(), rows))
    return pipeline.predict_proba(columns)[:, 1]


def test_selecting_and_judging_rows_have_no_say() -> None:
    rows = training_set()
    trains = pl.col("role") == TRAIN
    other = rows.with_columns(  # turned labels alone the calibration would turn back
        churned=pl.when(trains).then("churned").otherwise(pl.col("noise") < 0.3),
        visits=pl.when(trains).then("visits").otherwise(pl.col("spend")),
    )
    tried = [
        search_and_fit("logistic_regression", frame, attributes(), settings(), data=MADE_OF).trials
        for frame in (rows, other)
    ]
    assert tried[0] == tried[1]
    assert len(tried[0]) == 3


def test_a_snapshot_measures_only_what_was_fitted_one_horizon_before() -> None:
    rows = training_rows()
    found = list(folds(rows, horizon_s=HORIZON_S, seed=1))
    assert len(found) == 2
    for earlier, later in found:
        [measured] = later["snapshot_s"].unique().to_list()
        assert earlier["snapshot_s"].max() + HORIZON_S <= measured
    assert later["snapshot_s"].max() == rows["snapshot_s"].max()


def test_snapshots_between_the_measured_one_and_one_horizon_before_it_are_left_out() -> None:
    """Their labels look into the measured snapshot."""
    rows, horizon_s = training_rows(), 60 * DAY_S
    first, between, measured = rows["snapshot_s"].unique().sort()
    assert measured - horizon_s < between
    [(earlier, later)] = folds(rows, horizon_s=horizon_s, seed=1)
    assert earlier["snapshot_s"].unique().to_list() == [first]
    assert later["snapshot_s"].unique().to_list() == [measured]


@pytest.mark.parametrize("horizon_s", [None, 400 * DAY_S])
def test_without_time_and_with_too_few_snapshots_folds_are_of_customers(horizon_s: int | None) -> None:
    rows = training_rows()
    found = list(folds(rows if horizon_s else rows.drop("snapshot_s"), horizon_s=horizon_s, seed=1))
    assert len(found) == 2
    for earlier, later in found:
        assert not set(earlier["customer_id"]) & set(later["customer_id"])
        assert earlier.height + later.height == rows.height


def test_whole_customers_are_drawn_up_to_the_limit() -> None:
    rows = training_rows()
    few = sample_customers(rows, 500, draw="1")
    assert 490 < few.height <= 500
    kept = set(few["customer_id"])
    assert few.equals(rows.filter(pl.col("customer_id").is_in(kept)))
    assert few.equals(sample_customers(rows, 500, draw="1"))
    assert set(sample_customers(rows, 500, draw="2")["customer_id"]) != kept
    assert sample_customers(rows, rows.height, draw="1") is rows


def test_fixed_parameters_are_left_alone_and_a_budget_of_one_takes_the_defaults() -> None:
    fitted = search_and_fit(
        "gradient_boosting",
        training_set(),
        attributes(),
        settings(),
        data=MADE_OF,
        fixed={"max_iter": 20, "learning_rate": 0.3},
    )
    assert {(trial.parameters["max_iter"], trial.parameters["learning_rate"]) for trial in fitted.trials} == {(20, 0.3)}
    assert len({trial.parameters["max_leaf_nodes"] for trial in fitted.trials}) > 1
    assert fitted.parameters == best(fitted.trials).parameters
    one = search_and_fit(
        "gradient_boosting", training_set(), attributes(), settings(), data=MADE_OF, fixed={"max_iter": 20}, trials=1
    )
    assert one.trials == ()
    assert one.parameters == {**FAMILIES["gradient_boosting"].defaults, "max_iter": 20}


def test_the_settings_space_takes_the_place_of_the_family_s_own() -> None:
    searched = settings(search={"random_forest": {"max_depth": (3, 4), "n_estimators": (5, 9)}})
    space = search_space(FAMILIES["random_forest"], searched.training, fixed={"max_features": 0.5})
    assert (space["max_depth"].least, space["max_depth"].greatest) == (3, 4)
    assert set(space) == {"max_depth", "n_estimators", "min_samples_leaf"}
    tried = tune("random_forest", training_rows(), attributes(), searched)
    assert {3, 4} >= {trial.parameters["max_depth"] for trial in tried}
    assert all(5 <= trial.parameters["n_estimators"] <= 9 for trial in tried)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            {"xgboost": {"depth": (1, 2)}},
            r"training\.search\.xgboost: xgboost has no parameter 'depth'; known are learning_rate",
        ),
        ({"xgboost": {"max_depth": (5, 2)}}, r"max_depth is searched from 5 to 2; expected the least value first"),
        ({"xgboost": {"max_depth": (0, 2)}}, r"max_depth is searched from 0 to 2; expected a whole number from 1 to 32"),
        ({"xgboost": {"max_depth": (2, 3.5)}}, r"max_depth is searched from 2 to 3\.5; expected a whole number"),
        (
            {"logistic_regression": {"C": (0.1, float("inf"))}},
            r"C is searched from 0\.1 to inf; expected a number from 1e-08 to",
        ),
        (
            {"random_forest": {"max_features": (0.5, 1.5)}},
            r"max_features is searched .*; expected a number from 1e-06 to 1",
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_a_sentence(search: dict[Any, Any], said: str) -> None:
    training = settings(search=search).training
    [family] = search
    with pytest.raises(InputError, match=said):
        search_space(FAMILIES[family], training)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fixed": {"depth": 3}}, "parameters: random_forest has no parameter 'depth'; known are max_depth"),
        ({"fixed": {"max_depth": "deep"}}, "max_depth of random_forest is 'deep'; expected a whole number"),
        ({"fixed": {"max_depth": True}}, "max_depth of random_forest is True; expected a whole number"),
        ({"fixed": {"max_samples": float("nan")}}, "max_samples of random_forest is nan; expected a number"),
        ({"trials": 0}, "0 trials were asked for; expected at least 1"),
        ({"trials": 1_001}, "1001 trials were asked for; expected at least 1, .*, and at most 1,000"),
        ({"seed": -1}, "the seed -1 was asked for; expected a whole number from 0 to"),
    ],
)
def test_what_somebody_asks_for_and_makes_no_sense_is_a_sentence(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        search_and_fit("random_forest", training_set(), attributes(), settings(), data=MADE_OF, **asked)


def test_too_many_words_are_refused_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "tune", lambda *_, **__: pytest.fail("it was searched"))
    rows = training_set().with_columns(plan="customer_id")
    monkeypatch.setattr("churn_assets.training.training_set.MOST_WORDS", 299)
    with pytest.raises(InputError, match="plan holds 300 words in the training rows; expected at most 299"):
        search_and_fit("logistic_regression", rows, attributes(), settings(), data=MADE_OF)


def test_the_choice_between_families_is_not_flattered_by_the_calibration() -> None:
    """A model of pure noise: calibrated on the rows that measure it, it would look at least as good as the base rate."""
    rows = training_set().filter(pl.col("role") != SELECT)
    few = training_set().filter(role=SELECT).head(100)
    noisy = pl.concat([rows, few]).with_columns(visits=pl.col("noise"), plan=pl.lit("free"), spend=pl.col("noise"))
    fitted = search_and_fit("lightgbm", noisy, attributes(), settings(), data=MADE_OF, trials=1)
    rate = float(few["churned"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    of_the_rate = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert fitted.measures["log_loss"] > of_the_rate
