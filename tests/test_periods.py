"""Periods: every day lies in exactly one, and a period is complete only when it has ended."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.periods import Cadence, Calendar, day_of, epoch_s, text

CADENCES: tuple[Cadence, ...] = ("monthly", "weekly", "daily")
days = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@given(st.sampled_from(CADENCES), days, days)
def test_every_day_lies_in_exactly_one_period(cadence: Cadence, start: date, day: date) -> None:
    calendar = Calendar(cadence, start)
    first, after = calendar.floor(day), calendar.next(calendar.floor(day))
    assert first <= day < after
    assert calendar.floor(after) == after
    assert calendar.floor(after - timedelta(days=1)) == first
    assert calendar.bounds_s(text(first)) == (epoch_s(first), epoch_s(after))
    assert calendar.ceil(day) == (first if day == first else after)


@given(st.sampled_from(CADENCES), days, st.integers(0, 400))
def test_keys_are_all_periods_until_a_day_and_the_last_is_not_complete(cadence: Cadence, start: date, later: int) -> None:
    calendar, until = Calendar(cadence, start), start + timedelta(days=later)
    keys = calendar.keys(until)
    assert keys[0] == calendar.first <= start
    assert [calendar.next(key) for key in keys[:-1]] == keys[1:]
    assert keys[-1] == calendar.floor(until)
    assert calendar.complete(until) == keys[:-1]


@pytest.mark.parametrize(
    ("cadence", "first", "following"),
    [("monthly", date(2024, 12, 1), date(2025, 1, 1)), ("weekly", date(2024, 12, 30), date(2025, 1, 6))],
)
def test_a_year_ends_like_any_other_period(cadence: Cadence, first: date, following: date) -> None:
    calendar = Calendar(cadence, date(2024, 12, 31))
    assert (calendar.first, calendar.next(first)) == (first, following)


@given(days)
def test_a_day_is_found_again_from_any_of_its_seconds(day: date) -> None:
    assert day_of(epoch_s(day)) == day == day_of(epoch_s(day) + 86_399)
