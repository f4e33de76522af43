"""Results: which customers count, by how much, and that nothing is claimed that is not proven."""

import math
from collections.abc import Iterable, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.intake import Sender
from churn_store.database.schema import prediction_log
from churn_store.experiments.assignment import is_treated
from churn_store.experiments.exposures import ArmUnits, Exposures, exposures
from churn_store.experiments.history import read
from churn_store.experiments.inference import Moments, difference
from churn_store.experiments.lake_labels import LakeLabels
from churn_store.experiments.plan import CONTROL, TREATMENT, GuardRail
from churn_store.experiments.record import Record
from churn_store.experiments.results import Result, judged, results
from churn_store.outcomes.log import Outcome, record
from churn_store.storage.digest_store import DigestStore
from tests.experiments.made import PROFIT, an_experiment, event
from tests.release_factory import NOW_S

T_S = NOW_S - 60 * DAY_S
ASKED_S = T_S + DAY_S
SENDER = Sender("key1", "r1", NOW_S)


def arm_of(customer: str, share: float = 0.5) -> str:
    return TREATMENT if is_treated("salt", customer, share) else CONTROL


def asked(customer: str, **changes: Any) -> dict[str, Any]:
    """A prediction of a customer in the arm that the hash gives, a day after the snapshot."""
    arm = changes.get("arm", arm_of(customer))
    told = {
        "request_id": f"{customer}-{changes.get('answered_s', ASKED_S)}", "item": 0, "answered_s": ASKED_S, "customer_id": customer,
        "release": "d", "epoch": 1, "role": "champion", "probability": 0.5, "churn": True, "threshold": 0.4, "snapshot_s": T_S,
        "features": {}, "latency_us": 2_000, "key_id": None, "experiment": "calls", "arm": arm, "unit": None,
    }  # fmt: skip
    return {**told, **changes}


