"""The candidate: the better family, its golden rows and its reference, made of rows before the judging ones."""

import io

import numpy as np
import polars as pl
import pytest

from churn_assets.champion.candidate import SCORE, better, build, describe, input_example, label_in_words
from churn_assets.settings import Label, Settings
from churn_assets.training.fitting import Fitted
from churn_assets.training.split import JUDGE
from churn_store.manifest import GOLDEN_ROWS, decode_golden
from churn_store.releases import replay
from tests.champion.world import NOW_S, attributes, training_set


def fitted(family: str, auc: float) -> Fitted:
    return Fitted(family, {"auc": auc}, 0.5)


def test_the_family_with_the_greater_auc_is_better_and_of_equal_ones_the_first_by_name() -> None:
    assert better([fitted("a", 0.7), fitted("b", 0.8)]).family == "b"
    assert better([fitted("b", 0.7), fitted("a", 0.7)]).family == "a"


@pytest.mark.parametrize("family", ["logistic_regression", "gradient_boosting"])
def test_a_candidate_never_sees_the_judging_rows(family: str) -> None:
    rows = training_set()
    poisoned = rows.with_columns(
        pl.when(pl.col("role") == JUDGE).then(1e6).otherwise("visits").alias("visits"),
        pl.when(pl.col("role") == JUDGE).then(pl.lit("spy")).otherwise("plan").alias("plan"),
        (pl.col("churned") ^ (pl.col("role") == JUDGE)).alias("churned"),
    )
    assert build(family, rows, attributes(), seed=1).files == build(family, poisoned, attributes(), seed=1).files


def test_golden_rows_are_enough_name_nobody_and_repeat() -> None:
    candidate = build("gradient_boosting", training_set(), attributes(), seed=1)
    golden = decode_golden(candidate.files["golden.json"])
    assert len(golden.rows) == GOLDEN_ROWS
    assert all(set(row) == {"visits", "spend", "plan"} for row in golden.rows)
    assert replay(candidate.scorer, golden) <= 1e-6


def test_few_rows_are_repeated_until_there_are_enough_golden_ones() -> None:
    rows = training_set().filter(pl.col("role") != JUDGE).sample(150, seed=1)
    candidate = build("logistic_regression", rows, attributes(), seed=1)
    assert len(decode_golden(candidate.files["golden.json"]).rows) == GOLDEN_ROWS


def test_the_reference_holds_features_scores_and_snapshots_and_no_ids() -> None:
    candidate = build("logistic_regression", training_set(), attributes(), seed=1)
    reference = pl.read_parquet(io.BytesIO(candidate.files["reference.parquet"]))
    assert reference.columns == ["snapshot_s", "visits", "spend", "plan", SCORE]
    assert np.allclose(candidate.scorer.score_frame(reference), reference[SCORE])


def test_the_manifest_says_what_it_was_trained_and_judged_on() -> None:
    rows = training_set()
    settings = Settings(company="test")
    candidate = build("logistic_regression", rows, attributes(), seed=1)
    manifest = describe(
        candidate,
        settings=settings,
        chosen=fitted("logistic_regression", 0.7),
        training_set=rows,
        metrics={},
        tables={},
        mlflow={},
        now_s=NOW_S,
    )
    assert len(manifest.trained_on) == 4
    assert len(manifest.judged_on) == 2
    assert max(manifest.trained_on) < min(manifest.judged_on)
    assert (manifest.training_rows, manifest.judging_rows) == (1200, 600)
    assert manifest.label == "an event 'cancelled' within 30 days after the snapshot"
    inactivity = settings.model_copy(update={"label": Label(kind="inactivity", horizon_days=90)})
    assert label_in_words(inactivity) == "no event and no settled payment within 90 days after the snapshot"


def test_the_input_example_is_nobody() -> None:
    rows = training_set()
    example = input_example(build("logistic_regression", rows, attributes(), seed=1).signature, rows)
    assert example == {"visits": rows["visits"].median(), "spend": rows["spend"].median(), "plan": rows["plan"].mode()[0]}
