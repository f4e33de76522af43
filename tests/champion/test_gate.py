"""The gate: a good candidate is accepted; whatever is wrong with one, or with what it is judged by, it is not, with a reason."""

import copy
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_assets.champion.checks import DESCRIPTIONS, rule_results, rule_specs
from churn_assets.champion.gate.evidence import Checked, Evidence, RuleResult
from churn_assets.champion.gate.latency import interleaved
from churn_assets.champion.gate.segments import detectable_loss, holm, no_segment_worse, p_value
from churn_assets.champion.gate.verdict import RULES, Judgement, Judging, failed, judge
from churn_assets.evaluation.baselines import BASE_RATE, LOGISTIC, RECENCY
from churn_assets.evaluation.intervals import paired_difference
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.judging import JudgingSettings
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit
from churn_assets.training.families import export
from churn_assets.training.held_out import UNSEEN, altered_rows, held_out, pipeline_probabilities
from churn_store.clock import DAY_S
from churn_store.errors import ReleaseError
from churn_store.model.scorer import Scorer
from churn_store.releases.blessings import record_blessing
from churn_store.releases.bundles import Bundle, load_bundle, load_file
from churn_store.releases.log import newest, publish
from churn_store.releases.manifest import Blessing, Golden, encode
from churn_store.storage.digest_store import DigestStore
from tests.champion.world import (
    JUDGED_FROM,
    JUDGED_S,
    NOW_S,
    World,
    attributes,
    blessing,
    built,
    fitted,
    make_world,
    staged,
    training_set,
)

BOUNDS = Gate()
PATIENCE_S = 0.05


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def judgement(
    case: Evidence | Callable[[], Evidence],
    bounds: Gate = BOUNDS,
    *,
    now_s: int = JUDGED_S,
    rules: Mapping[str, Judging] = RULES,
) -> Judgement:
    read = case if callable(case) else lambda: case
    configured = Settings(company="test", gate=bounds)
    return judge(read, candidate="c" * 64, settings=configured.judging, actor="test", now_s=now_s, rules=rules)


def verdict(case: Evidence | Callable[[], Evidence], bounds: Gate = BOUNDS) -> Blessing:
    return judgement(case, bounds).blessing


def names(found: Blessing) -> set[str]:
    return {rule.name for rule in failed(found)}


def test_a_good_candidate_is_accepted_for_every_rule(world: World) -> None:
    found = verdict(world.case)
    assert (found.verdict, names(found)) == ("accepted", set())
    assert [rule.name for rule in found.rules] == list(RULES)
    assert all(rule.found and rule.allowed for rule in found.rules)
    assert found.epoch == 1
    assert found.gain is not None
    assert found.gain > 1


def test_the_first_candidate_needs_no_champion_and_data_without_time_no_dates(world: World) -> None:
    first = verdict(replace(world.case, champion=None, champion_trained_until=None, epoch=0))
    assert (first.verdict, first.gain, first.epoch) == ("accepted", None, 0)
    timeless = world.rows.drop("snapshot_s").with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
    without_time = replace(
        world.case,
        trained=world.candidate.says_of(timeless),
        training_set=timeless,
        judging_from=None,
        candidate_trained_until=None,
        champion_trained_until=None,
    )
    assert verdict(without_time).verdict == "accepted"
    assert verdict(replace(without_time, champion=None, champion_split=None)).verdict == "accepted"


def test_a_champion_of_before_equal_rows_were_kept_together_is_compared_with_and_what_it_knows_is_told(
    world: World,
) -> None:
    timeless = world.rows.drop("snapshot_s").with_columns(customer_id=pl.format("c{}", pl.int_range(pl.len())))
    case = replace(
        world.case,
        trained=world.candidate.says_of(timeless),
        training_set=timeless,
        judging_from=None,
        candidate_trained_until=None,
        champion_trained_until=None,
        split="by customer, equal rows together: seed 42, held out 0.3",
        champion_split="by customer: seed 42, held out 0.3",
        known_to_champion=7,
    )
    found = verdict(case)
    [rule] = [rule for rule in found.rules if rule.name == "judging_rows_are_later"]
    assert found.verdict == "accepted"
    assert f"7 of {case.judging.height} judging rows trained the champion" in rule.found
    other = verdict(replace(case, champion_split="by customer: seed 7, held out 0.3"))
    assert "judging_rows_are_later" in names(other)


def test_a_champion_of_format_1_is_compared_with(world: World) -> None:
    unset = dict.fromkeys(("parameters", "calibrated_on", "population", "purpose", "evaluation"), msgspec.UNSET)
    older = msgspec.structs.replace(world.champion.manifest, format=1, **unset)
    champion = Bundle(digest="1" * 64, manifest=older, scorer=world.champion.scorer)
    assert verdict(replace(world.case, champion=champion)).verdict == "accepted"


@cache
def another(family: str = "logistic_regression", *more: str) -> Any:
    """Another model of the world's rows, with more columns if asked."""
    return built(family, training_set().with_columns(tenure=pl.col("noise")), attributes(*more))


