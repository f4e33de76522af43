"""What is measured of a model on its judging rows: everything, on those rows alone, beside the baselines, in segments."""

import math
from xml.etree import ElementTree

import msgspec
import numpy as np
import polars as pl
import pytest

from churn_assets.evaluation.baselines import baselines, recency_rule
from churn_assets.evaluation.evaluate import evaluate, measured
from churn_assets.evaluation.importance import permutation_importance
from churn_assets.evaluation.plots import pictures
from churn_assets.evaluation.segments import segment_columns, segments_of
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.tables import JUDGE, TRAIN
from churn_store.errors import InputError
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases import manifest
from tests.evaluation.rows import model, training_set

SETTINGS = Settings(company="test", evaluation=EvaluationSettings(draws=100, segment_rows=60))


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return training_set()


@pytest.fixture(scope="module")
def scorer(rows: pl.DataFrame) -> Scorer:
    return model(rows)


@pytest.fixture(scope="module")
def evaluation(rows: pl.DataFrame, scorer: Scorer) -> manifest.Evaluation:
    return evaluate(
        rows, scorer, threshold=0.2, profit=SETTINGS.profit, evaluation=SETTINGS.evaluation, seed=SETTINGS.training.seed
    )


def test_every_measure_that_is_no_count_has_an_interval_around_the_value_that_is_logged(
    rows: pl.DataFrame, scorer: Scorer, evaluation: manifest.Evaluation
) -> None:
    judging = rows.filter(role=JUDGE)
    logged = measured(judging["churned"].to_numpy(), scorer.score_frame(judging), threshold=0.2, profit=SETTINGS.profit)
    counts = {"true_positives", "false_positives", "false_negatives", "true_negatives"}
    estimated = {name: value for name, value in logged.items() if name not in counts}
    assert {name: interval.value for name, interval in evaluation.intervals.items()} == pytest.approx(estimated)
    assert all(interval.low <= interval.value <= interval.high for interval in evaluation.intervals.values())
    assert {"auc", "profit", "expected_maximum_profit", "calibration_intercept", "true_positives"} <= set(logged)
    brought = logged["true_positives"] * (0.3 * 190 - 1) - logged["false_positives"] * 11
    assert logged["profit"] == pytest.approx(brought / judging.height)


def test_an_evaluation_is_the_same_again_and_can_be_kept_in_a_manifest(
    rows: pl.DataFrame, scorer: Scorer, evaluation: manifest.Evaluation
) -> None:
    assert (
        evaluate(
            rows, scorer, threshold=0.2, profit=SETTINGS.profit, evaluation=SETTINGS.evaluation, seed=SETTINGS.training.seed
        )
        == evaluation
    )
    kept = msgspec.json.decode(msgspec.json.encode(evaluation), type=manifest.Evaluation)
    assert kept == evaluation


def test_each_judging_snapshot_is_measured_alone_and_together_they_are_the_whole(
    evaluation: manifest.Evaluation,
) -> None:
    assert len(evaluation.by_snapshot) == 2
    rates = [measures["base_rate"] for measures in evaluation.by_snapshot.values()]
    assert np.mean(rates) == pytest.approx(evaluation.intervals["base_rate"].value)
    assert len({measures["auc"] for measures in evaluation.by_snapshot.values()}) == 2


def test_a_snapshot_of_one_class_has_no_measures_and_a_whole_of_one_class_is_refused(
    rows: pl.DataFrame, scorer: Scorer
) -> None:
    last = rows["snapshot_s"].max()
    quiet = rows.with_columns(churned=pl.col("churned") & (pl.col("snapshot_s") != last))
    found = evaluate(
        quiet, scorer, threshold=0.2, profit=SETTINGS.profit, evaluation=SETTINGS.evaluation, seed=SETTINGS.training.seed
    )
    assert len(found.by_snapshot) == 1
    with pytest.raises(InputError, match="all 800 rows stayed; expected both"):
        evaluate(
            rows.with_columns(churned=pl.col("churned") & (pl.col("role") != JUDGE)),
            scorer,
            threshold=0.2,
            profit=SETTINGS.profit,
            evaluation=SETTINGS.evaluation,
            seed=SETTINGS.training.seed,
        )


def test_no_baseline_looks_at_the_labels_that_judge(rows: pl.DataFrame, scorer: Scorer) -> None:
    other = rows.with_columns(churned=pl.col("churned") ^ (pl.col("role") == JUDGE))
    given, turned = (baselines(seen, scorer.signature) for seen in (rows, other))
    assert set(given) == {"base_rate", "recency_rule", "logistic_regression"}
    for name, scores in given.items():
        assert (scores == turned[name]).all()
        assert len(scores) == rows.filter(role=JUDGE).height
    assert (given["base_rate"] == rows.filter(pl.col("role") != JUDGE)["churned"].mean()).all()


