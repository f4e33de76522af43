"""Proof: nobody who is known to have left is judged, no outcome counts before it can be known, and no open window has a label."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Literal

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_assets.automation.due import labels_due
from churn_assets.features.labels import Labelled, churn_labels, require_mature
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_assets.settings.label import Label, matures_on
from churn_assets.simulator.source import SyntheticSettings
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from tests.features.company import CUSTOMERS, RULE, SNAPSHOT, Company, T, companies, event_rows, features, small

EVENT = Label(kind="event", event="cancelled", horizon_days=30, grace_days=3)
INACTIVITY = Label(kind="inactivity", horizon_days=30, grace_days=3)
END_S = 30 * DAY_S
"""How long after T both windows end."""

MATURE_S = epoch_s(matures_on(SNAPSHOT, EVENT))
LEFT = pl.col("event_type").is_in(RULE.endings)
BEFORE = pl.col("occurred_s") < T


@st.composite
def companies_with_leavers(draw: st.DrawFn) -> Company:
    """Some left shortly before the snapshot, or in its window, and it became known at every edge there is."""
    company = draw(companies())
    ages = st.one_of(st.sampled_from([-END_S - 1, -END_S, 1 - END_S, -1, 0, 1]), st.integers(-END_S, 9 * DAY_S))
    left_s = draw(st.lists(st.tuples(st.sampled_from(CUSTOMERS), ages), min_size=1, max_size=4))
    edges = [T - 1, T, T + 1, MATURE_S - 1, MATURE_S]
    cancelled = [(who, RULE.endings[0], age, max(draw(st.sampled_from(edges)) - (T - age), 0)) for who, age in left_s]
    return {**company, "events": pl.concat([company["events"], event_rows(cancelled)])}


def labelled(company: Company, rule: Label) -> Labelled:
    """The labels of everyone at risk at T."""

    def arrived(rows: pl.DataFrame) -> nw.LazyFrame[Any]:
        return nw.from_native(rows.filter(pl.col("known_s") >= T).lazy())

    return churn_labels(
        features(company).select("customer_id"),
        arrived(company["events"]),
        arrived(company["payments"]),
        snapshot=SNAPSHOT,
        label=rule,
        rule=RULE,
    )


def ids(rows: pl.DataFrame) -> set[str]:
    return set(rows["customer_id"])


@given(companies_with_leavers())
def test_nobody_whose_leaving_was_known_before_the_snapshot_is_in_the_population(company: Company) -> None:
    gone = company["events"].filter(LEFT, BEFORE, pl.col("known_s") < T)
    assert not ids(features(company)) & ids(gone)


@pytest.mark.parametrize("rule", [EVENT, INACTIVITY], ids=["by event", "by inactivity"])
@given(companies_with_leavers())
def test_who_left_before_the_snapshot_which_was_known_only_later_has_no_label_and_is_counted(
    rule: Label, company: Company
) -> None:
    at_risk = ids(features(company))
    gone = ids(company["events"].filter(LEFT, BEFORE, pl.col("known_s").is_between(T, MATURE_S, closed="left")))
    found = labelled(company, rule)
    assert ids(found.labels) == at_risk - gone
    assert found.left_before == len(at_risk & gone)


@pytest.mark.parametrize("rule", [EVENT, INACTIVITY], ids=["by event", "by inactivity"])
@given(companies_with_leavers(), companies_with_leavers())
def test_what_happened_or_became_known_after_the_window_restates_no_label(
    rule: Label, company: Company, other: Company
) -> None:
    end_s = epoch_s(SNAPSHOT + rule.horizon)
    inside = (pl.col("occurred_s") < end_s) & (pl.col("known_s") < MATURE_S)
    known = {table: rows.filter(inside) for table, rows in company.items()}
    later = {table: pl.concat([known[table], rows.filter(~inside)]) for table, rows in other.items()}
    expected = labelled(known, rule)
    for with_more in (company, later):
        found = labelled(with_more, rule)
        assert found.labels.equals(expected.labels)
        assert found.left_before == expected.left_before


@pytest.mark.parametrize("rule", [EVENT, INACTIVITY], ids=["by event", "by inactivity"])
@pytest.mark.parametrize(
    ("after_s", "inside"),
    [(-1, False), (0, True), (END_S - 1, True), (END_S, False)],
    ids=["before", "first", "last", "after"],
)
def test_the_window_begins_with_the_snapshot_and_ends_before_its_horizon(rule: Label, after_s: int, inside: bool) -> None:
    kind = "cancelled" if rule.kind == "event" else "session"
    seen = [("c", "session", 9, 0), ("c", kind, -after_s, 0 if after_s >= 0 else 5)]
    found = labelled(small(events=seen), rule)
    if rule.kind == "event":
        assert found.labels["churned"].to_list() == ([inside] if after_s >= 0 else [])
    else:
        assert found.labels["churned"].to_list() == [not inside]


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(1, 365),
    st.integers(0, 60),
    st.dates(date(2019, 1, 1), date(2033, 1, 1)),
)
def test_a_window_that_is_still_open_has_no_label(snapshot: date, horizon: int, grace: int, as_of: date) -> None:
    rule = Label(horizon_days=horizon, grace_days=grace)
    ends = snapshot + timedelta(days=horizon + grace)
    assert _refused(lambda: require_mature(snapshot, rule, as_of=as_of)) == (as_of < ends)
    assert _refused(lambda: require_mature(snapshot, rule, as_of=ends - timedelta(days=1)))
    assert require_mature(snapshot, rule, as_of=ends) == ends


@given(st.sampled_from(["monthly", "weekly", "daily"]), st.dates(date(2024, 1, 1), date(2024, 7, 1)), st.integers(1, 90))
def test_no_snapshot_with_an_open_window_is_ever_due_for_labels(
    cadence: Literal["monthly", "weekly", "daily"], as_of: date, horizon: int
) -> None:
    company = Settings(
        source=SyntheticSettings(start=date(2024, 1, 1)), cadence=cadence, label=Label(horizon_days=horizon, grace_days=3)
    )
    every = [key.isoformat() for key in company.calendar.complete(date(2025, 1, 1))]
    due = labels_due(company.calendar, company.label, as_of, raw=every, features=every, have=[])
    assert all(matures_on(date.fromisoformat(key), company.label) <= as_of for key in due)


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except InputError:
        return True
    return False
