"""The catalogue: every name once, every aggregate one meaning, and the words in which aggregates are said."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from churn_assets.features.catalogue import CATALOGUE, CLASSIC, as_table
from churn_assets.features.feature import distinct, longest_window_days
from churn_assets.features.feature_sets import features_of
from churn_assets.features.recency_flags import with_recency_flags
from churn_assets.periods import epoch_s
from churn_assets.settings.events import EventRoles
from churn_assets.settings.features import Features
from churn_store.clock import DAY_S
from churn_store.mapping.reserved_names import RESERVED
from churn_store.mapping.tables import SCHEMAS, Table
from tests.features.company import FEATURES, T, customer_rows, event_rows, features, small


def test_names_are_unique_and_none_is_a_column_of_the_tables() -> None:
    names = [feature.name for feature in CATALOGUE]
    assert len(names) == len(set(names))
    assert not set(names) & RESERVED
    aggregates = {name for feature in CATALOGUE for table in feature.tables for name in feature.of(table)}
    assert not aggregates & (RESERVED | {"plan"})


def test_every_column_of_the_tables_that_features_are_made_from_is_reserved_and_those_of_treatments_are_free() -> None:
    made_from = {name for table, schema in SCHEMAS.items() if table != "treatments" for name in schema}
    assert made_from <= RESERVED
    assert not {"channel", "offer", "propensity", "treated"} & RESERVED


def test_an_aggregate_name_means_the_same_wherever_it_is_used() -> None:
    generator = np.random.default_rng(5)
    count = 4_000
    rows = pl.DataFrame(
        {
            "customer_id": generator.choice([f"c{i}" for i in range(40)], count),
            "age_s": generator.integers(1, 200 * DAY_S, count),
            "event_type": generator.choice(
                ["session", "support_ticket", "feature_used", *map(str, range(99))], count, p=[0.3] * 3 + [0.1 / 99] * 99
            ),
            "status": generator.choice(["settled", "failed", "refunded"], count),
            "amount_cents": generator.integers(0, 10_000, count),
            "list_cents": generator.integers(0, 10_000, count) * (generator.random(count) < 0.7),
            "occurred_s": T - generator.integers(1, 200 * DAY_S, count),
            "due_s": [
                None if missing else T - int(age)
                for missing, age in zip(
                    generator.random(count) < 0.3, generator.integers(1, 200 * DAY_S, count), strict=True
                )
            ],
            "signed_up_s": T - generator.integers(1, 200 * DAY_S, count),
        }
    )
    placed = with_recency_flags(nw.from_native(rows.lazy()), EventRoles()).collect("polars")
    meanings: dict[str, set[tuple[str, tuple[object, ...]]]] = defaultdict(set)
    for feature in CATALOGUE:
        for table in feature.tables:
            for name, expr in feature.of(table).items():
                values = placed.group_by("customer_id").agg(expr.alias("value")).sort("customer_id")
                meanings[name].add((table, tuple(values["value"].to_list())))
    assert {name for name, found in meanings.items() if len(found) > 1} == set()
    evaluated = {next(iter(found)) for found in meanings.values()}
    assert len(evaluated) == len(meanings), "two names for one aggregate of a table"


def test_the_classic_ones_are_there_and_at_least_twenty_more() -> None:
    names = {feature.name for feature in CATALOGUE}
    assert set(CLASSIC) <= names
    assert len(CLASSIC) == 10
    assert len(names) >= 32


@pytest.mark.parametrize(
    ("wanted", "values", "expected"),
    [
        ([True, True, True], [1, 1, 2], 2),
        ([True, False, False], [1, 1, 2], 1),
        ([False, False, False], [1, 1, 2], 0),
        ([None, True, True], [3, 1, 2], 2),
    ],
)
def test_distinct_counts_the_values_of_the_rows_that_are_wanted(
    wanted: list[bool | None], values: list[int], expected: int
) -> None:
    rows = nw.from_native(pl.DataFrame({"who": ["c"] * 3, "wanted": wanted, "value": values}))
    found = rows.group_by("who").agg(distinct(nw.col("value"), nw.col("wanted")).alias("n"))
    assert found["n"].to_list() == [expected]


def test_the_longest_window_is_that_of_the_features_in_use() -> None:
    assert longest_window_days(FEATURES, "payments") == 180
    assert longest_window_days([f for f in FEATURES if f.window_days != 180], "payments") == 90
    assert longest_window_days([f for f in FEATURES if f.name == "days_since_last_problem"], "events") == 90
    assert longest_window_days([], "events") == 0


def test_the_habit_over_half_a_year_asks_for_no_longer_history_and_can_be_excluded() -> None:
    before = [feature for feature in CATALOGUE if feature.name != "event_rate_180d"]
    tables: tuple[Table, ...] = ("customers", "events", "payments")
    needed = [max(longest_window_days(features, table) for table in tables) for features in (before, CATALOGUE)]
    assert needed == [180, 180]
    assert longest_window_days(before, "events") == 90
    excluded = features_of(tables, [], has_time=True, choice=Features(exclude=("event_rate_180d",)))
    assert {feature.name for feature in features_of(tables, [], has_time=True)} - {f.name for f in excluded} == {
        "event_rate_180d"
    }
    assert "event_rate_180d" not in CLASSIC


def test_a_customer_without_rows_has_zeros_and_nothing_where_never_is_an_answer() -> None:
    company = small(payments=[("c", "settled", 100, 59 * DAY_S, 0)])
    row = features(company).row(0, named=True)
    of_events = [feature for feature in FEATURES if feature.tables == {"events"}]
    assert {row[f.name] for f in of_events if f.nullable} == {None}
    assert {row[f.name] for f in of_events if not f.nullable} == {0.0}
    assert (row["days_since_last_payment"], row["is_pro_plan"], row["days_since_last_problem"]) == (59.0, 0.0, None)


def test_what_a_practitioner_would_work_out_by_hand() -> None:
    days = [2, 2, 9, 30, 85]
    company = small(
        events=[
            *(("c", "session", day * DAY_S, 0) for day in days),
            ("c", "support_ticket", 20 * DAY_S, 0),
            ("c", "feature_used", 40 * DAY_S, 0),
        ],
        payments=[
            ("c", "settled", 800, 10 * DAY_S, 0, 3 * DAY_S, 1_000),
            ("c", "settled", 1_000, 100 * DAY_S, 0, 0, 1_000),
            ("c", "failed", 1_000, 12 * DAY_S, 0, 0, 1_000),
        ],
        customers=[
            ("c", 300 * DAY_S, 0, 300 * DAY_S, "free", 1.0),
            ("c", 50 * DAY_S, 0, 300 * DAY_S, "pro", 1.0),
            ("c", 20 * DAY_S, 0, 300 * DAY_S, "free", 1.0),
        ],
    )
    row = features(company).row(0, named=True)
    expected = {
        "sessions_30d": 4, "session_trend": 4 / 5, "session_trend_7d": 2 / 4, "active_days_30d": 3, "active_days_90d": 4,
        "active_weeks_84d": 3 / 12, "mean_gap_90d": (85 - 2) / 4, "silence_90d": 2 / ((85 - 2) / 4),
        "weekend_share_90d": 4 / 5, "event_types_30d": 2, "event_types_90d": 3, "uses_per_session_90d": 1 / 5,
        "problems_90d": 2, "days_since_last_problem": 12, "failed_share_90d": 1 / 2, "late_share_180d": 1 / 2,
        "paid_of_list_180d": 1_800 / 2_000, "spend_trend": 1.0, "total_spend_7d": 0, "total_spend_30d": 800,
        "record_changes_180d": 2, "days_since_record_change": 20, "is_pro_plan": 0, "days_since_signup": 300,
        "event_rate_180d": 7 / 180,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("signed_up_days", "over_days"), [(40, 40), (179, 179), (180, 180), (500, 180)])
def test_a_habit_is_measured_since_sign_up_and_at_most_over_its_window(signed_up_days: int, over_days: int) -> None:
    company = small(
        events=[("c", "session", day * DAY_S, 0) for day in (1, 2, 30)],
        customers=[("c", signed_up_days * DAY_S, 0, signed_up_days * DAY_S, "free", 1.0)],
    )
    assert features(company).row(0, named=True)["event_rate_180d"] == 3 / over_days


@pytest.mark.parametrize(
    ("moment", "weekend"),
    [
        ("2025-06-27 23:59:59", False),
        ("2025-06-28 00:00:00", True),
        ("2025-06-28 23:59:59", True),
        ("2025-06-29 00:00:00", True),
        ("2025-06-29 23:59:59", True),
        ("2025-06-30 00:00:00", False),
    ],
)
def test_a_weekend_is_the_whole_saturday_and_the_whole_sunday(moment: str, weekend: bool) -> None:
    age = T - int(datetime.fromisoformat(f"{moment}+00:00").timestamp())
    assert features(small(events=[("c", "session", age, 0)]))["weekend_share_90d"].to_list() == [float(weekend)]


@pytest.mark.parametrize(
    ("overdue", "late"), [(DAY_S - 1, 0.0), (DAY_S, 0.0), (DAY_S + 1, 1.0), (-DAY_S, 0.0), (None, None)]
)
def test_a_payment_is_late_more_than_a_day_after_it_was_due(overdue: int | None, late: float | None) -> None:
    company = small(payments=[("c", "settled", 100, 9 * DAY_S, 0, overdue, None)])
    assert features(company)["late_share_180d"].to_list() == [late]


@pytest.mark.parametrize(
    ("ages", "changes", "since"),
    [
        ([300], 0, None),
        ([10], 0, None),
        ([300, 50, 20], 2, 20),
        ([50, 20], 1, 20),
        ([300, 180], 1, 180),
        ([300, 200], 0, None),
        ([300, 20, 20], 1, 20),
    ],
    ids=[
        "only the first, long ago", "only the first, written after the sign-up", "two changes", "a first version in the window",
        "at the edge of the window", "before the window", "known twice",
    ],
)  # fmt: skip
def test_the_oldest_version_of_a_record_is_no_change_of_it(ages: Sequence[int], changes: int, since: int | None) -> None:
    versions = [("c", age * DAY_S, delay, 300 * DAY_S, "free", float(delay)) for delay, age in enumerate(ages)]
    row = features(small(events=[("c", "session", 5, 0)], customers=versions)).row(0, named=True)
    assert (row["record_changes_180d"], row["days_since_record_change"]) == (changes, since)


def test_the_season_is_told_by_whole_days_of_the_calendar_in_every_year() -> None:
    def nearest(day: date, month: int) -> int:
        return min(abs((day - date(year, month, 1)).days) for year in (day.year - 1, day.year, day.year + 1))

    days = [date(2023, 12, 29) + timedelta(days=step) for step in (*range(0, 5 * 366, 13), 3, 94, 95, 369, 460)]
    days += [date(2024, 1, 1), date(2024, 2, 29), date(2024, 4, 1), date(2025, 1, 1), date(2025, 4, 1), date(2027, 10, 1)]
    for day in days:
        at = epoch_s(day)
        company = {
            **small(),
            "customers": customer_rows([("c", T - at + 400 * DAY_S, 0, T - at + 400 * DAY_S + 77, "free", 1.0)]),
            "events": event_rows([("c", "session", T - at + 9, 0)]),
        }
        found = features(company, [f for f in FEATURES if f.calendar], at=at).row(0, named=True)
        assert (found["days_from_new_year"], found["days_from_april"]) == (nearest(day, 1), nearest(day, 4)), day


def test_the_table_for_people_has_a_line_for_each_feature() -> None:
    lines = as_table(FEATURES).splitlines()
    assert len(lines) == len(FEATURES) + 2
    [line] = [line for line in lines if line.startswith("| days_since_last_login ")]
    assert "| 90 days | 0 to 90 or none |" in line


def test_only_what_moves_with_time_alone_is_shown_and_not_judged_for_drift() -> None:
    moving = {feature.name for feature in FEATURES if feature.drifts_anyway}
    assert moving == {"days_since_signup", "days_from_new_year", "days_from_april"}