def test_the_baselines_order_as_well_as_their_kind_can(evaluation: manifest.Evaluation) -> None:
    area = {name: found["auc"] for name, found in evaluation.baselines.items()}
    assert area["base_rate"] == 0.5
    assert 0.6 < area["recency_rule"] < area["logistic_regression"]
    assert area["logistic_regression"] == pytest.approx(evaluation.intervals["auc"].value, abs=0.02)
    assert evaluation.baselines["recency_rule"]["calibration_slope"] == pytest.approx(1, abs=0.25)


def test_without_a_feature_of_recency_there_is_no_recency_rule(rows: pl.DataFrame) -> None:
    blind = rows.rename({"days_since_last_login": "visits"})
    signature = msgspec.structs.replace(
        model(rows).signature,
        columns=tuple(
            msgspec.structs.replace(column, name="visits") if column.name == "days_since_last_login" else column
            for column in model(rows).signature.columns
        ),
    )
    assert set(baselines(blind, signature)) == {"base_rate", "logistic_regression"}


def test_the_recency_rule_gives_the_rate_of_who_was_seen_as_long_ago_and_never_certainty() -> None:
    known = pl.DataFrame(
        {
            "days_since_last_login": [1.0] * 50 + [30.0] * 50 + [None] * 10,
            "days_since_last_payment": [None] * 50 + [40.0] * 50 + [None] * 10,
            "churned": [False] * 50 + [True, False] * 25 + [True] * 10,
        }
    )
    asked = pl.DataFrame(
        {
            "days_since_last_login": [0.0, 30.0, None, None],
            "days_since_last_payment": [9.0, None, 30.0, None],
        }
    )
    found = recency_rule(known, asked, ["days_since_last_login", "days_since_last_payment"])
    rate = 35 / 110
    assert found.tolist() == pytest.approx([rate / 51, (25 + rate) / 51, (25 + rate) / 51, (10 + rate) / 11])


def test_segments_are_the_words_of_short_categories_with_enough_rows(evaluation: manifest.Evaluation) -> None:
    found = {(segment.column, segment.word): segment for segment in evaluation.segments}
    assert set(found) == {("plan", "free"), ("plan", "pro")}
    assert sum(segment.rows for segment in evaluation.segments) == 800
    free, pro = found["plan", "free"], found["plan", "pro"]
    assert free.base_rate > pro.base_rate
    whole = (free.rows * free.profit.value + pro.rows * pro.profit.value) / 800
    assert whole == pytest.approx(evaluation.intervals["profit"].value)
    assert free.profit.low < free.profit.value < free.profit.high
    assert abs(free.calibration) < 0.1
    assert free.threshold != pro.threshold


def test_a_segment_can_be_asked_for_by_name_and_a_wrong_name_is_refused(rows: pl.DataFrame, scorer: Scorer) -> None:
    signature, judging = scorer.signature, rows.filter(role=JUDGE)
    assert segment_columns(signature, judging, EvaluationSettings()) == ("plan",)
    assert segment_columns(signature, judging, EvaluationSettings(segment_words=30)) == ("plan", "town")
    assert segment_columns(signature, judging, EvaluationSettings(segments=("town",))) == ("town",)
    with pytest.raises(InputError, match=r"evaluation.segments names noise, which is no category .* plan, town"):
        segment_columns(signature, judging, EvaluationSettings(segments=("noise",)))


def test_a_word_that_training_never_saw_makes_segments_of_a_column_of_one_word(rows: pl.DataFrame) -> None:
    known = rows.with_columns(plan=pl.lit("free"))
    columns = model(rows).signature.columns
    one_word = (
        msgspec.structs.replace(column, categories=("free",)) if column.name == "plan" else column for column in columns
    )
    signature, judging = Signature(tuple(one_word)), known.filter(role=JUDGE)
    assert segment_columns(signature, judging, EvaluationSettings()) == ()
    new = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("new")).otherwise("plan")
    assert segment_columns(signature, judging.with_columns(plan=new), EvaluationSettings()) == ("plan",)


def test_a_segment_with_too_few_rows_is_not_judged(rows: pl.DataFrame) -> None:
    judging = rows.filter(role=JUDGE).with_columns(plan=pl.Series(["free"] * 60 + ["pro"] * 59 + [None] * 681))
    found = segments_of(judging, ("plan",), EvaluationSettings(segment_rows=60))
    assert [(column, word, int(inside.sum())) for column, word, inside in found] == [
        ("plan", "", 681),
        ("plan", "free", 60),
    ]


def test_a_segment_in_which_all_stayed_has_no_auc(rows: pl.DataFrame, scorer: Scorer) -> None:
    quiet = rows.with_columns(churned=pl.col("churned") & (pl.col("plan") == "free"))
    found = evaluate(
        quiet, scorer, threshold=0.2, profit=SETTINGS.profit, evaluation=SETTINGS.evaluation, seed=SETTINGS.training.seed
    ).segments
    by_word = {segment.word: segment for segment in found}
    assert by_word["pro"].auc is None
    assert by_word["free"].auc is not None
    assert by_word["pro"].threshold > 0.5


