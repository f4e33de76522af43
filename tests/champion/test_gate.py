"""The gate: a good candidate is accepted; whatever is wrong with one, the verdict is a rejection with a reason."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_assets.champion.candidate import Candidate, build
from churn_assets.champion.checks import DESCRIPTIONS, rule_results, rule_specs
from churn_assets.champion.gate import RULES, Case, failed, judge
from churn_assets.periods import DAY_S
from churn_assets.settings import Gate
from churn_assets.training.families import export
from churn_store.errors import ReleaseError
from churn_store.files import DigestStore
from churn_store.manifest import Blessing, Golden, encode
from churn_store.releases import Bundle, load_bundle, load_file, newest, publish, record_blessing
from churn_store.scoring import Scorer
from tests.champion.world import JUDGED_FROM, NOW_S, World, attributes, blessing, make_world, staged, training_set

BOUNDS = Gate()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def verdict(case: Case | Callable[[], Case], bounds: Gate = BOUNDS) -> Blessing:
    read = case if callable(case) else lambda: case
    return judge(read, candidate="c" * 64, rules=bounds, seed=1, actor="test", now_s=NOW_S)


def names(found: Blessing) -> set[str]:
    return {rule.name for rule in failed(found)}


def test_a_good_candidate_is_accepted_for_every_rule(world: World) -> None:
    found = verdict(world.case)
    assert (found.verdict, names(found)) == ("accepted", set())
    assert [rule.name for rule in found.rules] == list(RULES)
    assert all(rule.found and rule.allowed for rule in found.rules)


def test_the_first_candidate_needs_no_champion_and_data_without_time_no_dates(world: World) -> None:
    assert verdict(replace(world.case, champion=None, champion_trained_until=None)).verdict == "accepted"
    without_time = replace(world.case, judging_from=None, candidate_trained_until=None, champion_trained_until=None)
    assert verdict(without_time).verdict == "accepted"
    assert verdict(replace(without_time, champion=None, champion_split=None)).verdict == "accepted"


@cache
def fitted(family: str = "logistic_regression", *more: str) -> Candidate:
    """Another model of the world's rows, with more columns if asked."""
    rows = training_set()
    return build(family, rows.with_columns(tenure=pl.col("noise")), attributes(*more), seed=1)


@cache
def scores_nothing() -> Scorer:
    """A model whose every score is not a number."""
    rows = training_set()
    broken = build("logistic_regression", rows, attributes(), seed=1)
    broken.pipeline.named_steps["model"].coef_[...] = np.nan
    return Scorer(export(broken.pipeline, broken.signature), broken.signature)


def bundle_of(scorer: Scorer, world: World) -> Bundle:
    return Bundle(digest="0" * 64, manifest=world.champion.manifest, scorer=scorer)


def relabelled(world: World, churned: pl.Expr | pl.Series) -> pl.DataFrame:
    return world.judging.with_columns(churned.alias("churned"))


def by_score(world: World) -> pl.Series:
    """Labels that the candidate knows by heart."""
    scores = world.candidate.scorer.score_frame(world.judging)
    return pl.Series(scores > np.median(scores))


CORRUPTIONS: dict[str, tuple[Callable[[Case, World], Case], str]] = {
    "a golden file cut short": (lambda case, _: replace(case, golden=case.golden[:-40]), "golden_rows_repeat"),
    "golden rows of another model": (
        lambda case, world: replace(case, golden=load_file(world.files, world.champion.manifest, "golden.json")),
        "golden_rows_repeat",
    ),
    "no golden rows": (lambda case, _: replace(case, golden=encode(Golden([], []))), "golden_rows_repeat"),
    "the export of another model": (
        lambda case, world: replace(case, scorer=world.champion.scorer),
        "export_equals_pipeline",
    ),
    "another pipeline": (
        lambda case, _: replace(case, pipeline=fitted("gradient_boosting").pipeline),
        "export_equals_pipeline",
    ),
    "scores that are not numbers": (lambda case, world: replace(case, scorer=scores_nothing()), "auc_above_floor"),
    "labels of chance": (
        lambda case, world: replace(
            case, judging=relabelled(world, pl.Series(np.random.default_rng(0).random(world.judging.height) < 0.5))
        ),
        "auc_above_floor",
    ),
    "labels that the candidate knows": (
        lambda case, world: replace(case, judging=relabelled(world, by_score(world))),
        "auc_plausible",
    ),
    "no judging rows": (lambda case, world: replace(case, judging=world.judging.head(0)), "auc_above_floor"),
    "one class": (lambda case, world: replace(case, judging=relabelled(world, pl.lit(True))), "auc_above_floor"),
    "labels that are missing": (
        lambda case, world: replace(case, judging=relabelled(world, pl.lit(None, dtype=pl.Boolean))),
        "auc_above_floor",
    ),
    "judging rows without labels": (
        lambda case, world: replace(case, judging=world.judging.drop("churned")),
        "auc_above_floor",
    ),
    "judging rows without a feature": (
        lambda case, world: replace(case, judging=world.judging.drop("visits")),
        "export_equals_pipeline",
    ),
    "judging rows that the candidate was trained on": (
        lambda case, _: replace(case, candidate_trained_until=JUDGED_FROM + 1),
        "judging_rows_are_later",
    ),
    "judging rows that the champion was trained on": (
        lambda case, _: replace(case, champion_trained_until=JUDGED_FROM + DAY_S),
        "judging_rows_are_later",
    ),
    "data without time, split otherwise than for the champion": (
        lambda case, _: replace(case, judging_from=None, split="by customer: seed 43, held out 0.3"),
        "judging_rows_are_later",
    ),
    "a champion that can't say what it was trained on": (
        lambda case, _: replace(case, champion_trained_until=None),
        "judging_rows_are_later",
    ),
    "the same model again": (
        lambda case, world: replace(case, champion=bundle_of(world.candidate.scorer, world)),
        "not_worse_than_champion",
    ),
    "a champion of other columns": (
        lambda case, world: replace(case, champion=bundle_of(fitted("logistic_regression", "tenure").scorer, world)),
        "not_worse_than_champion",
    ),
    "a champion that scores nothing": (
        lambda case, world: replace(case, champion=bundle_of(scores_nothing(), world)),
        "not_worse_than_champion",
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_fault_fails_its_rule_with_a_reason(world: World, name: str) -> None:
    corrupt, rule = CORRUPTIONS[name]
    found = verdict(corrupt(world.case, world))
    assert found.verdict == "rejected"
    assert rule in names(found)
    assert all(result.found and "\n" not in result.found for result in found.rules)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.sampled_from(sorted(CORRUPTIONS)), min_size=1, max_size=5))