def log(engine: sa.Engine, rows: Sequence[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(prediction_log.insert(), rows)


def post(engine: sa.Engine, outcomes: Iterable[Outcome]) -> None:
    record(engine, list(outcomes), SENDER)


def stayed(customer: str, **changes: Any) -> Outcome:
    return Outcome(**{"customer_id": customer, "snapshot_s": T_S, "churned": False, **changes})


def left(customer: str, **changes: Any) -> Outcome:
    return stayed(customer, churned=True, **changes)


def shown(engine: sa.Engine, name: str = "calls") -> Result:
    """The results in an installation whose graph has published no labels."""
    with TemporaryDirectory() as folder:
        return results(engine, lambda: DigestStore(folder), read(engine, name), now_s=NOW_S)


def units(engine: sa.Engine, *, now_s: float = NOW_S) -> Exposures:
    """The units of an installation whose graph has published no labels, with the value of each."""
    plan = read(engine, "calls").experiment
    with TemporaryDirectory() as folder:
        labels = LakeLabels(lambda: DigestStore(folder), horizon_days=plan.horizon_days, now_s=now_s)
        return exposures(engine, plan, labels, now_s=now_s)


def means(engine: sa.Engine) -> tuple[float, ...]:
    """The metric's mean by arm, however few customers there are."""
    found, metric = units(engine), read(engine, "calls").experiment.metric
    return tuple(float(np.mean(found.arms[arm].of(metric))) for arm in (CONTROL, TREATMENT))


def names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def counts(result: Result) -> dict[str, tuple[int, ...]]:
    return {arm.arm: (arm.units, arm.matured, arm.open, arm.unknown, arm.gone, arm.asked_late) for arm in result.arms}


def test_retention_of_both_arms_and_the_difference_that_is_proven(engine: sa.Engine) -> None:
    an_experiment(engine)
    customers = names(2_000)
    log(engine, [asked(one) for one in customers])
    leave = [one for one in customers if int(one[1:]) % 10 < (1 if arm_of(one) == TREATMENT else 4)]
    post(engine, [left(one) if one in set(leave) else stayed(one) for one in customers])
    result = shown(engine)
    rates = {}
    for arm in (CONTROL, TREATMENT):
        mine = [one for one in customers if arm_of(one) == arm]
        rates[arm] = 1 - sum(one in set(leave) for one in mine) / len(mine)
    assert {arm.arm: arm.mean for arm in result.arms} == pytest.approx(rates)
    assert result.verdict == "better"
    assert result.effect is not None
    assert result.effect.estimate == pytest.approx(rates[TREATMENT] - rates[CONTROL])
    assert result.effect.low is not None
    assert 0 < result.effect.low < result.effect.estimate
    assert result.p is not None
    assert result.p < 0.001
    assert result.words.startswith("Acting by score is better: retention +0.3")
    assert result.cautions == []


def test_a_customer_who_is_asked_about_a_hundred_times_counts_once_with_the_first_answer(engine: sa.Engine) -> None:
    an_experiment(engine, metric="log_loss", subject="models", control="a", challenger="b")
    first = asked("c1", probability=0.2, role="challenger" if arm_of("c1") == TREATMENT else "champion")
    later = [asked("c1", probability=0.9, answered_s=ASKED_S + second) for second in range(1, 100)]
    log(engine, [*later, first, *(asked(one, probability=0.2) for one in names(300)[2:])])
    post(engine, [left("c1")])
    result = shown(engine)
    assert (result.matured, sum(arm.units for arm in result.arms)) == (1, 299)
    found = judged(read(engine, "calls"), _once(0.2), now_s=NOW_S)
    assert found.matured == 1


@pytest.mark.parametrize(("effect", "is_unlikely"), [(0.02, False), (0.2, True)])
def test_an_effect_is_called_unlikely_only_where_the_interval_excludes_it(
    engine: sa.Engine, effect: float, is_unlikely: bool
) -> None:
    plan = an_experiment(engine, subject="models", metric="log_loss", planned_size=2_000, effect=effect)
    random = np.random.default_rng(3)
    result = judged(read(engine, plan.name), _of_values(*random.normal(1, 0.5, (2, 1_000)).tolist()), now_s=NOW_S)
    assert (result.verdict, "the planned 2,000 are there" in result.words) == ("undecided", True)
    assert result.effect is not None
    assert ("is unlikely" in result.words) is is_unlikely


def _once(probability: float) -> Exposures:
    arms = {CONTROL: ArmUnits(), TREATMENT: ArmUnits()}
    arms[CONTROL].values["log_loss"] = [-math.log(probability)]
    return Exposures(arms, 0)


@pytest.mark.parametrize(
    ("subject", "metric", "churned", "churn", "values"),
    [
        ("models", "log_loss", True, True, (-math.log(0.2), -math.log(0.2))),
        ("models", "log_loss", False, True, (-math.log(0.8), -math.log(0.8))),
        ("models", "profit", True, True, (0.3 * 190 - 1, 0.3 * 190 - 1)),
        ("models", "profit", False, True, (-11.0, -11.0)),
        ("models", "profit", True, False, (0.0, 0.0)),
        ("actions", "profit", False, True, (200.0, 189.0)),
        ("actions", "profit", True, True, (0.0, -1.0)),
        ("actions", "profit", False, False, (200.0, 200.0)),
        ("actions", "retention", True, True, (0.0, 0.0)),
    ],
)
def test_the_value_of_a_customer_by_hand(
    engine: sa.Engine, subject: str, metric: str, churned: bool, churn: bool, values: tuple[float, float]
) -> None:
    an_experiment(engine, subject=subject, metric=metric)
    log(engine, [asked(one, probability=0.2, churn=churn) for one in names(40)])
    post(engine, [stayed(one, churned=churned) for one in names(40)])
    assert means(engine) == pytest.approx(values)
    assert PROFIT.acceptance == pytest.approx(0.3)


def test_an_action_costs_whenever_it_was_decided_within_the_window(engine: sa.Engine) -> None:
    """Worth 200, a contact 1 and an offer 10: acted on late costs as much as at once, and an action after the close costs this window nothing."""
    an_experiment(engine, metric="profit")
    log(engine, [asked(one, churn=False) for one in names(40)])
    log(engine, [asked(one, churn=True, answered_s=T_S + 31 * DAY_S) for one in names(40)])
    post(engine, [stayed(one) for one in names(40)])
    assert means(engine) == pytest.approx((200, 200))
    log(engine, [asked(one, churn=True, answered_s=ASKED_S + 5 * DAY_S) for one in names(40)])
    assert means(engine) == pytest.approx((200, 189))


def test_who_is_asked_first_on_a_stale_snapshot_counts_by_the_first_request_with_an_open_window(engine: sa.Engine) -> None:
    an_experiment(engine)
    stale_s = T_S - 30 * DAY_S
    log(engine, [asked(one, snapshot_s=stale_s, answered_s=T_S + 1) for one in names(40)])
    log(engine, [asked(one, answered_s=at_s) for one in names(30) for at_s in (ASKED_S, ASKED_S + 1)])
    post(engine, [left(one, occurred_s=T_S + 2 if one == "c0" else T_S + 2 * DAY_S) for one in names(29)])
    post(engine, [left("c29", occurred_s=T_S)])
    result = shown(engine)
    found = [sum(part) for part in zip(*counts(result).values(), strict=True)]
    assert found == [40, 30, 0, 0, 0, 10], "c0 left after the stale request, c29 on its day"


def test_who_left_early_counts_no_sooner_than_who_stayed(engine: sa.Engine) -> None:
    an_experiment(engine, horizon_days=60)
    log(engine, [asked(one) for one in names(10)] + [asked("late", snapshot_s=T_S + DAY_S, answered_s=ASKED_S + DAY_S)])
    post(engine, [*(left(one) for one in names(5)), left("late", snapshot_s=T_S + DAY_S)])
    result = shown(engine)
    assert sum(arm.matured for arm in result.arms) == 5
    assert sum(arm.unknown for arm in result.arms) == 5
    assert sum(arm.open for arm in result.arms) == 1


def test_who_had_left_or_was_decided_before_the_first_request_counts_in_no_arm(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked("gone"), asked("left"), asked("late", answered_s=T_S + 30 * DAY_S), asked("stayed")])
    post(
        engine, [left("gone", occurred_s=ASKED_S - 1), left("left", occurred_s=ASKED_S + 1), left("late"), stayed("stayed")]
    )
    result = shown(engine)
    assert sum(arm.units for arm in result.arms) == 4
    assert [sum(part) for part in zip(*counts(result).values(), strict=True)] == [4, 2, 0, 0, 1, 1]


def test_the_newest_version_of_an_outcome_counts_and_only_that_of_the_predictions_snapshot(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked(one) for one in names(400)])
    post(engine, [left(one) for one in names(400)])
    post(engine, [stayed(one) for one in names(400)])
    post(engine, [left(one, snapshot_s=T_S - 30 * DAY_S) for one in names(400)])
    assert {arm.mean for arm in shown(engine).arms} == {1.0}


