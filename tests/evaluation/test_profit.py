"""Profit against values by hand and against empulse; the threshold that is best and flips no decision."""

import numpy as np
import pytest
from empulse.metrics import mpc_score
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.evaluation.measures import Labels, Ranked, Scores
from churn_assets.evaluation.profit import (
    expected_maximum_profit,
    largest_difference,
    most_profitable_threshold,
    profit_by_row,
    profit_curve,
    weighted_expected_maximum_profit,
)
from churn_assets.settings.profit import Profit
from tests.evaluation.rows import scored

COSTS = Profit(customer_value=100, offer_cost=20, contact_cost=2, acceptance_alpha=3, acceptance_beta=3)

profits = st.builds(
    Profit,
    customer_value=st.floats(100, 500),
    offer_cost=st.floats(0, 30),
    contact_cost=st.floats(0, 5),
    acceptance_alpha=st.floats(2, 10),
    acceptance_beta=st.floats(2, 15),
)


def test_who_is_asked_brings_the_value_times_the_acceptance_or_costs_the_offer() -> None:
    churned, called = np.array([True, False, True, False]), np.array([True, True, False, False])
    assert profit_by_row(churned, called, COSTS).tolist() == [0.5 * (100 - 20) - 2, -(20 + 2), 0, 0]
    assert largest_difference(COSTS) == 38


@given(scored(), profits)
def test_the_expected_maximum_profit_of_weighted_rows_is_that_of_empulse(
    rows: tuple[Labels, Scores, Scores], profit: Profit
) -> None:
    churned, scores, weights = rows
    times = weights.astype(int)
    expected = expected_maximum_profit(np.repeat(churned, times), np.repeat(scores, times), profit)
    found = weighted_expected_maximum_profit(*Ranked(churned, scores, threshold=0.5).groups(weights), profit)
    assert found == pytest.approx(expected, abs=1e-9)


@given(scored(), profits)
def test_the_best_threshold_brings_the_maximum_profit_at_the_mean_acceptance(
    rows: tuple[Labels, Scores, Scores], profit: Profit
) -> None:
    churned, scores, _ = rows
    greatest = mpc_score(
        churned.astype(int),
        scores,
        accept_rate=profit.acceptance,
        clv=profit.customer_value,
        incentive_cost=profit.offer_cost,
        contact_cost=profit.contact_cost,
    )
    called = scores >= most_profitable_threshold(churned, scores, profit)
    brought = profit_by_row(churned, called, profit).mean()
    assert brought == pytest.approx(max(0.0, greatest), abs=1e-9)
    assert brought == pytest.approx(max(0.0, profit_curve(churned, scores, profit)[1].max()), abs=1e-9)


@given(scored(), profits)
def test_the_threshold_lies_midway_and_rounding_flips_no_decision(
    rows: tuple[Labels, Scores, Scores], profit: Profit
) -> None:
    churned, scores, _ = rows
    threshold = most_profitable_threshold(churned, scores, profit)
    called = scores >= threshold
    for rounded in (scores * (1 + 1e-6), scores * (1 - 1e-6), scores.astype(np.float32).astype(np.float64)):
        assert ((np.minimum(rounded, 1.0) >= threshold) == called).all()
    if called.any():
        above, below = scores[called].min(), max(scores[~called], default=0.0)
        assert threshold == pytest.approx((above + below) / 2)


def test_of_equal_profits_the_fewest_are_asked_and_equal_scores_are_never_parted() -> None:
    # Each second churner is paid for by exactly as much loss: 38 - 2 * 19 = 0.
    even = Profit(customer_value=100, offer_cost=20, contact_cost=2, acceptance_alpha=3, acceptance_beta=3)
    even = even.model_copy(update={"offer_cost": 17.0, "contact_cost": 2.0, "customer_value": 97.0})
    churned = np.array([True, False, False, True])
    assert profit_by_row(churned, np.full(4, True), even).tolist() == [38, -19, -19, 38]
    threshold = most_profitable_threshold(churned, np.array([0.9, 0.6, 0.5, 0.4]), even)
    assert threshold == pytest.approx((0.9 + 0.6) / 2)
    tied = most_profitable_threshold(churned, np.array([0.9, 0.9, 0.9, 0.4]), even)
    assert tied == pytest.approx(0.2)


@pytest.mark.parametrize("highest", [0.4, 1.0])
def test_where_no_offer_pays_nobody_is_asked(highest: float) -> None:
    churned, scores = np.array([True] + [False] * 20), np.linspace(0.0, highest, 21)
    threshold = most_profitable_threshold(churned, scores, COSTS)
    assert threshold > highest
    assert profit_by_row(churned, scores >= threshold, COSTS).sum() == 0
