"""A snapshot knows nothing that happened, or became known, at or after it: for every feature of the catalogue."""

import narwhals as nw
import polars as pl
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from churn_assets.contracts import violations
from churn_assets.features.catalogue import within
from churn_assets.features.contracts import features_contract
from churn_assets.features.reach import needed
from churn_assets.periods import DAY_S, Calendar, day_of
from churn_assets.resources.lake import PERIOD, digest
from tests.features.company import (
    FEATURES,
    RULE,
    SNAPSHOT,
    TABLES,
    Company,
    T,
    ages,
    companies,
    customer_rows,
    event_rows,
    features,
    payment_rows,
)

MANY = settings(
    max_examples=50, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
)  # shrinking takes minutes
MONTHLY = Calendar("monthly", SNAPSHOT.replace(year=2023))


def bits(frame: pl.DataFrame) -> str:
    return digest(frame, key=["customer_id", "snapshot_s"])


def is_past() -> pl.Expr:
    return (pl.col("occurred_s") < T) & (pl.col("known_s") < T)


@MANY
@given(companies(), companies())
def test_rows_that_happened_or_became_known_at_or_after_the_snapshot_change_nothing(
    company: Company, other: Company
) -> None:
    past = {table: rows.filter(is_past()) for table, rows in company.items()}
    poison = {table: rows.filter(~is_past()) for table, rows in other.items()}
    expected = bits(features(past))
    assert bits(features(company)) == expected
    assert bits(features({table: pl.concat([past[table], poison[table]]) for table in TABLES})) == expected


@MANY
@given(companies(), st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(company: Company, seed: int) -> None:
    shuffled = {table: rows.sample(fraction=1, shuffle=True, seed=seed) for table, rows in company.items()}
    assert bits(features(shuffled)) == bits(features(company))


@MANY
@given(companies())
def test_who_else_is_in_the_company_changes_nothing(company: Company) -> None:
    together = features(company)
    for (customer,), row in together.group_by("customer_id"):
        alone = {table: rows.filter(customer_id=customer) for table, rows in company.items()}
        assert bits(features(alone)) == bits(row)


@MANY
@given(companies())
def test_there_is_one_row_a_customer_at_risk_inside_the_allowed_ranges(company: Company) -> None:
    frame = features(company)
    assert frame["customer_id"].n_unique() == frame.height
    assert violations(features_contract(FEATURES, has_time=True), frame) == []
    gone = company["events"].filter(is_past(), pl.col("event_type") == RULE.cancelled_event)["customer_id"]
    assert not set(frame["customer_id"]) & set(gone)


@MANY
@given(companies())
def test_reading_only_the_periods_in_reach_changes_nothing(company: Company) -> None:
    company = {
        table: rows.with_columns(known_s=pl.max_horizontal("known_s", "occurred_s")) for table, rows in company.items()
    }
    by_arrival = {
        table: rows.with_columns(
            pl.Series(PERIOD, [MONTHLY.floor(day_of(second)).isoformat() for second in rows["known_s"]], dtype=pl.String)
        ).lazy()
        for table, rows in company.items()
    }
    cut = {table: needed(table, rows, SNAPSHOT, FEATURES, RULE, MONTHLY).collect() for table, rows in by_arrival.items()}
    assert bits(features(cut)) == bits(features(company))


def test_who_cancelled_long_ago_stays_gone_whatever_arrives_later() -> None:
    company = small(events=[("c", "cancelled", 400 * DAY_S, 0), ("c", "export", DAY_S, 0)])
    arrived = company["events"].with_columns(
        pl.Series(PERIOD, [MONTHLY.floor(day_of(second)).isoformat() for second in company["events"]["known_s"]])
    )
    cut = needed("events", arrived.lazy(), SNAPSHOT, FEATURES, RULE, MONTHLY).collect()
    assert features({**company, "events": cut}).height == 0


def small(
    *,
    events: list[tuple[str, str, int, int]] | None = None,
    payments: list[tuple[str, str, int, int, int]] | None = None,
    customers: list[tuple[str, int, int, int, str | None, float | None]] | None = None,
) -> Company:
    """One customer who signed up 300 days ago, and these rows."""
    return {
        "customers": customer_rows([("c", 300 * DAY_S, 0, 300 * DAY_S, "free", 1.0)] if customers is None else customers),
        "events": event_rows(events or []),
        "payments": payment_rows(payments or []),
    }


KINDS = [("events", kind) for kind in ("session", "feature_used", "support_ticket", "export")] + [
    ("payments", status) for status in ("settled", "failed", "refunded")
]


@pytest.mark.parametrize("days", sorted({feature.window_days for feature in FEATURES if feature.window_days}))
def test_a_window_holds_what_happened_exactly_so_many_days_ago_and_nothing_older(days: int) -> None:
    """For every feature: a row at the edge matters in some case, a row a second older in none."""
    windowed = [feature.name for feature in FEATURES if feature.window_days == days]
    moved: set[str] = set()
    recent_events = [("c", kind, DAY_S, 0) for table, kind in KINDS if table == "events"]
    recent_payments = [("c", kind, 500, DAY_S, 0) for table, kind in KINDS if table == "payments"]
    for base_events, base_payments in (([("c", "login", DAY_S, 0)], []), (recent_events, recent_payments)):

        def row_of(
            table: str,
            kind: str,
            age: int,
            base_events: list[tuple[str, str, int, int]] = base_events,
            base_payments: list[tuple[str, str, int, int, int]] = base_payments,
        ) -> dict[str, object]:
            events = [*base_events, ("c", kind, age, 0)] if table == "events" else base_events
            payments = [*base_payments, ("c", kind, 700, age, 0)] if table == "payments" else base_payments
            return features(small(events=events, payments=payments)).row(0, named=True)

        base = features(small(events=base_events, payments=base_payments)).row(0, named=True)
        for table, kind in KINDS:
            older, edge = row_of(table, kind, days * DAY_S + 1), row_of(table, kind, days * DAY_S)
            assert {name for name in windowed if older[name] != base[name]} == set()
            moved |= {name for name in windowed if edge[name] != base[name]}
    assert moved == set(windowed)


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


@pytest.mark.parametrize(("age", "delay", "at_risk"), [(9, 0, False), (9, 8, False), (9, 9, True), (0, 0, True)])
def test_nobody_whose_leaving_was_known_before_the_snapshot_is_at_risk(age: int, delay: int, at_risk: bool) -> None:
    company = small(events=[("c", "session", DAY_S, 0), ("c", "cancelled", age, delay)])
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


@settings(max_examples=40, deadline=None, derandomize=True)
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
