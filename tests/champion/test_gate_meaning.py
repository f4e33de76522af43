"""The gate says what it means: a refusal begins with its meaning and ends with its setting, and an interval that can't tell decides nothing."""

from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import msgspec
import numpy as np
import polars as pl
import pytest

from churn_assets.champion.checks import rule_results
from churn_assets.champion.gate.band import place
from churn_assets.champion.gate.calibrated import calibrated
from churn_assets.champion.gate.carriers import grouped, separation
from churn_assets.champion.gate.evidence import Evidence, RuleResult
from churn_assets.champion.gate.floor import auc_above_floor
from churn_assets.champion.gate.plausible import auc_plausible
from churn_assets.champion.gate.quality import baselines_beaten
from churn_assets.champion.gate.untuned import not_worse_than_untuned
from churn_assets.champion.gate.verdict import RULES, Judgement, Judging, judge
from churn_assets.evaluation.baselines import BASE_RATE
from churn_assets.features.feature_sets import features_of
from churn_assets.settings.company import Settings
from churn_assets.settings.gate import Gate
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_store.errors import InputError
from churn_store.model.signature import Column
from churn_store.releases.manifest import Blessing, Interval, Rule
from tests.champion.world import NOW_S, World, built, make_world

BOUNDS = Gate()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def first(case: Evidence) -> Evidence:
    """The case where no champion serves yet."""
    return replace(case, champion=None, champion_trained_until=None, champion_split=None, epoch=0)


def within(case: Evidence, name: str, low: float, high: float) -> Evidence:
    """The case whose interval of a measure is another one around the same figure."""
    changed = msgspec.structs.replace(case.evaluation.intervals[name], low=low, high=high)
    intervals = {**case.evaluation.intervals, name: changed}
    return replace(case, evaluation=msgspec.structs.replace(case.evaluation, intervals=intervals))


@pytest.mark.parametrize(
    ("low", "high", "where"),
    [
        (0.8, 1.2, "inside"),
        (0.7, 1.4, "inside"),
        (0.69, 1.2, "undecided"),
        (0.8, 1.41, "undecided"),
        (0.1, 9.0, "undecided"),
        (0.2, 0.69, "outside"),
        (1.41, 3.0, "outside"),
    ],
)
def test_three_verdicts_by_interval(low: float, high: float, where: str) -> None:
    assert place(Interval((low + high) / 2, low, high), (0.7, 1.4)) == where


@pytest.mark.parametrize(
    ("low", "high", "meaning"),
    [
        (0.3, 0.6, "overconfident: high probabilities are too high"),
        (1.5, 2.0, "underconfident: the customers differ by more than the probabilities say"),
        (0.5, 1.1, "too few rows to tell whether it is calibrated in slope: "),
    ],
)
def test_a_slope_that_is_not_within_its_bounds_is_explained(world: World, low: float, high: float, meaning: str) -> None:
    found = calibrated(within(world.case, "calibration_slope", low, high), BOUNDS)
    assert not found.passed
    assert found.undecided == meaning.startswith("too few")
    assert found.found.startswith(meaning)
    assert "slope 0.7 to 1.4 (gate.calibration_slope)" in found.allowed


def test_an_interval_of_nothing_decides_nothing_and_fails(world: World) -> None:
    for low, high in ((float("nan"), 1.2), (0.9, float("inf")), (1.2, 0.9)):
        with pytest.raises(InputError, match="expected two numbers in order"):
            calibrated(within(world.case, "calibration_slope", low, high), BOUNDS)


def test_an_auc_below_the_floor_by_chance_is_undecided_and_by_more_is_refused(world: World) -> None:
    floor = world.case.evaluation.intervals["auc"].high - 0.001
    unsure = auc_above_floor(world.case, floor)
    assert (unsure.passed, unsure.undecided) == (False, True)
    refused = auc_above_floor(world.case, floor + 0.01)
    assert (refused.passed, refused.undecided) == (False, False)
    assert refused.found.startswith("orders the customers hardly better than chance: AUC 0.")
    assert "(gate.auc_floor)" in refused.allowed


def judgement(case: Evidence, **instead: RuleResult) -> Judgement:
    """The verdict where the named rules found something else."""
    rules: dict[str, Judging] = dict.fromkeys(RULES, lambda *_: RuleResult(True, "fine", "anything"))
    rules |= {name: lambda *_, found=found: found for name, found in instead.items()}
    settings = Settings(company="test").judging
    return judge(lambda: case, candidate="c" * 64, settings=settings, actor="test", now_s=NOW_S, rules=rules)