def test_attributes_that_were_sent_mature_after_the_answer(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked("c1", snapshot_s=None), asked("c2", snapshot_s=None, answered_s=NOW_S - 29 * DAY_S)])
    post(engine, [left("c1", snapshot_s=None), left("c2", snapshot_s=None)])
    result = shown(engine)
    assert (result.matured, sum(arm.open for arm in result.arms)) == (1, 1)


def test_a_broken_assignment_shows_no_effect(engine: sa.Engine) -> None:
    an_experiment(engine)
    customers = names(2_000)
    log(engine, [asked(one) for one in customers if arm_of(one) == CONTROL or int(one[1:]) % 3])
    post(engine, [left(one) if arm_of(one) == CONTROL else stayed(one) for one in customers])
    result = shown(engine)
    assert (result.verdict, result.effect, result.p, result.guard_rails) == ("assignment_broken", None, None, [])
    assert {arm.mean for arm in result.arms} == {None}
    assert "50% to 50% were planned" in result.words
    assert result.assigned_p < 0.005


def test_outcomes_of_one_arm_only_show_no_effect(engine: sa.Engine) -> None:
    an_experiment(engine)
    customers = names(2_000)
    log(engine, [asked(one) for one in customers])
    post(engine, [stayed(one) for one in customers if arm_of(one) == TREATMENT or int(one[1:]) % 5])
    result = shown(engine)
    assert (result.verdict, result.effect) == ("outcomes_broken", None)
    assert result.assigned_p > 0.005 > result.known_p


def test_outcomes_that_lack_are_said(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked(one) for one in names(1_000)])
    post(engine, [stayed(one) for one in names(500)])
    assert shown(engine).cautions == [
        "Of 1,000 customers whose window has closed, 500 have an outcome; those without may differ from these.",
        "No labels of the lake are published yet, so posted outcomes count alone; the asset published_labels publishes those of each "
        "snapshot that is mature.",
    ]


