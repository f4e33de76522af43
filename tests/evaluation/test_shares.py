"""Shares: few rows leave much open, a customer's repeated rows count once, and each share is the measure of its name."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from churn_assets.evaluation.measures import measures
from churn_assets.evaluation.shares import share_intervals, wilson
from tests.evaluation.rows import customers_of, right_scores


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (3, 5), (5, 5), (40, 400)])
def test_an_interval_of_independent_rows_is_scipys(hits: int, rows: int) -> None:
    found, expected = wilson(hits / rows, rows, confidence=0.95), binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_every_share_is_the_measure_of_its_name_within_its_interval() -> None:
    churned, scores = right_scores(500, seed=2)
    found = share_intervals(churned, scores, customers_of(500, 1), threshold=0.2, confidence=0.95)
    logged = measures(churned, scores, threshold=0.2)
    assert set(found) == {"accuracy", "base_rate", "f1", "precision", "recall"}
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(
        {name: logged[name] for name in found}
    )
    assert all(0 <= interval.low < interval.value < interval.high <= 1 for interval in found.values())


def test_rows_of_one_customer_that_say_the_same_count_as_one() -> None:
    churned, scores = right_scores(300, seed=1)
    once = share_intervals(churned, scores, customers_of(300, 1), threshold=0.2, confidence=0.95)
    rows = np.repeat(np.arange(300), 4)
    many = share_intervals(churned[rows], scores[rows], pl.Series(rows), threshold=0.2, confidence=0.95)
    alone = share_intervals(churned[rows], scores[rows], pl.Series(np.arange(1_200)), threshold=0.2, confidence=0.95)
    for name, interval in once.items():
        assert (many[name].low, many[name].high) == pytest.approx((interval.low, interval.high), abs=2e-3)
        assert alone[name].high - alone[name].low < 0.6 * (interval.high - interval.low)


def test_nobody_called_leaves_the_precision_open_and_a_share_of_one_has_no_point_as_its_interval() -> None:
    churned = np.array([True, False, False, True])
    customers = customers_of(4, 1)
    nobody = share_intervals(churned, np.full(4, 0.1), customers, threshold=0.5, confidence=0.95)["precision"]
    assert (nobody.value, nobody.low, nobody.high) == (0.0, 0.0, 1.0)
    both = share_intervals(churned, np.where(churned, 0.9, 0.1), customers, threshold=0.5, confidence=0.95)["precision"]
    assert both.value == both.high == 1.0
    assert both.low < 0.5


def test_no_hit_leaves_an_f1_open_that_a_few_hits_would_have() -> None:
    churned, called = np.arange(105) < 100, np.arange(105) >= 100
    found = share_intervals(churned, np.where(called, 0.9, 0.1), customers_of(105, 1), threshold=0.5, confidence=0.95)["f1"]
    assert found.value == 0.0
    assert found.high > 2 * 3 / 105, "three hits among a hundred churners are not rare enough to be ruled out"