def test_what_is_undecided_may_be_the_first_and_replaces_no_champion(world: World) -> None:
    unsure = calibrated(within(world.case, "calibration_slope", 0.5, 1.1), BOUNDS)
    later = judgement(world.case, calibrated=unsure).blessing
    assert (later.verdict, later.epoch, later.releasable) == ("undecided", 1, False)
    alone = judgement(first(world.case), calibrated=unsure).blessing
    assert (alone.verdict, alone.epoch, alone.releasable) == ("undecided", 0, True)
    assert alone.undecided_rules == ["calibrated"]
    assert alone.refusal.startswith("too few rows to tell whether it is calibrated in slope")
    assert alone.refusal.endswith("(calibrated is undecided)")
    both = judgement(first(world.case), calibrated=unsure, latency=RuleResult(False, "too slow: 11", "10")).blessing
    assert (both.verdict, both.releasable) == ("rejected", False)
    assert both.refusal.startswith("too slow: 11; allowed: 10 (latency); ")


def test_a_verdict_that_says_undecided_of_a_failed_rule_releases_nothing() -> None:
    rules = (Rule("calibrated", False, "", "", undecided=True), Rule("latency", False, "", ""))
    said = msgspec.structs.replace(blessing_of(rules), verdict="undecided")
    assert not said.releasable
    assert msgspec.structs.replace(said, rules=rules[:1]).releasable
    assert not msgspec.structs.replace(said, rules=()).releasable
    assert not msgspec.structs.replace(said, rules=rules[:1], epoch=3).releasable


def blessing_of(rules: tuple[Rule, ...]) -> Blessing:
    return Blessing("c" * 64, "rejected", rules, "test", NOW_S)


def test_a_first_model_that_is_not_proven_to_know_anything_is_refused_with_few_rows_too(world: World) -> None:
    knows_nothing = replace(world.case, baselines={**world.case.baselines, BASE_RATE: world.judging["truth"].to_numpy()})
    for bounds in (BOUNDS, Gate(minimum_rows=5_000)):
        found = baselines_beaten(first(knows_nothing), bounds, seed=1)
        assert (found.passed, found.undecided) == (False, False)
        assert found.found.startswith(
            "no better than knowing nothing and not proven to keep 50% of what plain logistic regression gains: log loss "
        )
        assert "(gate.minimum_rows)" in found.allowed
    assert "churners among 600 rows are few; bring more" in found.found
    assert baselines_beaten(knows_nothing, Gate(minimum_rows=5_000), seed=1).undecided  # the champion stays all the same


def beside(world: World, *, knows: int) -> Evidence:
    """The case beside an untuned model that says the same, but for some churners whom it knows better."""
    theirs = world.case.scores.copy()
    theirs[np.flatnonzero(world.case.churned)[:knows]] = 0.95
    return replace(world.case, untuned={"random_forest": theirs})


def test_a_candidate_is_as_good_as_an_untuned_model_but_for_the_margins_or_refused_or_warned_of(world: World) -> None:
    same = not_worse_than_untuned(beside(world, knows=0), BOUNDS, seed=1)
    assert (same.passed, same.warning) == (True, False)
    assert same.found == "beside untuned random_forest AUC 0.0000 better and log loss 0.0000 better"
    assert "(gate.untuned_auc_margin)" in same.allowed
    assert "(gate.untuned_log_loss_margin)" in same.allowed
    unsure = not_worse_than_untuned(beside(world, knows=2), BOUNDS, seed=1)
    assert (unsure.passed, unsure.warning) == (True, True)
    assert unsure.found.startswith("too few rows to tell whether it is worse than random_forest that nobody has tuned: ")
    worse = not_worse_than_untuned(beside(world, knows=100), BOUNDS, seed=1)
    assert (worse.passed, worse.undecided, worse.warning) == (False, False, False)
    assert worse.found.startswith("worse than random_forest that nobody has tuned: beside untuned random_forest AUC 0.")
    assert worse.numbers["log_loss_gain_on_random_forest"] < -BOUNDS.untuned_log_loss_margin
    wide = Gate(untuned_auc_margin=0.4, untuned_log_loss_margin=1.0)
    assert not_worse_than_untuned(beside(world, knows=100), wide, seed=1).passed


def test_a_small_company_may_release_what_knows_something_though_its_worth_beside_a_plain_model_is_not_proven(
    world: World,
) -> None:
    scores = world.case.scores
    sharp = np.clip(np.where(world.case.churned, scores + 0.25, scores - 0.25), 0.01, 0.99)
    case = replace(first(world.case), baselines={**world.case.baselines, "logistic_regression": sharp})
    assert not baselines_beaten(case, BOUNDS, seed=1).undecided
    few = baselines_beaten(case, Gate(minimum_rows=5_000), seed=1)
    assert (few.passed, few.undecided) == (False, True)
    assert few.found.startswith("not proven to keep 50% of what plain logistic regression gains: log loss ")