@cache
def scores_nothing() -> Scorer:
    """A model whose every score is not a number."""
    broken = built("logistic_regression", training_set(), attributes())
    [calibrated] = broken.pipeline.named_steps["model"].calibrated_classifiers_
    calibrated.calibrators[0].a_ = np.nan
    return Scorer(export(broken.pipeline, broken.signature), broken.signature)


def champion_of(world: World, scorer: Scorer, **changes: Any) -> Bundle:
    return Bundle(digest="0" * 64, manifest=msgspec.structs.replace(world.champion.manifest, **changes), scorer=scorer)


def judging_rows(case: Evidence, *altered: pl.Expr) -> Evidence:
    """The case with other judging rows."""
    judges = pl.col("role") == "judge"
    return replace(
        case,
        training_set=case.training_set.with_columns(
            pl.when(judges)
            .then(expression)
            .otherwise(pl.col(expression.meta.output_name()))
            .alias(expression.meta.output_name())
            for expression in altered
        ),
    )


def labels(case: Evidence, churned: Any) -> Evidence:
    """The case with other labels of the judging rows."""
    rows = case.training_set
    places = rows.select(pl.col("role") == "judge").to_series()
    changed = rows["churned"].to_numpy().copy()
    changed[places.to_numpy()] = churned
    return replace(case, training_set=rows.with_columns(churned=pl.Series(changed)))


def by_score(world: World) -> Any:
    """Labels that the candidate knows by heart."""
    scores = world.candidate.scorer.score_frame(world.judging)
    return scores > np.median(scores)


def interval(case: Evidence, name: str, **changes: float) -> Evidence:
    """The case whose manifest says something else of a measure."""
    intervals = {**case.evaluation.intervals, name: msgspec.structs.replace(case.evaluation.intervals[name], **changes)}
    return replace(case, evaluation=msgspec.structs.replace(case.evaluation, intervals=intervals))


Corrupt = Callable[[Evidence, World], Evidence]

