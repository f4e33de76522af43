"""Which types of events are proposed for features of their own, and what `churn validate` says of each."""

import polars as pl
import pytest
import yaml

from churn_assets.preflight.event_types import look_at_event_types, proposal
from churn_assets.preflight.report import TableFindings
from churn_assets.preflight.type_choice import PROPOSED, proposed_types, type_choices
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles, EventSettings
from churn_assets.settings.label import Label
from churn_store.clock import DAY_S
from tests.features.company import FEATURES

END_S = 1_750_000_000


def events(counts: dict[str, list[int]], *, age_s: int = DAY_S) -> pl.DataFrame:
    """So many events of each type for customer 0, 1, 2, ..., all of one time; and one of everybody on the last day."""
    rows = [
        (f"c{customer}", word, END_S - age_s)
        for word, times in counts.items()
        for customer, count in enumerate(times)
        for _ in range(count)
    ]
    return pl.DataFrame(rows, schema=["customer_id", "event_type", "occurred_s"], orient="row")


def against(rows: pl.DataFrame, *, sessions: tuple[str, ...] = ("login",), gone: tuple[str, ...] = ()) -> dict[str, str]:
    return {choice.word: choice.against for choice in type_choices(rows, sessions=sessions, gone=gone, protected=())}


HALF = [0, 3, 0, 1] * 25
"""What half of a hundred customers have, not all of them equally often."""


def test_a_type_that_tells_customers_apart_is_proposed_with_how_many_have_it_and_how_often() -> None:
    rows = events({"login": [1] * 100, "export": HALF})
    [export] = [choice for choice in type_choices(rows, sessions=["login"], gone=[], protected=[]) if not choice.against]
    assert (export.word, export.customers, export.each) == ("export", 0.5, 2.0)


@pytest.mark.parametrize(
    ("word", "times", "said"),
    [
        ("welcome", [1] * 100, "100.0% of the customers have it equally often"),
        ("rare", [1] + [0] * 99, ""),
        ("once_ever", [0] * 100 + [1], "99.0% of the customers"),
        ("login", HALF, "the features of sessions count it already"),
        ("left", HALF, "customers leave by it"),
        ("登录", HALF, "of which no letter a to z and no digit is left"),
        ("mail ann@example.org", HALF, "it is rather an address or an id"),
        ("age_check", HALF, "what the law protects"),
        ("PageView", HALF, "names of those of 'page view'"),
    ],
)
def test_what_speaks_against_a_type_is_said(word: str, times: list[int], said: str) -> None:
    rows = events({"open": [1] * 100, "page view": [2, 3] * 50, word: times})
    found = against(rows, gone=("left",))[word]
    assert said in found
    assert bool(found) == bool(said)


def test_one_of_several_sessions_is_proposed_as_their_role_counts_them_together() -> None:
    rows = events({"login": HALF, "app_open": [*HALF[1:], 0]})
    assert against(rows, sessions=("login", "app_open")) == {"login": "", "app_open": ""}


def test_only_the_last_days_of_the_data_count() -> None:
    rows = pl.concat([events({"old": HALF}, age_s=91 * DAY_S), events({"login": [1] * 100})])
    assert set(against(rows)) == {"login"}


def test_at_most_so_many_are_proposed_those_of_most_customers_first() -> None:
    rows = events({"login": [1] * 100, **{f"t{i}": [2] * (20 + i) + [0] * (80 - i) for i in range(PROPOSED + 5)}})
    assert proposed_types(type_choices(rows, sessions=["login"], gone=[], protected=[])) == [
        f"t{i}" for i in range(14, 4, -1)
    ]


def test_the_line_to_paste_has_the_types_and_the_roles_that_churn_yaml_has() -> None:
    own = EventRoles(session=("login",))
    line = proposal({"login": 9, "export": 5}, own, Label(), AtRisk(), types=["export"])
    assert line is not None
    section = yaml.safe_load(line)["events"]
    assert section == {"roles": {"session": ["login"]}, "types": ["export"]}
    assert EventSettings.model_validate(section).roles == own
    assert proposal({"session": 9}, EventRoles(), Label(), AtRisk(), types=["export"]) == "events: {types: [export]}"
    assert proposal({"session": 9}, EventRoles(), Label(), AtRisk()) is None


def looked_at(settings: EventSettings) -> TableFindings:
    seen = TableFindings("events")
    rows = events({"session": [1] * 100, "export": HALF})
    look_at_event_types(seen, rows, settings=settings, label=Label(), at_risk=AtRisk(), features=FEATURES, protected=())
    return seen


def test_the_findings_tell_of_each_type_and_propose_while_nothing_is_chosen() -> None:
    seen = looked_at(EventSettings())
    assert [(own.word, own.against, own.chosen) for own in seen.own_features] == [
        ("'session'", "the features of sessions count it already", False),
        ("'export'", "", False),
    ]
    assert seen.proposed_events == "events: {types: [export]}"


def test_what_is_chosen_is_left_as_it_is_and_a_chosen_type_that_no_event_has_is_noted() -> None:
    seen = looked_at(EventSettings(types=("export", "import")))
    assert [own.chosen for own in seen.own_features] == [False, True]
    assert seen.proposed_events is None
    assert looked_at(EventSettings(types=("export",))).notes == seen.notes
