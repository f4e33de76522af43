"""What every entry of the catalogue must keep. The tests come from the entries: adding a feature adds them."""

import re
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.contracts import violations
from churn_assets.features.contracts import features_contract
from churn_assets.features.feature import Feature
from churn_assets.features.protected_attributes import refuse_forbidden
from churn_store.clock import DAY_S
from churn_store.mapping.reserved_names import RESERVED
from tests.features.company import (
    FEATURES,
    Company,
    Event,
    Payment,
    T,
    companies,
    customer_rows,
    event_rows,
    features,
    payment_rows,
)

EACH = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
OF_HISTORY = [feature for feature in FEATURES if feature.name not in ("plan", "seats")]
WINDOWED = [feature for feature in FEATURES if feature.window_days is not None]
SAID = {feature.name: int(said[1]) for feature in FEATURES if (said := re.search(r"_(\d+)d$", feature.name))}
"""The days that a name says, by feature."""

DAYS = sorted({*SAID.values(), *(feature.window_days for feature in FEATURES if feature.window_days is not None)})

YEARS_OF_A_CUSTOMER = 400 * DAY_S
EVENTS = ("session", "feature_used", "support_ticket", "export")
PAYMENTS = ("settled", "failed", "refunded", "late", "cheap")
SATURDAY = 3 * DAY_S - 5
"""T is a Tuesday; so long before it, it is a Saturday."""

BASES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "nothing but a login": ({"login": DAY_S}, {}),
    "one of everything": (dict.fromkeys(EVENTS, DAY_S), dict.fromkeys(PAYMENTS, DAY_S)),
    "a session on a Saturday": ({"session": SATURDAY}, {}),
}


@pytest.mark.parametrize("feature", OF_HISTORY, ids=lambda feature: feature.name)
def test_it_is_documented(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,62}", feature.name)
    assert feature.description
    assert feature.description[0].islower() or feature.description[0].isdigit()
    assert not feature.description.endswith(".")
    assert feature.unit
    assert re.fullmatch(r"team:[a-z-]+", feature.owner)
    assert feature.pii in ("none", "behaviour", "attribute")
    assert feature.low is not None
    assert feature.high is None or feature.high > feature.low
    assert feature.window_days is None or 1 <= feature.window_days <= 180
    assert (feature.window_days is None) == (not any(feature.of(table) for table in feature.tables))


@pytest.mark.parametrize("feature", OF_HISTORY, ids=lambda feature: feature.name)
def test_its_name_is_neither_taken_nor_protected(feature: Feature) -> None:
    assert feature.name not in RESERVED
    refuse_forbidden(feature.name, feature.name, ())


@EACH
@given(company=companies())
def test_it_is_in_its_range_and_missing_only_where_never_is_an_answer(feature: Feature, company: Company) -> None:
    frame = features(company, [feature])
    assert frame.columns == ["customer_id", "snapshot_s", feature.name]
    assert violations(features_contract([feature], has_time=True), frame) == []


@pytest.mark.parametrize("feature", WINDOWED, ids=lambda feature: feature.name)
def test_what_happened_exactly_a_window_ago_counts_and_nothing_a_second_older(feature: Feature) -> None:
    days = feature.window_days
    assert days is not None
    value = dict(at_the_edges().select("customer_id", feature.name).iter_rows())
    moved = set()
    for base in BASES:
        for kind in (*EVENTS, *PAYMENTS, "version"):
            older, edge = value[f"{base}/{kind}/{days * DAY_S + 1}"], value[f"{base}/{kind}/{days * DAY_S}"]
            assert older == value[f"{base}//"], f"{kind} after {base}"
            moved |= {kind} if edge != value[f"{base}//"] else set()
    assert moved


@pytest.mark.parametrize("name", SAID)
def test_the_days_that_a_name_says_are_an_edge_of_what_is_counted(name: str) -> None:
    value = dict(at_the_edges().select("customer_id", name).iter_rows())
    edge = SAID[name] * DAY_S
    assert any(
        value[f"{base}/{kind}/{edge}"] != value[f"{base}/{kind}/{edge + 1}"]
        for base in BASES
        for kind in (*EVENTS, *PAYMENTS, "version")
    )


@pytest.mark.parametrize("feature", [f for f in FEATURES if f.grows], ids=lambda feature: feature.name)
@given(company=companies(), later=st.integers(1, 60 * DAY_S))
def test_what_only_grows_never_falls_from_one_snapshot_to_a_later_one(
    feature: Feature, company: Company, later: int
) -> None:
    # A record that is corrected later is another record; what grows is what is said of the same one.
    company = {**company, "customers": company["customers"].unique("customer_id", keep="first", maintain_order=True)}
    first, second = (
        dict(features(company, [feature], at=at).select("customer_id", feature.name).iter_rows()) for at in (T, T + later)
    )
    assert all(second[customer] > first[customer] for customer in set(first) & set(second))


@pytest.mark.parametrize("feature", [f for f in FEATURES if f.calendar], ids=lambda feature: feature.name)
@given(company=companies(), at=st.integers(T, T + 2 * YEARS_OF_A_CUSTOMER))
def test_what_follows_the_calendar_is_the_same_for_everybody(feature: Feature, company: Company, at: int) -> None:
    day = at - at % DAY_S
    kept = {
        **company,
        "events": pl.concat([company["events"], event_rows([(f"c{i}", "export", T - day + 9, 0) for i in range(5)])]),
    }
    frame = features(kept, [feature], at=day)
    assert frame[feature.name].n_unique() <= 1


@cache
def at_the_edges() -> pl.DataFrame:
    """The features of one customer for each base, kind of row and age, and of each base alone."""
    customers: list[tuple[Any, ...]] = []
    events: list[Event] = []
    payments: list[Payment] = []
    for base, (seen, paid) in BASES.items():
        kinds_and_ages: list[tuple[str, Any]] = [
            ("", ""),
            *((k, d * DAY_S + off) for k in (*EVENTS, *PAYMENTS, "version") for d in DAYS for off in (0, 1)),
        ]
        for kind, age in kinds_and_ages:
            who = f"{base}/{kind}/{age}"
            customers.append((who, 399 * DAY_S, 0, 399 * DAY_S, "free", 1.0))
            events += [(who, name, at, 0, 10) for name, at in seen.items()]
            payments += [_payment(who, name, at) for name, at in paid.items()]
            if kind in EVENTS:
                events.append((who, kind, int(age), 0, 30))
            elif kind in PAYMENTS:
                payments.append(_payment(who, kind, int(age)))
            elif kind == "version":
                customers.append((who, int(age), 0, 399 * DAY_S, "pro", 2.0))
    return features(
        {"customers": customer_rows(customers), "events": event_rows(events), "payments": payment_rows(payments)}
    )


def _payment(who: str, kind: str, age: int) -> Payment:
    status = kind if kind in ("failed", "refunded") else "settled"
    return (who, status, 500 if kind == "cheap" else 1_000, age, 0, 5 * DAY_S if kind == "late" else 0, 1_000)
