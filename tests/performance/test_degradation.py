"""The rule of degradation and what it rests on: fair bets, stakes that are bounded, an excess that the base rate does not move."""

import numpy as np
import polars as pl
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.evaluation.calibration import log_odds
from churn_assets.evaluation.measures import auc
from churn_assets.performance.degradation import MOST_EVIDENCE, Point, Rule, Series, detect, e_value
from churn_assets.performance.estimate import estimate, expected_auc
from churn_assets.performance.excess import GateFigure, excess_log_loss
from tests.performance.made import RULE, drawn, mean_log_loss, probabilities

CALIBRATED = GateFigure(slope=1.0, slope_error=0.02, rows=20_000, log_loss=0.2)
ALL = Series("r", None, None)


def test_an_e_value_is_a_fair_bet() -> None:
    mean, _ = scipy.integrate.quad(e_value, 1e-9, 1, limit=500, points=[1e-7, 1e-5, 1e-3, 0.1])
    assert 0.9 < mean <= 1.0


@given(st.floats(1e-12, 1.0), st.floats(1e-12, 1.0))
def test_less_probable_is_more_evidence(one: float, other: float) -> None:
    assert (e_value(min(one, other)) + 1e-9) >= e_value(max(one, other))


def points(excesses: list[float]) -> list[dict[Series, Point]]:
    return [{ALL: Point(excess, 0.002**2, 0.2, 0.001)} for excess in excesses]


def test_a_release_is_not_blamed_for_a_single_odd_month() -> None:
    steps = detect(points([0.0, 0.012, 0.001]), RULE)
    assert not any(step[ALL].is_degraded for step in steps)


def test_a_great_excess_is_seen_at_once_and_forgotten_after_some_good_months() -> None:
    steps = detect(points([0.0, 0.08, *[0.0] * 8]), RULE)
    assert [step[ALL].is_degraded for step in steps][:2] == [False, True]
    assert steps[1][ALL].evidence <= MOST_EVIDENCE * RULE.alarm
    assert not steps[-1][ALL].is_degraded


def test_a_small_lasting_excess_is_seen_in_time() -> None:
    steps = detect(points([*[0.0] * 6, *[0.01] * 12]), RULE)
    first = [step[ALL].is_degraded for step in steps].index(True)
    assert 7 <= first < 18


def test_months_that_differ_without_a_change_are_learned() -> None:
    random = np.random.default_rng(3)
    restless = random.normal(0, 0.01, 24).tolist()
    assert detect(points([*restless, 0.03]), RULE)[-1][ALL].between > 0.008
    assert not detect(points([*restless, 0.03]), RULE)[-1][ALL].is_degraded


def test_what_is_held_against_one_release_is_not_held_against_the_next() -> None:
    after = Series("s", None, None)
    steps = detect([*points([0.08, 0.08]), {after: Point(0.0, 0.002**2, 0.2, 0.001)}], RULE)
    assert steps[1][ALL].is_degraded
    assert not steps[2][after].is_degraded


def test_many_segments_share_half_of_the_stakes() -> None:
    bad = Point(0.014, 0.002**2, 0.2, 0.001)
    few = {ALL: bad, **{Series("r", None, f"plan={word}"): bad for word in range(2)}}
    many = {ALL: bad, **{Series("r", None, f"plan={word}"): bad for word in range(200)}}
    segment = Series("r", None, "plan=0")
    [with_few], [with_many] = detect([few], RULE), detect([many], RULE)
    assert with_many[segment].evidence == pytest.approx(with_few[segment].evidence / 100)
    assert with_many[ALL].evidence == pytest.approx(with_few[ALL].evidence)


def test_snapshots_whose_windows_overlap_do_not_add_up() -> None:
    weekly = Rule.of(false_alarms=0.05, margin=0.01, cadence="weekly", horizon_days=30)
    assert weekly.streams == 5
    bad = points([0.012] * 5)
    once = detect(bad[:1], weekly)[0][ALL].evidence
    assert detect(bad, weekly)[-1][ALL].evidence < 3 * once


def test_the_excess_is_what_the_log_loss_is_above_the_promise() -> None:
    scores = probabilities(5_000, 1)
    churned = drawn(scores, 1)
    found = excess_log_loss(churned, scores, pl.Series(range(5_000)), CALIBRATED)
    assert mean_log_loss(scores, churned) == pytest.approx(found.promised + found.value + found.by_shift)
    assert found.by_shift >= 0


@pytest.mark.parametrize("shift", [-0.6, 0.0, 0.6])
def test_the_base_rate_does_not_move_the_excess(shift: float) -> None:
    values, errors = [], []
    for seed in range(60):
        scores = probabilities(2_000, seed)
        truth = 1 / (1 + np.exp(-(log_odds(scores) + shift)))
        found = excess_log_loss(drawn(truth, seed), scores, pl.Series(range(2_000)), CALIBRATED)
        values.append(found.value)
        errors.append(found.variance**0.5)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values)) + 2e-4
    assert np.std(values) == pytest.approx(np.mean(errors), rel=0.3)  # the variance is what it says


def test_a_gate_that_was_overconfident_itself_promises_less() -> None:
    scores = probabilities(20_000, 4)
    truth = 1 / (1 + np.exp(-(0.8 * (log_odds(scores) + 3.1) - 3.1)))
    churned, customers = drawn(truth, 4), pl.Series(range(20_000))
    overconfident = GateFigure(slope=0.8, slope_error=0.02, rows=20_000, log_loss=0.2)
    against_itself = excess_log_loss(churned, scores, customers, overconfident)
    against_calibrated = excess_log_loss(churned, scores, customers, CALIBRATED)
    assert abs(against_itself.value) < 3 * against_itself.variance**0.5
    assert against_calibrated.value > 3 * against_calibrated.variance**0.5


def test_the_estimate_before_maturity_is_what_comes_true_if_the_scores_are_calibrated() -> None:
    scores = probabilities(3_000, 5)
    worlds = [drawn(scores, seed) for seed in range(60)]
    found = estimate(scores, snapshot="2026-03-01", release="r")
    assert found.auc == pytest.approx(np.mean([auc(churned, scores) for churned in worlds]), abs=0.006)
    assert found.log_loss == pytest.approx(np.mean([mean_log_loss(scores, churned) for churned in worlds]), abs=0.004)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=2, max_size=8))
def test_the_expected_auc_is_that_of_all_pairs(scores: list[float]) -> None:
    pairs = [(one, other) for place, one in enumerate(scores) for at, other in enumerate(scores) if place != at]
    weight = sum(one * (1 - other) for one, other in pairs)
    right = sum(one * (1 - other) * (1.0 if one > other else 0.5 if one == other else 0.0) for one, other in pairs)
    found = expected_auc(np.array(scores))
    if weight > 1e-9:
        assert found == pytest.approx(right / weight)