def test_before_the_minimum_there_is_no_verdict(engine: sa.Engine) -> None:
    an_experiment(engine, minimum_size=500)
    log(engine, [asked(one) for one in names(499)])
    post(engine, [left(one) if arm_of(one) == CONTROL else stayed(one) for one in names(499)])
    result = shown(engine)
    assert (result.verdict, result.effect, result.p) == ("too_early", None, None)
    assert result.words == "Too early: 499 matured customers, and there is no verdict before 500."
    log(engine, [asked("c499")])
    post(engine, [stayed("c499")])
    assert shown(engine).verdict == "better"


def _of_values(control: Sequence[float], treated: Sequence[float]) -> Exposures:
    arms = {CONTROL: ArmUnits(units=len(control)), TREATMENT: ArmUnits(units=len(treated))}
    for arm, values in ((CONTROL, control), (TREATMENT, treated)):
        arms[arm].values["log_loss"] = list(values)
    return Exposures(arms, 0)


@pytest.mark.parametrize(
    ("control", "treated", "words"),
    [
        ([2.0, 3.0] * 950, [0.1, 0.2] * 49, "the treatment has 98 matured customers and needs 100."),
        ([2.0] * 1_900, [0.1] * 100, "all 1,900 of the control have the same log loss."),
        ([2.0, 3.0] * 950, [0.1] * 100, "all 100 of the treatment have the same log loss."),
        (
            [0.07] * 1_767 + [2.66] * 133,
            [0.07] * 113,
            "the treatment has 113 matured customers and needs 121, as few customers make most of the difference.",
        ),
    ],
    ids=["few", "control alike", "treatment alike", "few rare events"],
)
def test_each_arm_needs_its_own_customers_and_the_words_say_which_lacks_how_many(
    engine: sa.Engine, control: list[float], treated: list[float], words: str
) -> None:
    plan = an_experiment(engine, subject="models", metric="log_loss", share=0.05, control="a", challenger="b")
    result = judged(read(engine, plan.name), _of_values(control, treated), now_s=NOW_S)
    assert (result.verdict, result.effect) == ("too_early", None)
    assert result.words.startswith("Too early: ")
    assert words in result.words


def test_an_arm_of_a_twentieth_seldom_wins_by_the_customers_that_it_lacks() -> None:
    """Log loss where 7 % leave, looked at every 50 customers: where each arm had its own variance and no least size, a tenth of such were won."""
    wrong = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        values = np.where(random.random(3_000) < 0.07, -math.log(0.07), -math.log(0.93))
        treated = random.random(3_000) < 0.05
        wrong += any(
            not (
                found := difference(
                    Moments.of(values[:n][~treated[:n]]), Moments.of(values[:n][treated[:n]]), alpha=0.05, tightest_at=2_000
                )
            ).low
            <= 0
            <= found.high
            for n in range(200, 3_001, 100)
        )
    assert wrong <= 3


def test_a_guard_rail_stops_what_the_metric_would_let_win(engine: sa.Engine) -> None:
    an_experiment(engine, guard_rails=(GuardRail("latency_ms", 5.0), GuardRail("profit", 1.0)))
    customers = names(2_000)
    random = np.random.default_rng(1)
    log(
        engine,
        [
            asked(one, latency_us=int(random.integers(1_000, 3_000)) + 9_000 * (arm_of(one) == TREATMENT))
            for one in customers
        ],
    )
    post(engine, [left(one) if arm_of(one) == CONTROL and int(one[1:]) % 3 == 0 else stayed(one) for one in customers])
    result = shown(engine)
    assert (result.verdict, [rail.is_broken for rail in result.guard_rails]) == ("harmful", [True, False])
    assert result.words.startswith("Stop: acting by score makes latency in milliseconds worse")
    latencies = {arm.arm: arm.latency_ms for arm in result.arms}
    assert latencies[CONTROL] is not None
    assert latencies[TREATMENT] is not None
    assert 1 <= latencies[CONTROL].p50 <= latencies[CONTROL].p95 <= 3
    assert 10 <= latencies[TREATMENT].mean <= 12


def test_latency_is_that_of_requests_for_one_prediction(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked(one, request_id="batch", item=item, latency_us=9_000_000) for item, one in enumerate(names(20))])
    log(engine, [asked(one) for one in names(40)[20:]])
    found = units(engine).arms.values()
    assert sum(arm.units for arm in found) == 40
    assert [time for arm in found for time in arm.latencies_ms] == [2.0] * 20


