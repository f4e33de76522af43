"""Statistics of experiments: equal to their definitions, and right at every look."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom

from churn_store.experiments.inference import Difference, Moments, difference, multinomial_p, width

FINITE = st.floats(-1e6, 1e6)


@pytest.mark.parametrize("counts", [(30, 70), (480, 520), (9, 0), (200, 260)])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_p_value_is_the_inverse_of_the_integrated_likelihood_ratio(counts: tuple[int, int], share: float) -> None:
    prior = beta(100 * share, 100 * (1 - share))
    marginal, _ = quad(lambda p: binom.pmf(counts[0], sum(counts), p) * prior.pdf(p), 0, 1, epsabs=0, limit=200)
    expected = min(1.0, binom.pmf(counts[0], sum(counts), share) / marginal)
    assert multinomial_p(counts, (share, 1 - share), concentration=100) == pytest.approx(expected, rel=1e-6)


def test_counts_as_expected_and_no_counts_say_nothing() -> None:
    assert multinomial_p((0, 0), (0.5, 0.5), concentration=1_000) == 1
    assert multinomial_p((80_000, 20_000), (0.8, 0.2), concentration=1_000) == 1


def test_three_arms_of_which_one_lost_customers_are_found() -> None:
    assert multinomial_p((10_000, 10_000, 9_300), (1 / 3, 1 / 3, 1 / 3), concentration=1_000) < 0.001


def test_counts_beyond_every_float_are_answered() -> None:
    assert multinomial_p((10**9, 0), (0.5, 0.5), concentration=1_000) == 0


@pytest.mark.parametrize(
    ("counts", "shares"),
    [((1, -1), (0.5, 0.5)), ((1,), (0.5, 0.5)), ((1, 1), (0.5, 0.6)), ((1, 1), (1.0, 0.0))],
)
def test_counts_and_shares_that_make_no_sense_are_refused(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        multinomial_p(counts, shares, concentration=100)


@given(st.lists(FINITE, min_size=2, max_size=50))
def test_moments_are_those_of_numpy(values: list[float]) -> None:
    moments = Moments.of(values)
    assert (moments.count, moments.mean) == (len(values), pytest.approx(np.mean(values), abs=1e-6, rel=1e-9))
    assert moments.variance == pytest.approx(np.var(values, ddof=1), abs=1e-3, rel=1e-6)


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="nan; expected finite"):
        Moments.of([1.0, math.nan])


def test_nothing_is_known_before_both_arms_vary() -> None:
    one, none = Moments.of([1.0]), Moments.of([])
    nothing = Difference(0.0, -math.inf, math.inf)
    assert difference(one, one, alpha=0.05, tightest_at=100) == nothing
    assert difference(none, none, alpha=0.05, tightest_at=100) == nothing
    assert difference(Moments(50, 0.5, 0.0), Moments(50, 0.5, 0.0), alpha=0.05, tightest_at=100) == nothing


def test_the_interval_has_the_width_of_its_definition_for_arms_of_equal_variance() -> None:
    alpha, size = 0.05, 1_000
    found = difference(Moments(500, 1.0, 4.0), Moments(500, 1.5, 4.0), alpha=alpha, tightest_at=size)
    rho = math.sqrt((-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / size)
    scaled = size * rho**2 + 1
    bound = 4.0 * math.sqrt(2 * scaled / (size**2 * rho**2) * math.log(math.sqrt(scaled) / alpha))
    assert found.estimate == 0.5
    assert (found.low, found.high) == (pytest.approx(0.5 - bound), pytest.approx(0.5 + bound))


def test_the_interval_is_nearly_narrowest_where_it_was_planned_to_be_and_wider_than_that_of_one_look() -> None:
    planned = {at: width(2_000, alpha=0.05, tightest_at=at) for at in (100, 500, 2_000, 10_000, 100_000)}
    assert min(planned, key=planned.__getitem__) == 2_000
    assert planned[2_000] > 1.96


def test_looking_after_every_customer_is_wrong_no_oftener_than_promised() -> None:
    random, wrong = np.random.default_rng(7), 0
    for _ in range(300):
        values = random.exponential(size=(2, 400))
        wrong += any(
            not (found := difference(Moments.of(values[0, :n]), Moments.of(values[1, :n]), alpha=0.1, tightest_at=400)).low
            <= 0
            <= found.high
            for n in range(20, 401, 20)
        )
    assert wrong / 300 <= 0.1
