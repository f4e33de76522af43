"""Intervals of figures whose customers come again in many folds: they hold the truth as often as they say."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from churn_assets.backtest import clustered_variance
from churn_assets.evaluation.measures import log_losses

CUSTOMERS = pl.Series([f"c{number}" for number in range(300)])


def drawn(generator: np.random.Generator, customers: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores that know something of them, some of them equal."""
    churned = generator.random(customers) < 0.3
    return churned, np.round(generator.normal(size=customers) + churned, 1)


def test_the_auc_is_that_of_scikit_learn_and_its_influences_cancel() -> None:
    churned, scores = drawn(np.random.default_rng(1))
    found = clustered_variance.auc(churned, scores, CUSTOMERS)
    assert found.value == pytest.approx(roc_auc_score(churned, scores))
    assert found.rows["influence"].sum() == pytest.approx(0, abs=1e-12)


def test_the_standard_error_of_the_auc_is_what_it_varies_by() -> None:
    generator = np.random.default_rng(2)
    found = [clustered_variance.auc(*drawn(generator), CUSTOMERS) for _ in range(400)]
    spread = float(np.std([estimate.value for estimate in found]))
    assert np.sqrt(np.mean([estimate.variance for estimate in found])) == pytest.approx(spread, rel=0.1)


def test_rows_of_one_customer_count_as_one() -> None:
    """The same row four times tells no more than once."""
    values = np.random.default_rng(3).normal(size=300)
    once = clustered_variance.mean(values, CUSTOMERS)
    again = clustered_variance.mean(np.tile(values, 4), pl.concat([CUSTOMERS] * 4))
    apart = clustered_variance.mean(np.tile(values, 4), pl.Series([f"c{number}" for number in range(1_200)]))
    assert again.variance == pytest.approx(once.variance)
    assert apart.variance == pytest.approx(once.variance / 4, rel=0.01)
    assert once.variance == pytest.approx(np.var(values, ddof=1) / 300)


def test_a_difference_of_equal_figures_of_the_same_customers_is_certain() -> None:
    churned, scores = drawn(np.random.default_rng(4))
    same = clustered_variance.auc(churned, scores, CUSTOMERS)
    none = clustered_variance.weighted([same, same], [1.0, -1.0])
    assert (none.value, none.variance) == (0.0, pytest.approx(0, abs=1e-20))


def test_no_trend_is_told_where_there_is_none_and_one_is_where_there_is() -> None:
    generator = np.random.default_rng(5)

    def slopes(trend: float) -> list[tuple[float, float, float]]:
        return [
            clustered_variance.slope(
                [clustered_variance.mean(generator.normal(trend * fold, 1.0, 300), CUSTOMERS) for fold in range(8)],
                [float(fold) for fold in range(8)],
                confidence=0.95,
            )
            for _ in range(200)
        ]

    assert np.mean([low <= 0 <= high for _, low, high in slopes(0.0)]) >= 0.95
    rising = slopes(0.1)
    assert np.mean([found for found, _, _ in rising]) == pytest.approx(0.1, abs=0.005)
    assert np.mean([low > 0 for _, low, _ in rising]) > 0.95


def test_odd_months_that_all_customers_share_are_no_trend() -> None:
    """The customers alone would say that each month is known well."""
    generator = np.random.default_rng(6)

    def told() -> bool:
        months = generator.normal(0, 1.0, 8)
        estimates = [clustered_variance.mean(generator.normal(month, 0.1, 300), CUSTOMERS) for month in months]
        _, low, high = clustered_variance.slope(estimates, [float(fold) for fold in range(8)], confidence=0.95)
        return low > 0 or high < 0

    assert np.mean([told() for _ in range(200)]) < 0.09


def test_the_log_loss_of_rows_is_that_of_scikit_learn_on_the_mean() -> None:
    churned = np.array([True, False, True])
    scores = np.array([0.9, 0.2, 0.0])
    assert log_losses(churned, scores).mean() == pytest.approx(log_loss(churned, scores))