def test_latency_is_judged_before_any_outcome_is_known(engine: sa.Engine) -> None:
    an_experiment(engine, guard_rails=(GuardRail("latency_ms", 5.0), GuardRail("profit", 1.0)))

    def slow(one: str) -> int:
        return 1_000 + 7 * int(one[1:]) + 90_000 * (arm_of(one) == TREATMENT)

    log(engine, [asked(one, snapshot_s=NOW_S - DAY_S, latency_us=slow(one)) for one in names(150)])
    early = shown(engine)
    assert (early.verdict, [rail.metric for rail in early.guard_rails]) == ("too_early", ["latency_ms"])
    assert early.guard_rails[0].effect.low is None, "each arm needs a hundred"
    later = [asked(f"d{one}", snapshot_s=NOW_S - DAY_S, latency_us=slow(f"d{one}")) for one in range(150)]
    log(engine, later)
    result = shown(engine)
    assert (result.verdict, result.matured, result.effect) == ("harmful", 0, None)
    assert result.words.startswith("Stop: acting by score makes latency in milliseconds worse")
    assert {arm.mean for arm in result.arms} == {None}


def test_a_header_counts_each_customer_once_and_none_of_both_arms(engine: sa.Engine) -> None:
    an_experiment(engine, unit="x-account-id")
    log(
        engine,
        [
            asked("c1", unit="u1", arm=CONTROL),
            asked("c1", unit="u2", arm=CONTROL, answered_s=ASKED_S + 1),
            asked("c2", unit="u3", arm=CONTROL),
            asked("c2", unit="u4", arm=TREATMENT, answered_s=ASKED_S + 1),
            asked("c3", unit="u5", arm=TREATMENT),
            asked("c4", unit="u5", arm=TREATMENT, answered_s=ASKED_S + 1),
        ],
    )
    result = shown(engine)
    assert {arm.arm: arm.units for arm in result.arms} == {CONTROL: 1, TREATMENT: 1}
    assert result.crossed == 2
    assert result.verdict == "assignment_broken"


def test_an_arm_is_what_was_assigned_whoever_answered(engine: sa.Engine) -> None:
    an_experiment(engine, subject="models", metric="profit", control="a", challenger="b")
    log(engine, [asked(one, role="champion") for one in names(100)])
    result = shown(engine)
    treated = sum(arm_of(one) == TREATMENT for one in names(100))
    assert {arm.arm: arm.strayed for arm in result.arms} == {CONTROL: 0, TREATMENT: treated}
    assert any("the other arm's release" in caution for caution in result.cautions)


def test_predictions_of_other_experiments_and_of_none_do_not_count(engine: sa.Engine) -> None:
    an_experiment(engine)
    log(engine, [asked("c1", experiment="older"), asked("c2", experiment=None, arm=None), asked("c3")])
    assert sum(arm.units for arm in shown(engine).arms) == 1


def test_looked_at_every_day_equal_arms_seldom_win(engine: sa.Engine) -> None:
    """Forty experiments of 30 looks; a test of one look would end a third of them. ``make bench-experiments`` counts it finely."""
    plan = an_experiment(engine, metric="profit", guard_rails=(GuardRail("retention"),), planned_size=3_000)
    kept = read(engine, plan.name)
    verdicts = [verdict for seed in range(40) for verdict in {_ended(kept, seed)} if verdict is not None]
    assert len(verdicts) <= 4


def _ended(kept: Record, seed: int) -> str | None:
    random = np.random.default_rng(seed)
    arms = {CONTROL: ArmUnits(), TREATMENT: ArmUnits()}
    for _ in range(30):
        for arm in arms.values():
            churned = random.random(100) < 0.1
            arm.units += 100
            arm.latencies_ms += [1.0] * 100
            arm.values["retention"] = [*arm.of("retention"), *(1.0 - churned)]
            arm.values["profit"] = [*arm.of("profit"), *(200.0 * ~churned)]
        verdict = judged(kept, Exposures(arms, 0), now_s=NOW_S).verdict
        if verdict not in {"undecided", "too_early"}:
            return verdict
    return None


def test_an_experiment_that_never_ran_has_shown_nothing(engine: sa.Engine) -> None:
    plan = an_experiment(engine)
    never = Record(plan, (event(plan.name, 1, "created"),))
    assert judged(never, Exposures({CONTROL: ArmUnits(), TREATMENT: ArmUnits()}, 0), now_s=NOW_S).verdict == "not_started"