FAULTS: dict[str, dict[str, tuple[Corrupt, str]]] = {
    "trained": {
        "probabilities of another pipeline": (
            lambda case, _: replace(case, trained=another("gradient_boosting").trained),
            "export_equals_pipeline",
        ),
        "probabilities of another pipeline under the name of this model": (
            lambda case, _: replace(case, trained=replace(another("gradient_boosting").trained, model=case.model)),
            "export_equals_pipeline",
        ),
        "probabilities of other rows": (
            lambda case, _: replace(case, trained=replace(case.trained, held_out=case.trained.held_out[::-1])),
            "export_equals_pipeline",
        ),
        "probabilities of fewer rows": (
            lambda case, _: replace(case, trained=replace(case.trained, held_out=case.trained.held_out[:-1])),
            "export_equals_pipeline",
        ),
        "no probabilities of altered rows": (
            lambda case, _: replace(case, trained=replace(case.trained, altered=case.trained.altered[:0])),
            "export_equals_pipeline",
        ),
        "probabilities that are not numbers": (
            lambda case, _: replace(case, trained=replace(case.trained, held_out=case.trained.held_out * np.nan)),
            "export_equals_pipeline",
        ),
        "no probabilities": (lambda case, _: replace(case, trained=None), "export_equals_pipeline"),  # type: ignore[arg-type]
    },
    "model": {
        "another model than the probabilities are of": (
            lambda case, _: replace(case, model="0" * 64),
            "export_equals_pipeline",
        ),
    },
    "scorer": {
        "the export of another model": (
            lambda case, world: replace(case, scorer=world.champion.scorer),
            "export_equals_pipeline",
        ),
        "scores that are not numbers": (lambda case, _: replace(case, scorer=scores_nothing()), "auc_above_floor"),
        "no export": (lambda case, _: replace(case, scorer=None), "golden_rows_repeat"),  # type: ignore[arg-type]
    },
    "threshold": {
        "a threshold that nobody reaches": (lambda case, _: replace(case, threshold=2.0), "more_profit_than_champion"),
        "a threshold that is not a number": (
            lambda case, _: replace(case, threshold=float("nan")),
            "more_profit_than_champion",
        ),
        "no threshold": (lambda case, _: replace(case, threshold=None), "export_equals_pipeline"),  # type: ignore[arg-type]
    },
    "golden": {
        "a golden file cut short": (lambda case, _: replace(case, golden=case.golden[:-40]), "golden_rows_repeat"),
        "golden rows of another model": (
            lambda case, world: replace(case, golden=load_file(world.files, world.champion.manifest, "golden.json")),
            "golden_rows_repeat",
        ),
        "no golden rows": (lambda case, _: replace(case, golden=encode(Golden([], []))), "golden_rows_repeat"),
    },
    "training_set": {
        "labels of chance": (
            lambda case, world: labels(case, np.random.default_rng(0).random(world.judging.height) < 0.5),
            "auc_above_floor",
        ),
        "labels that the candidate knows": (lambda case, world: labels(case, by_score(world)), "auc_plausible"),
        "no judging rows": (
            lambda case, _: replace(case, training_set=case.training_set.filter(pl.col("role") != "judge")),
            "more_profit_than_champion",
        ),
        "no rows": (lambda case, _: replace(case, training_set=case.training_set.clear()), "export_equals_pipeline"),
        "one class": (lambda case, _: judging_rows(case, pl.lit(True).alias("churned")), "auc_above_floor"),
        "labels that are missing": (
            lambda case, _: judging_rows(case, pl.lit(None, dtype=pl.Boolean).alias("churned")),
            "auc_above_floor",
        ),
        "judging rows without labels": (
            lambda case, _: replace(case, training_set=case.training_set.drop("churned")),
            "auc_above_floor",
        ),
        "rows without a feature": (
            lambda case, _: replace(case, training_set=case.training_set.drop("visits")),
            "export_equals_pipeline",
        ),
        "rows without customers": (
            lambda case, _: replace(case, training_set=case.training_set.drop("customer_id")),
            "more_profit_than_champion",
        ),
        "labels that can't be mature yet": (
            lambda case, _: judging_rows(case, (pl.col("snapshot_s") + 90 * DAY_S).alias("snapshot_s")),
            "data_quality_green",
        ),
        "judging rows of an earlier snapshot": (
            lambda case, _: judging_rows(case, (pl.col("snapshot_s") - 90 * DAY_S).alias("snapshot_s")),
            "judging_rows_are_later",
        ),
    },
    "checks": {
        "a check that failed": (
            lambda case, _: replace(case, checks=(*case.checks, Checked("churn_labels", "nulls", "2025-01-01", "failed"))),
            "data_quality_green",
        ),
        "a check that was not evaluated": (
            lambda case, _: replace(case, checks=(*case.checks, Checked("training_set", "nulls", None, "not evaluated"))),
            "data_quality_green",
        ),
        "no checks": (lambda case, _: replace(case, checks=()), "data_quality_green"),
    },
    "evaluation": {
        "an evaluation of other rows": (lambda case, _: interval(case, "calibration_slope", value=1.0), "calibrated"),
        "an evaluation without the calibration": (
            lambda case, _: replace(case, evaluation=msgspec.structs.replace(case.evaluation, intervals={})),
            "calibrated",
        ),
        "no evaluation": (lambda case, _: replace(case, evaluation=None), "calibrated"),  # type: ignore[arg-type]
    },
    "baselines": {
        "no baselines": (lambda case, _: replace(case, baselines={}), "baselines_beaten"),
        "baselines as good as the truth": (
            lambda case, world: replace(case, baselines={**case.baselines, BASE_RATE: world.judging["truth"].to_numpy()}),
            "baselines_beaten",
        ),
        "a recency rule as good as the truth": (
            lambda case, world: replace(case, baselines={**case.baselines, RECENCY: world.judging["truth"].to_numpy()}),
            "baselines_beaten",
        ),
        "a recency rule that says the same of everybody": (
            lambda case, world: replace(
                case, baselines={**case.baselines, RECENCY: np.full(world.judging.height, world.judging["churned"].mean())}
            ),
            "baselines_beaten",
        ),
        "a logistic regression that knows": (
            lambda case, world: replace(
                case, baselines={**case.baselines, LOGISTIC: np.where(world.judging["churned"], 0.95, 0.05)}
            ),
            "baselines_beaten",
        ),
        "baselines of other rows": (
            lambda case, _: replace(case, baselines={name: given[1:] for name, given in case.baselines.items()}),
            "baselines_beaten",
        ),
        "baselines that are not numbers": (
            lambda case, _: replace(case, baselines={name: given * np.nan for name, given in case.baselines.items()}),
            "baselines_beaten",
        ),
    },
    "untuned": {
        "no untuned models": (lambda case, _: replace(case, untuned={}), "not_worse_than_untuned"),
        "an untuned model that knows": (
            lambda case, world: replace(
                case, untuned={**case.untuned, "random_forest": np.where(world.judging["churned"], 0.95, 0.05)}
            ),
            "not_worse_than_untuned",
        ),
        "untuned models of other rows": (
            lambda case, _: replace(case, untuned={name: given[1:] for name, given in case.untuned.items()}),
            "not_worse_than_untuned",
        ),
        "untuned models whose probabilities are none": (
            lambda case, _: replace(case, untuned={name: given * np.nan for name, given in case.untuned.items()}),
            "not_worse_than_untuned",
        ),
    },
    "reachable": {
        "a best prediction that is worse than the candidate": (
            lambda case, world: replace(case, reachable=world.judging["noise"].to_numpy()),
            "auc_plausible",
        ),
        "a best prediction of other rows": (
            lambda case, world: replace(case, reachable=world.judging["truth"].to_numpy()[1:]),
            "auc_plausible",
        ),
        "a best prediction that is not a number": (
            lambda case, world: replace(case, reachable=world.judging["truth"].to_numpy() * np.nan),
            "auc_plausible",
        ),
    },
    "judging_from": {
        "judging that begins on another day": (
            lambda case, _: replace(case, judging_from=JUDGED_FROM + DAY_S),
            "judging_rows_are_later",
        ),
    },
    "candidate_trained_until": {
        "judging rows that the candidate was trained on": (
            lambda case, _: replace(case, candidate_trained_until=JUDGED_FROM + DAY_S),
            "judging_rows_are_later",
        ),
        "a candidate that can't say what it was trained on": (
            lambda case, _: replace(case, candidate_trained_until=None),
            "judging_rows_are_later",
        ),
    },
    "epoch": {
        "an epoch that is no number": (lambda case, _: replace(case, epoch="newest"), ""),  # type: ignore[arg-type]
    },
    "champion": {
        "the same model again": (
            lambda case, world: replace(
                case, champion=champion_of(world, world.candidate.scorer, threshold=world.manifest.threshold)
            ),
            "more_profit_than_champion",
        ),
        "a champion of other columns": (
            lambda case, world: replace(case, champion=champion_of(world, another("logistic_regression", "tenure").scorer)),
            "more_profit_than_champion",
        ),
        "a champion that scores nothing": (
            lambda case, world: replace(case, champion=champion_of(world, scores_nothing())),
            "more_profit_than_champion",
        ),
        "a champion without a model": (
            lambda case, world: replace(case, champion=champion_of(world, None)),  # type: ignore[arg-type]
            "latency",
        ),
    },
    "champion_trained_until": {
        "judging rows that the champion was trained on": (
            lambda case, _: replace(case, champion_trained_until=JUDGED_FROM + DAY_S),
            "judging_rows_are_later",
        ),
        "a champion that can't say what it was trained on": (
            lambda case, _: replace(case, champion_trained_until=None),
            "judging_rows_are_later",
        ),
    },
    "split": {
        "a candidate that was split otherwise than the champion": (
            lambda case, _: replace(case, split="by customer: seed 43, held out 0.3"),
            "judging_rows_are_later",
        ),
    },
    "nth": {
        "so many tries before it that chance would do": (
            lambda case, _: replace(case, nth=10**9),
            "more_profit_than_champion",
        ),
        "no try at all": (lambda case, _: replace(case, nth=0), "more_profit_than_champion"),
    },
    "champion_split": {
        "a champion that was split otherwise": (
            lambda case, _: replace(case, champion_split="by customer: seed 43, held out 0.3"),
            "judging_rows_are_later",
        ),
        "a champion that can't say how it was split": (
            lambda case, _: replace(case, champion_split=None),
            "judging_rows_are_later",
        ),
    },
    "unknown_labels": {
        "nothing that says whether customers were treated": (
            lambda case, _: replace(case, unknown_labels=None),  # type: ignore[arg-type]
            "data_quality_green",
        ),
    },
    "known_to_champion": {
        "a champion that knows more rows than there are": (
            lambda case, _: replace(case, known_to_champion=case.training_set.height + 1),
            "judging_rows_are_later",
        ),
    },
}
"""What may be wrong with each input of the gate, and the rule that sees it; of the epoch, the database does."""

