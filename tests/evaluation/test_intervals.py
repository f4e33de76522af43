"""Intervals: they cover as often as they say, customers count and not rows, and few differing rows prove nothing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.evaluation.intervals import (
    auc_difference_interval,
    bootstrap,
    detectable,
    mean_interval,
    paired_difference,
)
from churn_assets.evaluation.measures import Labels, Ranked, Scores
from churn_store.errors import InputError
from tests.evaluation.rows import customers_of, right_scores

KEPT, WASTED = 56.0, 11.0
"""What asking a churner brings and asking another customer costs; both are worth the same where so many of those asked churn:"""
EVEN = WASTED / (KEPT + WASTED)


def differences(
    generator: np.random.Generator, customers: int, differing: float, kind: str, better: float = 0.0
) -> npt.NDArray[np.float64]:
    """What two models' rows differ by, two a customer: some customers are asked by one only; ``better`` more of them rightly."""
    asked = np.repeat(generator.random(customers) < differing, 2)
    ours = {"adds": np.ones(2 * customers, bool), "drops": np.zeros(2 * customers, bool)}.get(
        kind, np.repeat(generator.random(customers) < 0.5, 2)
    )
    churned = generator.random(2 * customers) < np.where(ours, EVEN + better, EVEN - better)
    value = np.where(churned, KEPT, -WASTED)
    return np.where(asked, np.where(ours, value, -value), 0.0)


def compared(values: npt.NDArray[np.float64]) -> bool:
    found = paired_difference(values, np.zeros(len(values)), customers_of(len(values), 2), confidence=0.95, largest=KEPT)
    return found.low > 0


@pytest.mark.parametrize("kind", ["adds", "drops", "mix"])
@pytest.mark.parametrize(("customers", "differing"), [(300, 0.02), (1000, 0.02), (1000, 0.1)])
def test_an_equally_good_model_is_found_better_in_at_most_one_case_of_twenty(
    kind: str, customers: int, differing: float
) -> None:
    generator = np.random.default_rng(7)
    cases = 300
    wrong = sum(compared(differences(generator, customers, differing, kind)) for _ in range(cases))
    # Five in a hundred, and what chance allows above it once in a thousand times.
    assert wrong <= 0.05 * cases + 3 * np.sqrt(0.05 * 0.95 * cases)


def test_a_better_model_is_found_with_the_power_that_detectable_says() -> None:
    generator = np.random.default_rng(8)
    values = differences(generator, 1000, 0.3, "mix")
    found = paired_difference(values, np.zeros(2000), customers_of(2000, 2), confidence=0.95, largest=KEPT)
    better = detectable(found, power=0.8) / (0.3 * (KEPT + WASTED))
    proved = np.mean([compared(differences(generator, 1000, 0.3, "mix", better)) for _ in range(200)])
    assert 0.65 < proved < 0.95
    assert detectable(found, power=0.5) < detectable(found, power=0.8) < detectable(found, power=0.95)


def test_gains_of_a_few_customers_are_no_proof_as_one_loss_would_outweigh_them() -> None:
    values = np.zeros(2000)
    values[:4] = WASTED
    customers = customers_of(2000, 1)
    bold = paired_difference(values, np.zeros(2000), customers, confidence=0.95, largest=0.0)
    found = paired_difference(values, np.zeros(2000), customers, confidence=0.95, largest=KEPT)
    assert bold.low > 0 > found.low
    assert (found.differing, found.customers, found.mean) == (4, 2000, bold.mean)