Planted = Callable[[np.random.Generator, np.ndarray], dict[str, np.ndarray]]


def copy_of_the_label(generator: np.random.Generator, churned: np.ndarray) -> dict[str, np.ndarray]:
    """The label, wrong for six rows of a hundred: alone it stays below the bound."""
    return {"state": np.where(generator.random(churned.size) < 0.06, ~churned, churned).astype(float)}


def one_column(generator: np.random.Generator, churned: np.ndarray) -> dict[str, np.ndarray]:
    return {"refund": churned + 0.3 * generator.normal(size=churned.size)}


def three_columns_in_two_groups(generator: np.random.Generator, churned: np.ndarray) -> dict[str, np.ndarray]:
    """Two columns that say nearly the same, and a third that takes away what blurs them."""
    blur, rest = generator.normal(size=churned.size), 0.5 * generator.normal(size=(3, churned.size))
    return {
        "ledger": 0.7 * churned + blur + rest[0],
        "statement": 0.7 * churned + blur + rest[1],
        "offset": 0.7 * churned - blur + rest[2],
    }


def nothing_planted(_generator: np.random.Generator, _churned: np.ndarray) -> dict[str, np.ndarray]:
    return {}


def of_a_table(world: World, planted: Planted, *, honest: int, strength: float) -> Evidence:
    """A first candidate of rows without time: honest columns that tell something each, and what is planted."""
    generator = np.random.default_rng(5)
    churned = generator.random(2_400) < 0.3
    columns = {f"habit_{number}": strength * churned + generator.normal(size=churned.size) for number in range(honest)}
    columns |= planted(generator, churned)
    rows = pl.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(churned.size)],
            **columns,
            "churned": churned,
            "role": [TRAIN] * 1_200 + [SELECT] * 300 + [JUDGE] * 900,
        }
    )
    features = features_of(["customers"], [Column(name=name, kind="number") for name in columns], has_time=False)
    made = built("logistic_regression", rows, features)
    return replace(
        first(world.case),
        scorer=made.scorer,
        training_set=rows,
        reachable=None,
        judging_from=None,
        candidate_trained_until=None,
    )


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        (one_column, "which refund carries"),
        (copy_of_the_label, "state carries"),
        (three_columns_in_two_groups, "carries with AUC"),
    ],
)
def test_a_planted_leak_in_a_table_is_refused_by_name(world: World, planted: Planted, named: str) -> None:
    found = auc_plausible(of_a_table(world, planted, honest=5, strength=0.5), BOUNDS, seed=1)
    assert found.numbers["auc"] > BOUNDS.auc_plausible
    assert (found.passed, found.warning, found.undecided) == (False, False, False)
    assert found.found.startswith("too good to be true: AUC 0.9")
    assert named in found.found
    assert "features.exclude" in found.found
    if planted is three_columns_in_two_groups:
        assert {"ledger", "statement", "offset"} <= set(found.found.replace(",", "").split())


def test_a_table_that_many_honest_columns_order_well_is_let_through_with_a_warning(world: World) -> None:
    case = of_a_table(world, nothing_planted, honest=9, strength=0.95)
    found = auc_plausible(case, BOUNDS, seed=1)
    assert found.numbers["auc"] > BOUNDS.auc_plausible
    assert (found.passed, found.warning) == (True, True)
    assert found.found.startswith("a warning: AUC 0.9")
    assert found.numbers["groups"] == 9
    [shown] = [one for one in rule_results(judgement(case, auc_plausible=found)) if one.check_name == "auc_plausible"]
    assert (shown.passed, shown.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert judgement(case, auc_plausible=found).blessing.verdict == "accepted"


def test_rows_with_time_are_refused_above_the_bound_whoever_carries_it(world: World) -> None:
    found = auc_plausible(replace(world.case, reachable=None), Gate(auc_plausible=0.61), seed=1)
    assert (found.passed, found.warning) == (False, False)
    assert found.found.startswith("too good to be true: AUC ")


def test_columns_that_are_linked_are_one_group() -> None:
    generator = np.random.default_rng(0)
    same, other = generator.normal(size=(2, 500))
    encoded = {
        "a": np.column_stack([same, np.zeros(500)]),
        "b": np.column_stack([-np.exp(same), np.zeros(500)]),
        "c": np.column_stack([other, np.isnan(other)]),
        "lost": np.column_stack([np.where(same > 0, np.nan, other), same > 0]),
    }
    assert sorted(grouped(encoded)) == [("a", "b", "lost"), ("c",)]


def test_independent_columns_add_up_in_the_separation() -> None:
    assert separation(0.5) == separation(0.3) == 0
    assert separation(0.9213) == pytest.approx(2 * separation(0.8413), rel=1e-3)