EACH = {name: fault for of_field in FAULTS.values() for name, fault in of_field.items()}
SEEN = {name: fault for name, fault in EACH.items() if fault[1]}


def test_every_input_of_the_gate_is_broken_in_some_way() -> None:
    assert set(FAULTS) == {field.name for field in fields(Evidence)}
    assert all(FAULTS.values())


@pytest.mark.parametrize("name", SEEN)
def test_each_fault_fails_its_rule_with_a_reason(world: World, name: str) -> None:
    corrupt, rule = SEEN[name]
    found = verdict(corrupt(world.case, world))
    assert found.verdict == "rejected"
    assert rule in names(found)
    assert all(result.found and "\n" not in result.found for result in found.rules)


FIELD_OF = {name: field for field, faults in FAULTS.items() for name in faults}


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(SEEN)), min_size=2, max_size=5, unique_by=FIELD_OF.__getitem__))
def test_whatever_is_broken_together_is_rejected(world: World, chosen: list[str]) -> None:
    case = world.case
    for name in chosen:
        case = EACH[name][0](case, world)
    assert verdict(case).verdict == "rejected"


@pytest.mark.parametrize("name", [field.name for field in fields(Evidence)])
def test_an_input_that_is_gone_promotes_nothing(world: World, name: str) -> None:
    """None is what a first candidate has for a champion, and data of no simulator for the best prediction: those alone may be away."""
    nothing: Any = {name: None}
    gone = verdict(replace(world.case, **nothing))
    if name in {"champion", "reachable"}:
        assert gone.verdict == "accepted"
    elif name == "epoch":
        assert gone.epoch is None  # which publishes nothing: no row follows it
    else:
        assert gone.verdict == "rejected"


def refuses(how: str) -> Judging:
    """A rule that does not work."""

    def rule(case: Evidence, settings: JudgingSettings, now_s: int) -> Any:
        if how == "hangs":
            threading.Event().wait(10 * PATIENCE_S)
            return RuleResult(True, "late", "late")
        if how == "exits":
            raise SystemExit(0)
        if how == "raises":
            raise MemoryError("no room")
        return {
            "none": None,
            "truth": True,
            "words": "passed",
            "not a number": RuleResult(float("nan"), "fine", "anything"),  # type: ignore[arg-type]
            "a word that passed": RuleResult("no", "fine", "anything"),  # type: ignore[arg-type]
        }[how]

    return rule