@given(st.integers(1, 9), st.integers(0, 1000))
def test_rows_repeated_for_every_customer_make_nothing_surer(times: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs = generator.normal(0.3, 1, 60), generator.normal(0, 1, 60)
    customers = customers_of(60, 2)
    once = paired_difference(ours, theirs, customers, confidence=0.9, largest=0.0)
    rows = np.repeat(np.arange(60), times)
    many = paired_difference(ours[rows], theirs[rows], customers.gather(rows), confidence=0.9, largest=0.0)
    assert many.mean == pytest.approx(once.mean)
    assert many.standard_error == pytest.approx(once.standard_error)
    alone = pl.Series([f"r{row}" for row in range(60 * times)])
    as_if = paired_difference(ours[rows], theirs[rows], alone, confidence=0.9, largest=0.0)
    assert times == 1 or as_if.standard_error < once.standard_error


@given(st.integers(0, 1000))
def test_swapped_models_and_another_order_of_rows_give_the_mirrored_and_the_same_difference(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs, customers = generator.exponential(1, 80), generator.normal(0, 1, 80), customers_of(80, 2)
    found = paired_difference(ours, theirs, customers, confidence=0.95, largest=2.0)
    swapped = paired_difference(theirs, ours, customers, confidence=0.95, largest=2.0)
    assert (swapped.mean, swapped.low, swapped.high) == pytest.approx((-found.mean, -found.high, -found.low))
    order = generator.permutation(80)
    again = paired_difference(ours[order], theirs[order], customers.gather(order), confidence=0.95, largest=2.0)
    assert (again.mean, again.low, again.high) == pytest.approx((found.mean, found.low, found.high))
    assert found.low < found.mean < found.high


def test_equal_models_differ_by_nothing_and_one_customer_says_nothing() -> None:
    ours = np.arange(10.0)
    found = paired_difference(ours, ours, customers_of(10, 1), confidence=0.95)
    assert (found.mean, found.low, found.high, found.differing) == (0, 0, 0, 0)
    assert paired_difference(ours, ours, customers_of(10, 1), confidence=0.95, largest=5).low < 0
    with pytest.raises(InputError, match="10 rows of 1 customers; expected at least two"):
        paired_difference(ours, ours, pl.Series(["c"] * 10), confidence=0.95)


def test_the_interval_of_a_mean_covers_it() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        values = np.repeat(generator.normal(5, 2, 40), 3) + generator.normal(0, 1, 120)
        found = mean_interval(values, pl.Series(np.repeat(np.arange(40), 3)), confidence=0.9)
        covered += found.low < 5 < found.high
    assert 0.9 - 3 * np.sqrt(0.09 / 300) < covered / 300 < 0.9 + 3 * np.sqrt(0.09 / 300)


def measuring(churned: Labels, scores: Scores) -> Callable[[npt.NDArray[np.float64] | None], dict[str, float]]:
    return Ranked(churned, scores, threshold=0.3).measures


@pytest.mark.proofs
def test_the_bootstrap_covers_what_is_known() -> None:
    """Scores that are right have a slope of 1 and an intercept of 0, whatever rows were drawn."""
    covered = {"calibration_slope": 0, "calibration_intercept": 0}
    for seed in range(60):
        churned, scores = right_scores(600, seed)
        found = bootstrap(measuring(churned, scores), churned, customers_of(600, 1), confidence=0.9, seed=seed, draws=100)
        for name, truth in (("calibration_slope", 1.0), ("calibration_intercept", 0.0)):
            covered[name] += found[name].low <= truth <= found[name].high
            assert found[name].low <= found[name].value <= found[name].high
    assert all(47 <= count <= 60 for count in covered.values()), covered


def test_the_bootstrap_draws_customers_and_is_the_same_for_the_same_seed() -> None:
    churned, scores = right_scores(300, seed=1)
    whole, rows = customers_of(300, 1), np.repeat(np.arange(300), 4)
    alone = bootstrap(measuring(churned, scores), churned, whole, confidence=0.9, seed=5, draws=60)
    assert alone == bootstrap(measuring(churned, scores), churned, whole, confidence=0.9, seed=5, draws=60)
    many = measuring(churned[rows], scores[rows])
    clustered = bootstrap(many, churned[rows], whole.gather(rows), confidence=0.9, seed=5, draws=60)
    as_if = bootstrap(many, churned[rows], customers_of(1200, 1), confidence=0.9, seed=5, draws=60)
    assert clustered["auc"].low == pytest.approx(alone["auc"].low)
    assert as_if["auc"].high - as_if["auc"].low < (alone["auc"].high - alone["auc"].low) * 0.7


def test_draws_of_one_class_are_left_out_and_too_many_of_them_are_refused_with_a_sentence() -> None:
    churned = np.array([True] + [False] * 40)
    scores = np.linspace(1, 0, 41)
    found = bootstrap(measuring(churned, scores), churned, customers_of(41, 1), confidence=0.9, seed=1, draws=100)
    assert found["auc"].low == found["auc"].high == 1.0
    every_row_of_two = pl.Series(["a"] * 1 + ["b"] * 40)
    with pytest.raises(InputError, match=r"of 1000 draws of 2 customers .*1 of 41 rows churned.*more judging rows"):
        bootstrap(measuring(churned, scores), churned, every_row_of_two, confidence=0.9, seed=2, draws=100)


def test_few_churners_make_an_interval_wider_than_the_same_draws_of_many() -> None:
    churned, scores = right_scores(2_000, seed=4)
    customers = pl.Series(np.arange(2_000))
    [few] = np.nonzero(churned & (np.cumsum(churned) > 6))
    rest = np.delete(np.arange(2_000), few)

    def widths(rows: npt.NDArray[np.int64], codes: pl.Series) -> float:
        found = bootstrap(measuring(churned[rows], scores[rows]), churned[rows], codes, confidence=0.9, seed=3, draws=100)
        return found["auc"].high - found["auc"].low

    assert widths(rest, customers.gather(rest)) > 3 * widths(np.arange(2_000), customers)


def many(rows_each: int, seed: int) -> tuple[Labels, Scores, Scores, npt.NDArray[np.str_]]:
    """Labels, a good score, a bad score, customers: each customer has so many rows, alike."""
    generator = np.random.default_rng(seed)
    count = 250
    signal = generator.normal(size=count)
    churned = generator.random(count) < 1 / (1 + np.exp(-2 * signal))
    good, bad = signal, signal + generator.normal(0, 3, count)
    names = np.array([f"c{i}" for i in range(count)])
    return tuple(np.repeat(values, rows_each) for values in (churned, good, bad, names))  # type: ignore[return-value]


def test_the_interval_of_a_better_model_is_above_zero_and_of_a_worse_one_below() -> None:
    churned, good, bad, names = many(1, seed=0)
    low, high = auc_difference_interval(churned, good, bad, names, seed=1)
    assert 0 < low < high
    swapped = auc_difference_interval(churned, bad, good, names, seed=1)
    assert swapped == pytest.approx((-high, -low))


def test_the_interval_of_equal_models_is_zero_and_of_equally_good_ones_covers_it() -> None:
    churned, good, _, names = many(1, seed=0)
    assert auc_difference_interval(churned, good, good * 2 + 1, names, seed=1) == (0.0, 0.0)
    covered = 0
    for seed in range(6):
        churned, good, _, names = many(1, seed=seed)
        generator = np.random.default_rng(seed + 100)
        one, other = (good + generator.normal(0, 1, good.size) for _ in range(2))
        low, high = auc_difference_interval(churned, one, other, names, seed=seed, draws=60)
        covered += low <= 0 <= high
    assert covered >= 5


def test_rows_of_one_customer_are_not_counted_as_if_they_were_many_customers() -> None:
    churned, good, bad, names = many(1, seed=3)
    low, high = auc_difference_interval(churned, good, bad, names, seed=1)
    churned, good, bad, names = many(9, seed=3)
    clustered = auc_difference_interval(churned, good, bad, names, seed=1)
    assert clustered == pytest.approx((low, high), abs=1e-9)
    alone = auc_difference_interval(churned, good, bad, np.array([f"r{i}" for i in range(names.size)]), seed=1)
    assert alone[1] - alone[0] < (high - low) / 2
