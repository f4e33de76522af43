"""The planned size: enough for the power that was asked for, and a sentence where nothing is enough."""

import numpy as np
import pytest

from churn_store.experiments.inference import RATE_CONCENTRATION, Moments, difference, multinomial_p
from churn_store.experiments.planning import fixed_size, planned_retention_size, planned_size


def test_one_look_needs_what_the_textbook_says() -> None:
    """Two arms of n each need n = 2 (1.96 + 0.8416)^2 / d^2."""
    assert fixed_size(0.2, deviation=1.0, share=0.5, alpha=0.05, power=0.8) == pytest.approx(2 * 2 * 7.849 / 0.04, abs=2)


def test_looking_every_day_costs_more_customers_but_less_than_three_times_as_many() -> None:
    once = fixed_size(0.1, deviation=1.0, share=0.5, alpha=0.05, power=0.8)
    daily = planned_size(0.1, deviation=1.0, share=0.5, alpha=0.05, power=0.8)
    assert once < daily < 3 * once


def test_a_smaller_arm_needs_more_customers() -> None:
    even, uneven = (planned_size(0.1, deviation=1.0, share=share, alpha=0.05, power=0.8) for share in (0.5, 0.1))
    assert uneven > 2 * even


def test_an_experiment_of_the_planned_size_proves_its_effect_as_often_as_planned() -> None:
    size = planned_size(0.5, deviation=1.0, share=0.5, alpha=0.05, power=0.8)
    random, proven = np.random.default_rng(3), 0
    for _ in range(400):
        control, treated = random.normal(size=size // 2), random.normal(0.5, size=size // 2)
        proven += difference(Moments.of(control), Moments.of(treated), alpha=0.05, tightest_at=size).low > 0
    assert 0.74 < proven / 400 < 0.86


@pytest.mark.parametrize(
    ("share", "before", "after"), [(0.5, 0.07, 0.05), (0.5, 0.3, 0.25), (0.1, 0.1, 0.05), (0.2, 0.3, 0.25)]
)
def test_retention_of_the_planned_size_is_proven_by_its_own_test_as_often_as_planned(
    share: float, before: float, after: float
) -> None:
    size = planned_retention_size(
        before - after, deviation=(before * (1 - before)) ** 0.5, share=share, alpha=0.05, power=0.8
    )
    random = np.random.default_rng(4)
    treated = random.binomial(size, share, 1_000)
    left = zip(random.binomial(size - treated, before), random.binomial(treated, after), strict=True)
    proven = [
        multinomial_p((int(one), int(other)), (1 - share, share), concentration=RATE_CONCENTRATION) <= 0.05
        for one, other in left
    ]
    assert 0.76 < np.mean(proven) < 0.84


@pytest.mark.parametrize(("effect", "deviation"), [(0.05, 0.51), (0.9, 0.5)])
def test_retention_that_can_not_be_is_refused(effect: float, deviation: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        planned_retention_size(effect, deviation=deviation, share=0.5, alpha=0.05, power=0.8)


@pytest.mark.parametrize(
    "wrong",
    [{"effect": 0.0}, {"deviation": 0.0}, {"share": 1.0}, {"power": 1.0}, {"effect": 1e-9}, {"deviation": 1.3e308}],
    ids=str,
)
def test_what_can_not_be_planned_is_refused_with_a_sentence(wrong: dict[str, float]) -> None:
    asked = {"effect": 0.1, "deviation": 1.0, "share": 0.5, "alpha": 0.05, "power": 0.8} | wrong
    with pytest.raises(ValueError, match=r"expected an effect|look for a greater one"):
        planned_size(asked.pop("effect"), **asked)
