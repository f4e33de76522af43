"""Who is at risk at a snapshot, by which version of the record, and what is counted of them: by hand, edge by edge."""

import narwhals as nw
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from churn_assets.features.feature import within
from churn_store.clock import DAY_S
from tests.features.company import ages, features, small


@pytest.mark.parametrize(("age", "counted"), [(1, 2), (0, 1), (-1, 1), (30 * DAY_S, 2), (30 * DAY_S + 1, 1)])
def test_a_row_at_the_snapshot_is_outside(age: int, counted: int) -> None:
    frame = features(small(events=[("c", "session", DAY_S, 0), ("c", "session", age, 0)]))
    assert frame["sessions_30d"].to_list() == [counted]


@pytest.mark.parametrize(
    ("age", "delay", "at_risk"),
    [(60 * DAY_S, 0, True), (60 * DAY_S + 1, 0, False), (5, 4, True), (5, 5, False), (0, 0, False)],
)
def test_activity_within_so_many_days_as_known_at_the_snapshot_puts_at_risk(age: int, delay: int, at_risk: bool) -> None:
    assert features(small(events=[("c", "session", age, delay)])).height == at_risk
    assert features(small(payments=[("c", "settled", 5, age, delay)])).height == at_risk
    assert features(small(payments=[("c", "failed", 5, age, delay)])).height == 0


@pytest.mark.parametrize(("signed_up", "at_risk"), [(30 * DAY_S, True), (30 * DAY_S - 1, False), (-5, False)])
def test_only_who_signed_up_long_enough_ago_is_at_risk(signed_up: int, at_risk: bool) -> None:
    company = small(events=[("c", "session", 9, 0)], customers=[("c", 300 * DAY_S, 0, signed_up, "free", 1.0)])
    assert features(company).height == at_risk


def test_the_version_that_became_true_last_counts_and_of_two_the_one_known_last() -> None:
    customers = [
        ("c", 100 * DAY_S, 0, 300 * DAY_S, "free", 9.0),
        ("c", 50 * DAY_S, 9 * DAY_S, 300 * DAY_S, "pro", 2.0),
        ("c", 50 * DAY_S, 0, 300 * DAY_S, "team", 3.0),
        ("c", 50 * DAY_S, 50 * DAY_S, 300 * DAY_S, "free", 4.0),
        ("c", 120 * DAY_S, 119 * DAY_S, 300 * DAY_S, "free", 5.0),
    ]
    frame = features(small(events=[("c", "session", 9, 0)], customers=customers))
    assert frame.select("plan", "seats").rows() == [("pro", 2.0)]


def test_a_version_that_came_twice_or_contradicts_itself_is_still_one_customer_whatever_the_order() -> None:
    one = ("c", 50 * DAY_S, 0, 300 * DAY_S, "pro", None)
    seen = [("c", "session", 9, 0)]
    assert features(small(events=seen, customers=[one, one])).select("plan", "seats").rows() == [("pro", None)]
    contradicting = [one, ("c", 50 * DAY_S, 0, 300 * DAY_S, "free", 7.0)]
    found = [
        features(small(events=seen, customers=rows)).select("plan", "seats").rows()
        for rows in (contradicting, contradicting[::-1])
    ]
    assert found == [[("pro", 7.0)], [("pro", 7.0)]]


def test_a_customer_with_many_rows_everywhere_has_one_row_of_features_and_counts_that_no_join_multiplied() -> None:
    frame = features(
        small(
            customers=[("c", age * DAY_S, 0, 300 * DAY_S, "pro", 1.0) for age in range(1, 40)],
            events=[("c", "session", age * DAY_S, 0) for age in range(1, 21)],
            payments=[("c", "settled", 100, age * DAY_S, 0) for age in range(1, 8)],
        )
    )
    assert frame.select("sessions_30d", "payments_90d", "total_spend_90d").rows() == [(20, 7, 700)]


@given(st.lists(ages, min_size=1, max_size=30), st.sampled_from([7, 30, 90]))
def test_days_since_and_counts_are_what_a_naive_loop_says(drawn: list[int], days: int) -> None:
    inside = [age for age in drawn if 0 < age <= days * DAY_S]
    assume(any(0 < age <= 60 * DAY_S for age in drawn))
    row = features(small(events=[("c", "session", age, 0) for age in drawn])).row(0, named=True)
    counted = {7: row["avg_sessions_7d"] * 7, 30: row["sessions_30d"], 90: row["sessions_90d"]}[days]
    assert counted == pytest.approx(len(inside))
    last = [age for age in drawn if 0 < age <= 90 * DAY_S]
    assert row["days_since_last_login"] == (min(last) / DAY_S if last else None)


def test_a_day_is_a_day_of_seconds() -> None:
    frame = pl.DataFrame({"age_s": [DAY_S, DAY_S + 1]})
    assert nw.from_native(frame).select(within(1)).to_native().to_series().to_list() == [True, False]
