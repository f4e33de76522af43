"""The candidate: the better family, its golden rows and its reference, made of rows before the judging ones."""

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from churn_assets.champion.candidate import best_family, describe, label_in_words, require_fitted_on
from churn_assets.evaluation.evaluate import evaluate
from churn_assets.features.feature import Feature
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.gate import Gate
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit
from churn_assets.settings.training import Training
from churn_assets.tables import JUDGE, SCORE, TRAIN
from churn_assets.training.fitted_family import FittedFamily
from churn_assets.training.training_set import input_example
from churn_assets.training.tuning import search_and_fit
from churn_store.errors import InputError
from churn_store.releases.golden_rows import replay
from churn_store.releases.manifest import GOLDEN_ROWS, TableVersion, decode_golden
from tests.champion.world import NOW_S, attributes, built, document, fitted, training_set


def of(family: str, log_loss: float, *, digest: str = "0" * 64) -> FittedFamily:
    chosen = document(fitted(family, training_set(), attributes()))
    return replace(chosen, measures={"log_loss": log_loss}, training_set=TableVersion(3, digest))


def test_the_family_with_the_less_log_loss_is_better_and_of_equal_ones_the_first_by_name() -> None:
    families = ("logistic_regression", "gradient_boosting")
    assert best_family([of(families[0], 0.5), of(families[1], 0.4)]).family == families[1]
    assert best_family([of(families[0], 0.4), of(families[1], 0.4)]).family == families[1]


def test_families_that_were_fitted_on_other_rows_than_are_there_now_are_refused() -> None:
    one, other = of("logistic_regression", 0.4), of("gradient_boosting", 0.4, digest="1" * 64)
    now: dict[str, Any] = {"features": attributes(), "settings": Settings(company="test")}
    require_fitted_on([one, one], TableVersion(4, "0" * 64), **now)
    with pytest.raises(
        InputError, match="gradient_boosting of version 3 of training_set was fitted on other rows than its version 4"
    ):
        require_fitted_on([one, other], TableVersion(4, "0" * 64), **now)


@pytest.mark.parametrize(
    ("features", "changed"),
    [
        (attributes()[1:], {}),
        (attributes("noise"), {}),
        (attributes(), {"profit": Profit(customer_value=60)}),
        (attributes(), {"training": Training(minimum_correlation=0.1)}),
        (attributes(), {"training": Training(resampling="undersample")}),
        (attributes(), {"training": Training(search={"logistic_regression": {"C": (0.1, 1.0)}})}),
        (attributes(), {"label": Label(horizon_days=60)}),
        (attributes(), {"at_risk": AtRisk(active_days=90)}),
    ],
)
def test_families_that_were_fitted_under_other_settings_are_refused(features: tuple[Feature, ...], changed: Any) -> None:
    """Such as one that looks at a column that was excluded since, or whose threshold is of other costs."""
    one, data = of("logistic_regression", 0.4), TableVersion(3, "0" * 64)
    require_fitted_on([one], data, features=attributes(), settings=Settings(company="test").fitting)
    with pytest.raises(InputError, match="logistic_regression was fitted with other features, or with other settings"):
        require_fitted_on([one], data, features=features, settings=Settings(company="test", **changed).fitting)


def test_what_is_no_setting_of_a_family_and_what_a_run_asked_for_leave_it_fresh() -> None:
    one, data = of("logistic_regression", 0.4), TableVersion(3, "0" * 64)
    asked = search_and_fit(
        "logistic_regression",
        training_set(),
        attributes(),
        Settings(company="test").fitting,
        data=data,
        fixed={"C": 0.3},
        trials=1,
        seed=5,
    )
    others = Training(families=("logistic_regression", "xgboost"), search={"xgboost": {"max_depth": (2, 3)}})
    settings = Settings(company="test", training=others, gate=Gate(auc_floor=0.7))
    require_fitted_on([one, document(asked)], data, features=attributes(), settings=settings.fitting)
    with pytest.raises(InputError, match="logistic_regression was fitted with other features"):
        require_fitted_on([replace(one, configured="")], data, features=attributes(), settings=settings.fitting)


@pytest.mark.parametrize("family", ["logistic_regression", "gradient_boosting"])
def test_a_candidate_never_sees_the_judging_rows(family: str) -> None:
    rows = training_set()
    poisoned = rows.with_columns(
        pl.when(pl.col("role") == JUDGE).then(1e6).otherwise("visits").alias("visits"),
        pl.when(pl.col("role") == JUDGE).then(pl.lit("spy")).otherwise("plan").alias("plan"),
        (pl.col("churned") ^ (pl.col("role") == JUDGE)).alias("churned"),
    )
    assert built(family, rows, attributes()).files == built(family, poisoned, attributes()).files


def test_golden_rows_are_enough_name_nobody_and_repeat() -> None:
    candidate = built("gradient_boosting", training_set(), attributes())
    golden = decode_golden(candidate.files["golden.json"])
    assert len(golden.rows) == GOLDEN_ROWS
    assert all(set(row) == {"visits", "spend", "plan"} for row in golden.rows)
    assert replay(candidate.scorer, golden) <= 1e-6


def test_few_rows_are_repeated_until_there_are_enough_golden_ones() -> None:
    rows = training_set().filter(pl.col("role") != JUDGE).sample(150, seed=1)
    candidate = built("logistic_regression", rows, attributes())
    assert len(decode_golden(candidate.files["golden.json"]).rows) == GOLDEN_ROWS


def test_the_reference_holds_features_scores_and_snapshots_and_no_ids() -> None:
    candidate = built("logistic_regression", training_set(), attributes())
    reference = pl.read_parquet(io.BytesIO(candidate.files["reference.parquet"]))
    assert reference.columns == ["snapshot_s", "visits", "spend", "plan", SCORE]
    assert np.allclose(candidate.scorer.score_frame(reference), reference[SCORE])


def test_the_manifest_says_what_it_was_trained_and_judged_on() -> None:
    rows = training_set()
    settings = Settings(company="test")
    candidate = built("logistic_regression", rows, attributes())
    manifest = describe(
        candidate,
        company=settings.company,
        purpose=settings.purpose,
        settings=settings.fitting,
        chosen=document(candidate.fitted),
        training_set=rows,
        metrics={},
        evaluation=evaluate(
            rows,
            candidate.scorer,
            threshold=0.5,
            profit=settings.profit,
            evaluation=settings.evaluation,
            seed=settings.training.seed,
        ),
        tables={},
        mlflow={},
        now_s=NOW_S,
    )
    assert len(manifest.trained_on) == 4
    assert len(manifest.judged_on) == 2
    assert max(manifest.trained_on) < min(manifest.judged_on)
    assert (manifest.training_rows, manifest.judging_rows) == (1200, 600)
    assert manifest.label == "an event 'cancelled' within 30 days after the snapshot"
    inactivity = Label(kind="inactivity", horizon_days=90)
    assert label_in_words(inactivity, has_time=True) == "no event and no settled payment within 90 days after the snapshot"


def test_the_input_example_is_nobody() -> None:
    rows = training_set()
    signature = built("logistic_regression", rows, attributes()).signature
    seen = rows.filter(role=TRAIN)
    expected = {"visits": seen["visits"].median(), "spend": seen["spend"].median(), "plan": seen["plan"].mode()[0]}
    assert input_example(signature, rows) == expected
    judged = pl.col("role") == JUDGE
    other = rows.with_columns(
        visits=pl.when(judged).then(999.0).otherwise("visits"), plan=pl.when(judged).then(pl.lit("spy")).otherwise("plan")
    )
    assert input_example(signature, other) == expected
