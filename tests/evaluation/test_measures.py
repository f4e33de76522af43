"""Measures against values worked out by hand or by other means; the threshold; the clustered interval."""

import numpy as np
import pytest

from churn_assets.evaluation.intervals import auc_difference_interval
from churn_assets.evaluation.measures import (
    Labels,
    Scores,
    calibration_slope,
    lift,
    measures,
)

CHURNED = np.array([False, False, True, False, True, True, False, False, False, True])
SCORES = np.array([0.05, 0.1, 0.15, 0.2, 0.6, 0.7, 0.75, 0.3, 0.35, 0.9])


def test_the_measures_are_what_they_are_by_hand() -> None:
    found = measures(CHURNED, SCORES, threshold=0.5)
    pairs = [float(p > q) + (p == q) / 2 for p in SCORES[CHURNED] for q in SCORES[~CHURNED]]
    assert found["auc"] == pytest.approx(np.mean(pairs))
    assert found["brier"] == pytest.approx(np.mean((SCORES - CHURNED) ** 2))
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(np.where(CHURNED, SCORES, 1 - SCORES))))
    # By rank of score: churner, no, churner, churner, no, no, no, churner: precision at each churner.
    assert found["average_precision"] == pytest.approx(np.mean([1 / 1, 2 / 3, 3 / 4, 4 / 8]))
    assert found["lift_top_decile"] == pytest.approx(1 / 0.4)
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((3 / 4, 3 / 4, 3 / 4))
    assert (found["accuracy"], found["base_rate"]) == pytest.approx((0.8, 0.4))


@pytest.mark.parametrize(("stretch", "slope"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0)])
def test_the_calibration_slope_says_how_far_scores_are_stretched(stretch: float, slope: float) -> None:
    generator = np.random.default_rng(1)
    log_odds = generator.normal(-1, 1.5, 40_000)
    churned = generator.random(40_000) < 1 / (1 + np.exp(-log_odds))
    assert calibration_slope(churned, 1 / (1 + np.exp(-stretch * log_odds))) == pytest.approx(slope, rel=0.05)


def test_certain_scores_have_a_slope() -> None:
    assert np.isfinite(calibration_slope(CHURNED, CHURNED.astype(float)))


@pytest.mark.parametrize(("share", "expected"), [(0.1, 2.5), (0.3, 2.5 * 2 / 3), (1.0, 1.0), (0.01, 2.5)])
def test_lift_looks_at_the_highest_scores(share: float, expected: float) -> None:
    assert lift(CHURNED, SCORES, share=share) == pytest.approx(expected)


def many(rows_each: int, seed: int) -> tuple[Labels, Scores, Scores, np.ndarray]:
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
