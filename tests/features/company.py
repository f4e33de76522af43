"""Small companies, drawn by Hypothesis or written down: raw tables around one snapshot."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
from hypothesis import strategies as st

from churn_assets.features.catalogue_types import EventValue
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.features.snapshot import features_at
from churn_assets.periods import epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S
from churn_store.mapping.tables import OPTIONAL, SCHEMAS, VALUE, WHERE_MAPPED, Table
from churn_store.model.signature import Column

SNAPSHOT = date(2025, 7, 1)
T = epoch_s(SNAPSHOT)
RULE = AtRisk()
ROLES = EventRoles()
GIVEN: Mapping[Table, Sequence[str]] = {"payments": OPTIONAL["payments"], "events": (VALUE,)}
TABLES: tuple[Table, ...] = ("customers", "events", "payments")
ATTRIBUTES = (
    Column(name="plan", kind="category", nullable=True),
    Column(name="seats", kind="number", low=0, nullable=True),
)
TYPES = ("export",)
SCREENS = EventValue("screens", 1)
FEATURES = features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN, types=TYPES, value=SCREENS)
Company = Mapping[Table, pl.DataFrame]
Event = tuple[str, str, int, int] | tuple[str, str, int, int, int | None]
Payment = tuple[str, str, int, int, int] | tuple[str, str, int, int, int, int | None, int | None]

_SCHEMAS: dict[Table, Any] = {
    "events": {**SCHEMAS["events"], **WHERE_MAPPED["events"]},
    "payments": SCHEMAS["payments"],
    "customers": {**SCHEMAS["customers"], "plan": pl.String, "seats": pl.Float64},
}
CUSTOMERS = [f"c{i}" for i in range(5)]

# Days before (or, negative, after) the snapshot, in seconds: the edges of every window, and what lies around them.
_EDGES = sorted({days * DAY_S + off for days in (0, 7, 30, 60, 84, 90, 180) for off in (-1, 0, 1)})
ages = st.one_of(st.sampled_from(_EDGES), st.integers(-40 * DAY_S, 220 * DAY_S))
delays = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 60 * DAY_S), st.integers(-40 * DAY_S, 0))


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """Rows of five customers, some of which happened or became known at or after T."""
    customers = draw(
        st.lists(
            st.tuples(
                st.sampled_from(CUSTOMERS),
                ages,
                delays,
                st.integers(0, 400 * DAY_S),
                st.sampled_from(["free", "pro", "team", None]),
                st.sampled_from([None, 0.0, 1.0, 40.5]),
            ),
            max_size=12,
        )
    )
    events = draw(
        st.lists(
            st.tuples(
                st.sampled_from(CUSTOMERS),
                st.sampled_from(["session", "session", "feature_used", "support_ticket", "export", "export", "cancelled"]),
                ages,
                delays,
                st.sampled_from([None, 0, 1, 7, 10**12]),
            ),
            max_size=25,
        )
    )
    payments = draw(
        st.lists(
            st.tuples(
                st.sampled_from(CUSTOMERS),
                st.sampled_from(["settled", "settled", "failed", "refunded"]),
                st.integers(0, 100_000),
                ages,
                delays,
                st.one_of(st.none(), st.integers(-DAY_S, 9 * DAY_S)),
                st.sampled_from([None, 0, 1_900, 4_900]),
            ),
            max_size=20,
        )
    )
    # Everyone has a first record and a recent event, so that there is somebody to look at.
    known = [(name, 200 * DAY_S, 0, 300 * DAY_S, "free", 1.0) for name in CUSTOMERS]
    seen: list[Event] = [(name, "export", 5 * DAY_S, 0) for name in CUSTOMERS[:4]]
    return {
        "customers": customer_rows([*known, *customers]),
        "events": event_rows([*seen, *events]),
        "payments": payment_rows(payments),
    }


def customer_rows(rows: Sequence[tuple[str, int, int, int, str | None, float | None]]) -> pl.DataFrame:
    """Versions: customer, age of the version, delay until known, age of the sign-up, plan, seats."""
    return pl.DataFrame(
        [(name, T - age, T - age + delay, T - signed_up, plan, seats) for name, age, delay, signed_up, plan, seats in rows],
        schema=_SCHEMAS["customers"],
        orient="row",
    )


def event_rows(rows: Sequence[Event]) -> pl.DataFrame:
    """Events: customer, type, age, delay until known; and the value in tenths."""
    return pl.DataFrame(
        [
            (f"e{i}", name, kind, T - age, T - age + delay, value)
            for i, (name, kind, age, delay, value) in enumerate(row if len(row) == 5 else (*row, None) for row in rows)
        ],
        schema=_SCHEMAS["events"],
        orient="row",
    )


def payment_rows(rows: Sequence[Payment]) -> pl.DataFrame:
    """Payments: customer, status, cents, age, delay until known; and how long after it was due, and the list price."""
    return pl.DataFrame(
        [
            (f"p{i}", name, cents, status, None if overdue is None else T - age - overdue, listed, T - age, T - age + delay)
            for i, (name, status, cents, age, delay, overdue, listed) in enumerate(
                row if len(row) == 7 else (*row, None, None) for row in rows
            )
        ],
        schema=_SCHEMAS["payments"],
        orient="row",
    )


def small(
    *,
    events: Sequence[Event] = (),
    payments: Sequence[Payment] = (),
    customers: Sequence[tuple[str, int, int, int, str | None, float | None]] | None = None,
) -> Company:
    """One customer who signed up 300 days ago, and these rows."""
    return {
        "customers": customer_rows([("c", 300 * DAY_S, 0, 300 * DAY_S, "free", 1.0)] if customers is None else customers),
        "events": event_rows(events),
        "payments": payment_rows(payments),
    }


def features(
    company: Company, which: Sequence[Feature] = FEATURES, *, at: int = T, rule: AtRisk = RULE, roles: EventRoles = ROLES
) -> pl.DataFrame:
    """Features of a company at a snapshot: all that there are, at T."""
    return features_at({table: frame.lazy() for table, frame in company.items()}, which, at, rule, roles)