@pytest.mark.parametrize("how", ["raises", "exits", "none", "truth", "words", "not a number", "a word that passed"])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_does_not_work_has_failed(world: World, name: str, how: str) -> None:
    quick: dict[str, Judging] = dict.fromkeys(RULES, lambda *_: RuleResult(True, "fine", "anything"))
    assert judgement(world.case, rules=quick).blessing.verdict == "accepted"
    found = judgement(world.case, rules={**quick, name: refuses(how)}).blessing
    assert (found.verdict, names(found)) == ("rejected", {name})


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_takes_too_long_or_is_left_out_has_failed(world: World, name: str) -> None:
    quick: dict[str, Judging] = dict.fromkeys(RULES, lambda *_: RuleResult(True, "fine", "anything"))
    found = judgement(world.case, Gate(rule_seconds=PATIENCE_S), rules={**quick, name: refuses("hangs")}).blessing
    assert (found.verdict, names(found)) == ("rejected", {name})
    assert "gate.rule_seconds" in failed(found)[0].found
    fewer = {other: rule for other, rule in quick.items() if other != name}
    assert judgement(world.case, rules=fewer).blessing.verdict == "rejected"


@pytest.mark.parametrize("error", [OSError("the disk is away"), ReleaseError("gone"), KeyError("x"), SystemExit(0)])
def test_a_case_that_can_not_be_read_fails_every_rule(error: BaseException) -> None:
    def read() -> Evidence:
        raise error

    found = verdict(read)
    assert (found.verdict, names(found)) == ("rejected", set(RULES))
    assert all(type(error).__name__ in rule.found for rule in found.rules)


def test_a_case_that_takes_too_long_to_read_fails_every_rule(world: World) -> None:
    def read() -> Evidence:
        threading.Event().wait(10 * PATIENCE_S)
        return world.case

    found = verdict(read, Gate(reading_seconds=PATIENCE_S))
    assert (found.verdict, names(found)) == ("rejected", set(RULES))
    assert "gate.reading_seconds" in found.rules[0].found


def test_labels_that_are_not_mature_by_the_clock_judge_nothing(world: World) -> None:
    newest_snapshot = world.judging.select(pl.col("snapshot_s").max()).item()
    label = Label()
    ripe_s = newest_snapshot + (label.horizon_days + label.grace_days) * DAY_S
    early = judgement(world.case, now_s=ripe_s - 1).blessing
    assert names(early) == {"data_quality_green"}
    assert "not mature before" in failed(early)[0].found
    assert judgement(world.case, now_s=ripe_s).blessing.verdict == "accepted"


def test_labels_of_treated_customers_whose_weights_are_unknown_decide_nothing(world: World) -> None:
    unknown = replace(
        world.case, unknown_labels="unknown: the labels of 2025-01-01 can't be weighted, as nobody was held out"
    )
    found = verdict(unknown)
    assert found.verdict == "undecided"
    [rule] = failed(found)
    assert (rule.name, rule.undecided) == ("data_quality_green", True)
    assert "not known; unknown: the labels of 2025-01-01 can't be weighted" in rule.found
    failing = replace(unknown, checks=(*world.case.checks, Checked("training_set", "nulls", None, "failed")))
    assert verdict(failing).verdict == "rejected"


def test_rows_that_stand_for_others_are_counted_once_where_a_decision_needs_a_number_of_rows(world: World) -> None:
    rows = world.case.training_set
    case = replace(world.case, training_set=pl.concat([rows, rows]))
    assert case.judging.height == 2 * world.judging.height
    assert case.counted == (world.judging.height, int(world.judging["churned"].sum()))


@pytest.mark.parametrize("bounds", [Gate(minimum_rows=5_000), Gate(minimum_churners=5_000)])
def test_too_few_rows_are_no_decision(world: World, bounds: Gate) -> None:
    found = judgement(world.case, bounds)
    assert found.blessing.verdict == "undecided"
    assert [rule.name for rule in found.blessing.rules if rule.undecided] == ["more_profit_than_champion"]
    assert failed(found.blessing)[0].found.startswith("no decision")
    mild = {result.check_name: result.severity for result in rule_results(found)}
    assert mild["more_profit_than_champion"] == dg.AssetCheckSeverity.WARN
    assert judgement(replace(world.case, golden=b""), bounds).blessing.verdict == "rejected"


def test_too_few_rows_to_beat_the_baselines_are_no_decision_where_a_champion_stays(world: World) -> None:
    not_beaten, _ = EACH["baselines as good as the truth"]
    found = verdict(not_beaten(world.case, world), Gate(minimum_rows=5_000))
    assert found.verdict == "undecided"
    assert [rule.name for rule in found.rules if rule.undecided] == ["baselines_beaten", "more_profit_than_champion"]


def test_a_worse_candidate_is_rejected_with_the_difference(world: World) -> None:
    blind = world.rows.with_columns(visits=pl.col("noise") * 30)
    chosen = fitted("logistic_regression", blind, attributes())
    case = world.instead(built("logistic_regression", blind, attributes()), chosen)
    case = replace(case, champion=champion_of(world, world.candidate.scorer, threshold=world.manifest.threshold))
    found = judgement(case, Gate(auc_floor=0.5))
    assert found.blessing.verdict == "rejected"
    assert {"more_profit_than_champion", "baselines_beaten"} <= names(found.blessing)
    worse = found.results["more_profit_than_champion"]
    assert not worse.tie
    assert worse.numbers["gain"] < worse.numbers["high"] < 0
    assert found.blessing.gain == pytest.approx(worse.numbers["gain"])