def test_whatever_is_corrupted_together_is_rejected(world: World, chosen: set[str]) -> None:
    case = world.case
    for name in sorted(chosen):
        case = CORRUPTIONS[name][0](case, world)
    assert verdict(case).verdict == "rejected"


def test_a_worse_candidate_is_rejected_with_the_difference(world: World) -> None:
    blind = world.rows.with_columns(visits=pl.col("noise") * 30)
    worse = build("logistic_regression", blind, attributes(), seed=2)
    case = replace(
        world.case,
        pipeline=worse.pipeline,
        scorer=worse.scorer,
        golden=worse.files["golden.json"],
        champion=bundle_of(world.candidate.scorer, world),
    )
    found = verdict(case, Gate(auc_floor=0.5))
    assert names(found) == {"not_worse_than_champion"}
    assert failed(found)[0].found.startswith("AUC -0.")


def test_other_scores_in_the_same_order_are_a_tie_and_keep_the_champion(world: World) -> None:
    shifted = build("logistic_regression", world.rows, attributes(), seed=1)
    shifted.pipeline.named_steps["model"].intercept_ += 0.01
    champion = bundle_of(Scorer(export(shifted.pipeline, shifted.signature), shifted.signature), world)
    found = verdict(replace(world.case, champion=champion))
    assert names(found) == {"not_worse_than_champion"}
    assert "AUC +0.0000" in failed(found)[0].found


@pytest.mark.parametrize(
    ("bounds", "rule"),
    [(Gate(auc_floor=0.9, auc_plausible=0.99), "auc_above_floor"), (Gate(auc_plausible=0.61), "auc_plausible")],
)
def test_an_auc_outside_its_bounds_is_rejected(world: World, bounds: Gate, rule: str) -> None:
    assert names(verdict(world.case, bounds)) == {rule}


def test_a_leaked_column_is_too_good_to_be_true(world: World) -> None:
    leaking = build("logistic_regression", world.rows, attributes("leak"), seed=1)
    case = replace(
        world.case, pipeline=leaking.pipeline, scorer=leaking.scorer, golden=leaking.files["golden.json"], champion=None
    )
    found = verdict(case)
    assert names(found) == {"auc_plausible"}
    assert "leak" in failed(found)[0].allowed


@pytest.mark.parametrize("error", [OSError("the disk is away"), ReleaseError("gone"), KeyError("x"), AssertionError()])
def test_a_case_that_can_not_be_read_fails_every_rule(error: Exception) -> None:
    def read() -> Case:
        raise error

    found = verdict(read)
    assert (found.verdict, names(found)) == ("rejected", set(RULES))
    assert all(type(error).__name__ in rule.found for rule in found.rules)


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
    results = list(rule_results(verdict(replace(world.case, golden=b""))))
    assert {result.check_name: result.passed for result in results} == {
        name: name != "golden_rows_repeat" for name in RULES
    }


@pytest.mark.parametrize("recorded", [True, False])
def test_a_rejected_candidate_can_not_be_published(world: World, recorded: bool) -> None:
    said, before = blessing(world.manifest, accepted=False), newest(world.engine)
    if recorded:
        record_blessing(world.engine, said)
    with pytest.raises(ReleaseError, match="only accepted or overridden"):
        _publish(world, said)
    assert newest(world.engine) == before


def test_a_verdict_that_was_never_recorded_or_is_for_another_candidate_publishes_nothing(world: World) -> None:
    rows = training_set(seed=8)
    unknown = staged(world.files, build("logistic_regression", rows, attributes(), seed=1), rows)
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
