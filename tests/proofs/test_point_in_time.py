"""Proof: a snapshot knows nothing that happened, or became known, at or after it; nor who else is there, nor any order of rows.

Every entry of the catalogue is taken alone as well, so that one which is added tomorrow is proved without a line here.
"""

import tempfile
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.contracts import sift
from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.features.feature import Feature
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.periods import Calendar, day_of, text
from churn_assets.raw.contracts import raw_contract
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from tests.features.company import (
    ATTRIBUTES,
    CUSTOMERS,
    FEATURES,
    GIVEN,
    ROLES,
    RULE,
    SNAPSHOT,
    TABLES,
    Company,
    T,
    companies,
    customer_rows,
    event_rows,
    features,
    payment_rows,
    small,
)
from tests.features.edges import from_all_rows

MONTHLY = Calendar("monthly", SNAPSHOT.replace(year=2023))
ABSURD = 10**11
"""So many cents, or seconds, are nothing that a company has."""


def bits(frame: pl.DataFrame) -> str:
    return digest(frame, key=["customer_id", "snapshot_s"])


def is_past() -> pl.Expr:
    return (pl.col("occurred_s") < T) & (pl.col("known_s") < T)


def past_of(company: Company) -> Company:
    return {table: rows.filter(is_past()) for table, rows in company.items()}


@st.composite
def poisons(draw: st.DrawFn) -> Company:
    """Rows that happened or became known at or after T and say what no row says."""
    who = st.sampled_from(CUSTOMERS)
    later = st.one_of(
        st.tuples(st.one_of(st.just(0), st.integers(-ABSURD, 0)), st.integers(-ABSURD, ABSURD)),
        st.integers(1, 40 * DAY_S).map(lambda age: (age, age)),
        st.integers(1, 400 * DAY_S).flatmap(lambda age: st.tuples(st.just(age), st.integers(age, ABSURD))),
    )
    word = st.sampled_from(["cancelled", "session", "export", "support_ticket", "feature_used", "", "pro", "free"])
    cents = st.sampled_from([-ABSURD, -1, 0, ABSURD])
    times = st.sampled_from([-ABSURD, 0, 5, ABSURD])
    customers = draw(st.lists(st.tuples(who, later, times, word, st.sampled_from([-1e30, 1e30])), max_size=8))
    events = draw(st.lists(st.tuples(who, word, later, cents), max_size=12))
    payments = draw(
        st.lists(
            st.tuples(who, st.sampled_from(["settled", "failed", "refunded"]), cents, later, times, cents), max_size=12
        )
    )
    return {
        "customers": customer_rows(
            [(name, *when, signed_up, plan, seats) for name, when, signed_up, plan, seats in customers]
        ),
        "events": event_rows([(name, kind, *when, value) for name, kind, when, value in events]),
        "payments": payment_rows(
            [(name, kind, paid, *when, due, listed) for name, kind, paid, when, due, listed in payments]
        ),
    }


@given(companies(), companies(), poisons())
def test_rows_that_happened_or_became_known_at_or_after_the_snapshot_change_nothing(
    company: Company, other: Company, poison: Company
) -> None:
    past = past_of(company)
    expected = bits(features(past))
    assert bits(features(company)) == expected
    later = {table: rows.filter(~is_past()) for table, rows in other.items()}
    assert bits(features({table: pl.concat([past[table], later[table]]) for table in TABLES})) == expected
    assert bits(features({table: pl.concat([past[table], poison[table]]) for table in TABLES})) == expected


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
@given(companies(), poisons())
def test_no_feature_alone_is_changed_by_them(feature: Feature, company: Company, poison: Company) -> None:
    past = past_of(company)
    poisoned = {table: pl.concat([company[table], poison[table]]) for table in TABLES}
    assert bits(features(poisoned, [feature])) == bits(features(past, [feature]))


@given(companies(), st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(company: Company, seed: int) -> None:
    shuffled = {table: rows.sample(fraction=1, shuffle=True, seed=seed) for table, rows in company.items()}
    assert bits(features(shuffled)) == bits(features(company))


@given(companies(), st.integers(0, 2**32), st.floats(0, 1))
def test_rows_that_came_twice_are_set_aside_and_change_nothing(company: Company, seed: int, share: float) -> None:
    contracts = {table: raw_contract(table, ATTRIBUTES, GIVEN.get(table, ())) for table in TABLES}
    kept: dict[Table, Any] = {table: sift(contracts[table], rows).kept for table, rows in company.items()}
    expected = bits(features(kept))
    again = {table: rows.sample(fraction=share, seed=seed) for table, rows in kept.items()}
    for table, rows in again.items():
        doubled = pl.concat([kept[table], rows]).sample(fraction=1, shuffle=True, seed=seed)
        sifted = sift(contracts[table], doubled)
        assert sifted.set_aside.height == rows.height
        assert bits(features({**kept, table: sifted.kept})) == expected


@given(companies())
def test_who_else_is_in_the_company_changes_nothing(company: Company) -> None:
    together = features(company)
    for (customer,), row in together.group_by("customer_id"):
        alone = {table: rows.filter(customer_id=customer) for table, rows in company.items()}
        assert bits(features(alone)) == bits(row)


@given(companies(), st.integers(1, len(CUSTOMERS) + 1))
def test_the_engine_says_of_a_lake_what_all_of_its_rows_say(company: Company, customers_at_a_time: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = history_of(company, Lake(folder))
        engine = PolarsEngine(customers_at_a_time)
        for snapshot, frame in engine.snapshots(history, [MONTHLY.floor(SNAPSHOT - timedelta(days=40)), SNAPSHOT]):
            assert bits(frame) == bits(from_all_rows(history, snapshot))


def test_who_cancelled_long_before_all_that_is_in_reach_stays_gone_whatever_arrives_later() -> None:
    company = small(events=[("c", "cancelled", 400 * DAY_S, 0), ("c", "export", DAY_S, 0)])
    with tempfile.TemporaryDirectory() as folder:
        history = history_of(company, Lake(folder))
        [(_, frame)] = PolarsEngine().snapshots(history, [SNAPSHOT])
    assert frame.height == 0


def history_of(company: Company, lake: Lake) -> History:
    """A company's rows in a lake, by period of arrival: no row arrives before it has happened."""
    for table, rows in company.items():
        arrived = rows.with_columns(known_s=pl.max_horizontal("known_s", "occurred_s"))
        keys = [MONTHLY.floor(day_of(second)).isoformat() for second in arrived["known_s"]]
        parts = arrived.with_columns(pl.Series(PERIOD, keys, dtype=pl.String)).partition_by(
            PERIOD, as_dict=True, include_key=False
        )
        periods = {str(period): part for (period,), part in parts.items()}
        lake.replace(table, periods or {text(SNAPSHOT): arrived}, run_id="drawn")
    return History(lake, {table: lake.version(table) for table in TABLES}, MONTHLY, FEATURES, RULE, ROLES)