def test_a_tie_keeps_the_champion_and_only_warns(world: World) -> None:
    same = champion_of(world, world.candidate.scorer, threshold=world.manifest.threshold)
    found = judgement(replace(world.case, champion=same))
    assert (found.blessing.verdict, names(found.blessing)) == ("rejected", {"more_profit_than_champion"})
    assert failed(found.blessing)[0].found.startswith("a tie: +0.000 per customer: both decide alike")
    assert [result.check_name for result in rule_results(found) if result.severity == dg.AssetCheckSeverity.WARN] == [
        "more_profit_than_champion"
    ]


DEAR = Profit(customer_value=60, offer_cost=30, contact_cost=5)
"""Costs at which asking everybody loses money."""


def of_costs(case: Evidence, profit: Profit) -> Judgement:
    settings = Settings(company="test", profit=profit)
    return judge(lambda: case, candidate="c" * 64, settings=settings.judging, actor="test", now_s=JUDGED_S)


def test_a_candidate_that_surely_loses_money_is_rejected_with_a_champion_and_without(world: World) -> None:
    asks_everybody = replace(world.case, threshold=0.0)
    first = replace(asks_everybody, champion=None, champion_trained_until=None, champion_split=None, epoch=0)
    found = of_costs(first, DEAR)
    assert (found.blessing.verdict, names(found.blessing)) == ("rejected", {"profit_not_negative"})
    loss = found.results["profit_not_negative"]
    assert loss.numbers["low"] < loss.numbers["profit"] < loss.numbers["high"] < 0
    assert loss.numbers["asked"] == world.judging.height
    champion = champion_of(world, world.champion.scorer, threshold=0.0)
    assert "profit_not_negative" in names(of_costs(replace(asks_everybody, champion=champion), DEAR).blessing)
    assert of_costs(replace(first, threshold=world.manifest.threshold), Profit()).blessing.verdict == "accepted"


def test_a_first_candidate_that_asks_nobody_loses_nothing(world: World) -> None:
    nobody = replace(world.case, threshold=1.0, champion=None, champion_trained_until=None, champion_split=None, epoch=0)
    found = of_costs(nobody, DEAR)
    assert found.blessing.verdict == "accepted"
    assert "the model asks nobody" in found.results["profit_not_negative"].found


def test_a_loss_that_may_be_chance_is_no_sure_loss(world: World) -> None:
    few = world.judging.head(40)
    rows = pl.concat([world.rows.filter(pl.col("role") != "judge"), few])
    scores = np.sort(world.candidate.scorer.score_frame(few))
    one_asked = replace(world.case, training_set=rows, threshold=float(scores[-3:-1].mean()), reachable=None, champion=None)
    stays = labels(one_asked, np.arange(40) % 2 == 0)
    found = of_costs(stays, Profit(customer_value=10, offer_cost=3, contact_cost=1)).results["profit_not_negative"]
    assert found.numbers["profit"] < 0
    assert found.passed


def test_a_candidate_that_is_worse_on_a_segment_is_rejected(world: World) -> None:
    wrong = world.rows.with_columns(
        visits=pl.when(pl.col("plan") == "free").then(30 - pl.col("visits")).otherwise("visits")
    )
    chosen = fitted("gradient_boosting", wrong, attributes())
    case = world.instead(built("gradient_boosting", wrong, attributes()), chosen)
    case = replace(case, champion=champion_of(world, world.candidate.scorer, threshold=world.manifest.threshold))
    found = judgement(case)
    assert "no_segment_worse" in names(found.blessing)
    assert found.results["no_segment_worse"].numbers["segments"] == 2
    assert found.results["no_segment_worse"].found.startswith(
        "some customers bring less than with the champion: 2 segments looked at; plan free: -"
    )
    assert "no_segment_worse" not in names(verdict(case, Gate(segment_margin=1_000)))


def test_a_segment_in_which_no_small_loss_could_be_seen_is_named_as_not_judged_and_fails_nothing(world: World) -> None:
    found = judgement(world.case).results["no_segment_worse"]
    assert found.passed
    assert (found.numbers["segments"], found.numbers["not_judged"]) == (2, 2)
    assert min(found.numbers["plan free, detectable"], found.numbers["plan pro, detectable"]) > 3 * BOUNDS.segment_margin
    assert "not judged, too few: plan " in found.found
    coarse = judgement(world.case, Gate(segment_margin=5)).results["no_segment_worse"]
    assert coarse.numbers["not_judged"] == 0
    largest = max(coarse.numbers["plan free, detectable"], coarse.numbers["plan pro, detectable"])
    assert f"a loss of {largest:.3f} would have been seen in 80% of cases" in coarse.found
    assert "not judged" not in coarse.found