def test_shuffling_what_a_model_leans_on_costs_auc_and_noise_costs_none(
    rows: pl.DataFrame, scorer: Scorer, evaluation: manifest.Evaluation
) -> None:
    names = list(evaluation.importance)
    assert names[:2] == ["days_since_last_login", "plan"]
    assert evaluation.importance["days_since_last_login"] > 0.1
    assert abs(evaluation.importance["noise"]) < 0.02
    assert set(names) == set(scorer.signature.names)
    judging = rows.filter(role=JUDGE)
    assert permutation_importance(judging, scorer, seed=3, rows=200) == permutation_importance(
        judging, scorer, seed=3, rows=200
    )
    assert permutation_importance(judging.filter("churned"), scorer, seed=3) == {}


def test_data_without_time_has_no_snapshots(rows: pl.DataFrame, scorer: Scorer) -> None:
    found = evaluate(
        rows.drop("snapshot_s"),
        scorer,
        threshold=0.2,
        profit=SETTINGS.profit,
        evaluation=SETTINGS.evaluation,
        seed=SETTINGS.training.seed,
    )
    assert found.by_snapshot == {}
    assert "profit" in found.intervals


def test_groups_of_neighbouring_scores_hold_all_rows_in_order(evaluation: manifest.Evaluation) -> None:
    bins = evaluation.reliability
    assert sum(at.rows for at in bins) == 800
    assert [at.predicted for at in bins] == sorted(at.predicted for at in bins)
    churners = evaluation.intervals["base_rate"].value * 800
    assert sum(at.rows * at.observed for at in bins) == pytest.approx(churners)
    assert bins[-1].observed > bins[0].observed + 0.5


def test_every_picture_is_a_small_svg_that_says_what_it_shows(
    rows: pl.DataFrame, scorer: Scorer, evaluation: manifest.Evaluation
) -> None:
    judging = rows.filter(role=JUDGE)
    churned, scores = judging["churned"].to_numpy(), scorer.score_frame(judging)
    drawn = pictures(churned, scores, evaluation, threshold=0.2, profit=SETTINGS.profit)
    names = {"reliability", "profit_curve", "lift", "score_distribution", "importance", "snapshots"}
    assert set(drawn) == names
    said = {name: "".join(ElementTree.fromstring(svg).itertext()) for name, svg in drawn.items()}  # noqa: S314 - our own
    assert "mean probability of churn" in said["reliability"]
    assert f"probability {evaluation.reliability[0].predicted:.3f}" in said["reliability"]
    assert f"threshold 0.200: {(scores >= 0.2).mean():.1%} asked" in said["profit_curve"]
    assert f"lift of the top decile: {evaluation.intervals['lift_top_decile'].value:.2f}" in said["lift"]
    assert f"churned ({churned.sum():,})" in said["score_distribution"]
    assert all(name in said["importance"] for name in evaluation.importance)
    assert all(day in said["snapshots"] for day in evaluation.by_snapshot)
    assert max(map(len, drawn.values())) < 20_000
    assert drawn == pictures(churned, scores, evaluation, threshold=0.2, profit=SETTINGS.profit)
    by_name = msgspec.structs.replace(evaluation, importance=dict(sorted(evaluation.importance.items())))
    again = pictures(churned, scores, by_name, threshold=0.2, profit=SETTINGS.profit)
    assert again["importance"] == drawn["importance"]
    bare = msgspec.structs.replace(evaluation, importance={}, by_snapshot={})
    left = pictures(churned, scores, bare, threshold=0.2, profit=SETTINGS.profit)
    assert left == {name: drawn[name] for name in names - {"importance", "snapshots"}}


def test_a_model_that_asks_nobody_or_says_the_same_of_all_can_be_drawn_and_measured(rows: pl.DataFrame) -> None:
    churned = rows.filter(role=TRAIN)["churned"].to_numpy()
    scores = np.full(len(churned), 0.25)
    found = measured(churned, scores, threshold=0.9, profit=SETTINGS.profit)
    assert (found["profit"], found["precision"], found["auc"]) == (0, 0, 0.5)
    assert all(math.isfinite(value) for value in found.values())
    bins = (manifest.ReliabilityBin(len(churned), 0.25, float(churned.mean())),)
    drawn = pictures(
        churned,
        scores,
        manifest.Evaluation(
            confidence=0.95,
            intervals={},
            by_snapshot={},
            baselines={},
            segments=(),
            reliability=bins,
            importance={},
            profit=manifest.ProfitTerms(200, 10, 1, 6, 14),
        ),
        threshold=0.9,
        profit=SETTINGS.profit,
    )
    assert set(drawn) == {"reliability", "profit_curve", "lift", "score_distribution"}