def test_of_many_segments_that_were_not_judged_three_are_named_and_the_others_counted(world: World) -> None:
    """Four tariffs of which none is large enough to show a small loss."""
    tariff = pl.concat_str("plan", (pl.col("customer_id").str.slice(-1) < "5").cast(pl.String))
    case = judging_rows(world.case, tariff.alias("plan"))
    found = no_segment_worse(case, BOUNDS, Profit(), EvaluationSettings(segment_rows=50))
    assert (found.numbers["segments"], found.numbers["not_judged"]) == (4, 4)
    assert found.found.count("would have been seen)") == 3
    assert found.found.endswith(", and 1 more")


def test_a_loss_as_large_as_the_detectable_one_is_found_in_four_of_five_cases() -> None:
    generator, level, margin = np.random.default_rng(0), 0.05 / 12, 0.5
    customers = pl.Series(np.arange(400))
    scatter = generator.normal(0, 8, (400, 400))
    losses = [
        detectable_loss(paired_difference(noise, np.zeros(400), customers, confidence=1 - level), margin=margin)
        for noise in scatter
    ]
    loss = float(np.mean(losses))
    assert (2.65 + 0.84) * 8 / 20 < loss < 1.15 * (2.65 + 0.84) * 8 / 20, "a little more than by a t test"
    drawn = [partial(paired_difference, noise - loss, np.zeros(400), customers) for noise in scatter[:200]]
    found = [p_value(one) <= level and one(confidence=0.95).mean < -margin for one in drawn]
    assert 0.7 < np.mean(found) < 0.9


def test_ten_calls_without_a_churner_among_them_are_no_proof_of_a_worse_segment() -> None:
    """At break-even one in six such samples looks so, and a t test says one in a million."""
    values = np.zeros(200)
    values[:10] = -11.0
    customers = pl.Series(np.arange(200))
    chance = p_value(partial(paired_difference, values, np.zeros(200), customers, largest=56.0))
    assert chance > 0.05
    sure = np.where(np.arange(200) % 2, -11.0, -10.0)
    assert p_value(partial(paired_difference, sure, np.zeros(200), customers, largest=56.0)) < 1e-6


def test_a_champion_whose_columns_are_gone_is_named_with_the_way_out(world: World) -> None:
    found = judgement(replace(world.case, champion=champion_of(world, another("logistic_regression", "tenure").scorer)))
    said = found.results["more_profit_than_champion"].found
    assert "needs tenure, which the training set no longer has" in said
    assert "churn approve ID --override" in said
    assert found.results["latency"].found == found.results["no_segment_worse"].found == said


@pytest.mark.parametrize(
    ("bounds", "rule"),
    [
        (Gate(auc_floor=0.9, auc_plausible=0.99), "auc_above_floor"),
        (Gate(auc_plausible=0.61), "auc_plausible"),
        (Gate(calibration_slope=(1.5, 2.0)), "calibrated"),
        (Gate(calibration_intercept=(1.0, 2.0)), "calibrated"),
        (Gate(latency_ratio=1e-6), "latency"),
    ],
)
def test_a_figure_outside_its_bounds_is_rejected(world: World, bounds: Gate, rule: str) -> None:
    assert names(verdict(world.case, bounds)) == {rule}


def test_a_leaked_column_is_too_good_to_be_true(world: World) -> None:
    chosen = fitted("logistic_regression", world.rows, attributes("leak"))
    case = replace(
        world.instead(built("logistic_regression", world.rows, attributes("leak")), chosen), champion=None, reachable=None
    )
    found = verdict(case)
    assert "auc_plausible" in names(found)
    assert "leak" in next(rule.allowed for rule in failed(found) if rule.name == "auc_plausible")


def test_better_than_the_best_prediction_is_a_leak_though_below_the_bound(world: World) -> None:
    peeks = world.rows.with_columns(visits=pl.col("visits") - 4 * pl.col("leak"))
    chosen = fitted("logistic_regression", peeks, attributes())
    peeking = built("logistic_regression", peeks, attributes())
    case = replace(world.instead(peeking, chosen), training_set=peeks)
    found = judgement(case).results["auc_plausible"]
    assert not found.passed
    assert found.numbers["auc"] < found.numbers["bound"]
    assert found.numbers["above_ceiling_low"] > 0
    assert judgement(replace(case, reachable=None)).results["auc_plausible"].passed


def copied(world: World, folder: Path) -> DigestStore:
    shutil.copytree(world.folder / "releases", folder / "releases")
    return DigestStore(str(folder / "releases"))


@pytest.mark.parametrize("name", ["model.onnx", "golden.json", "reference.parquet"])
@pytest.mark.parametrize("how", ["missing", "changed", "cut short"])
def test_a_champion_with_a_broken_file_is_no_reason_to_promote(world: World, tmp_path: Path, name: str, how: str) -> None:
    files = copied(world, tmp_path)
    [file] = (tmp_path / "releases").rglob(world.champion.manifest.files[name].sha256)
    content = file.read_bytes()
    file.unlink()
    if how != "missing":
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:] if how == "changed" else content[: len(content) // 2])
    found = verdict(lambda: replace(world.case, champion=load_bundle(files, world.champion.digest)))
    assert found.verdict == "rejected"
    assert "ReleaseError" in found.rules[0].found


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_changed_model_file_never_reaches_the_rules(world: World, at: float) -> None:
    model = bytearray(world.candidate.files["model.onnx"])
    for position in range(int(at * len(model)), int(at * len(model)) + 40):
        model[position] ^= 0xFF
    found = verdict(lambda: replace(world.case, scorer=Scorer(bytes(model), world.candidate.signature)))
    assert found.verdict == "rejected"


def test_every_rule_is_a_described_check_and_says_what_it_found(world: World) -> None:
    assert {spec.name for spec in rule_specs()} == set(RULES) == set(DESCRIPTIONS)
    results = list(rule_results(judgement(replace(world.case, golden=b""))))
    assert {result.check_name: result.passed for result in results} == {
        name: name != "golden_rows_repeat" for name in RULES
    }
    assert {result.severity for result in results} == {dg.AssetCheckSeverity.ERROR}
    numbers = {result.check_name: set(result.metadata) for result in results}
    assert {"gain", "low", "detectable", "rows", "churners"} <= numbers["more_profit_than_champion"]
    assert {"calibration_slope", "calibration_slope_low"} <= numbers["calibrated"]


@pytest.mark.parametrize("verdict_of", ["rejected", "undecided"])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_candidate_that_is_not_accepted_can_not_be_published(world: World, recorded: bool, verdict_of: Any) -> None:
    said = msgspec.structs.replace(blessing(world.manifest, accepted=False), verdict=verdict_of)
    before = newest(world.engine)
    if recorded:
        record_blessing(world.engine, said)
    with pytest.raises(ReleaseError, match="only accepted or overridden"):
        _publish(world, said)
    assert newest(world.engine) == before


def test_a_verdict_that_was_never_recorded_or_is_for_another_candidate_publishes_nothing(world: World) -> None:
    rows = training_set(seed=8)
    chosen = fitted("logistic_regression", rows, attributes())
    unknown = staged(world.files, built("logistic_regression", rows, attributes()), chosen, rows)
    before = newest(world.engine)
    with pytest.raises(ReleaseError, match="newest recorded verdict"):
        _publish(replace(world, manifest=unknown), blessing(unknown, accepted=True))
    with pytest.raises(ReleaseError, match="the blessing is for candidate"):
        _publish(world, blessing(unknown, accepted=True))
    assert newest(world.engine) == before


def _publish(world: World, said: Blessing) -> None:
    before = newest(world.engine)
    publish(
        world.engine,
        world.files,
        world.manifest,
        said,
        read_epoch=0 if before is None else before.epoch,
        actor="test",
        reason="test",
        now_s=NOW_S,
    )


def test_golden_rows_that_lack_a_column_are_rejected(world: World) -> None:
    golden = msgspec.json.decode(world.case.golden, type=Golden)
    lacking = Golden([{k: v for k, v in row.items() if k != "plan"} for row in golden.rows], golden.probabilities)
    assert "golden_rows_repeat" in names(verdict(replace(world.case, golden=encode(lacking))))


def test_holm_stops_at_the_first_that_is_not_rejected() -> None:
    assert holm({"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.2}, 0.05) == {"a"}
    assert holm({"a": 0.01, "b": 0.016, "c": 0.024, "d": 0.2}, 0.05) == {"a", "b", "c"}
    assert holm({"a": float("nan")}, 0.05) == set()


def test_the_export_is_compared_with_each_column_missing_and_each_word_unseen(world: World) -> None:
    signature = world.candidate.signature
    altered = altered_rows(world.judging.head(2), signature)
    assert altered.height == 2 * (3 + 1 + 3)  # three columns missing, one word unseen, and the three together
    assert altered["visits"].null_count() == altered["spend"].null_count() == 2 * 3
    assert set(altered["plan"].drop_nulls().unique()) > {UNSEEN}
    alone, together = altered.slice(2 * 3, 2), altered.slice(2 * 5, 2)
    for part in (alone, together):
        assert part["plan"].to_list() == [UNSEEN] * 2
        assert part["visits"].null_count() == 0


def test_an_export_that_differs_by_little_fails_though_no_decision_flips(world: World) -> None:
    pipeline = copy.deepcopy(world.candidate.pipeline)
    [calibrated] = pipeline.named_steps["model"].calibrated_classifiers_
    calibrated.calibrators[0].b_ += 1e-4
    trained = pipeline_probabilities(pipeline, world.rows, world.candidate.signature, model=world.candidate.fitted.model)
    found = judgement(replace(world.case, trained=trained)).results["export_equals_pipeline"]
    assert not found.passed
    assert found.numbers["flipped"] == 0
    assert 1e-6 < found.numbers["greatest_difference"] < 1e-4


def test_a_decision_that_flips_fails_though_the_export_differs_by_next_to_nothing(world: World) -> None:
    exported = world.candidate.scorer.score_frame(held_out(world.rows))
    trained = world.candidate.trained.held_out
    between = float(np.maximum(exported, trained)[int(np.argmax(np.abs(exported - trained)))])
    found = judgement(replace(world.case, threshold=between)).results["export_equals_pipeline"]
    assert not found.passed
    assert found.numbers["flipped"] > 0
    assert found.numbers["greatest_difference"] <= 1e-6


def test_models_that_take_turns_are_timed_apart() -> None:
    slow, quick = interleaved(lambda: sum(range(20_000)), lambda: sum(range(200)))
    assert slow > 5 * quick
