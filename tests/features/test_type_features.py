"""Features of single types of events: which settings make them, what they count, and that nobody else has any."""

import json

import pytest

from churn_assets.features.catalogue_types import type_features
from churn_assets.features.feature_sets import features_of
from churn_assets.settings.event_names import MOST_TYPES, safe_word
from churn_assets.settings.events import EventSettings
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from tests.features.company import ATTRIBUTES, GIVEN, TABLES, features, small
from tests.features.conftest import Read


@pytest.mark.parametrize(
    ("word", "safe"),
    [
        ("login", "login"),
        ("PageView", "page_view"),
        ("HTTPError", "http_error"),
        ("Straße gewählt", "strasse_gewahlt"),
        ("  video.play/2 ", "video_play_2"),
        ("登录", ""),
        ("--", ""),
    ],
)
def test_a_word_is_made_safe_for_the_name_of_a_feature(word: str, safe: str) -> None:
    assert safe_word(word) == safe


@pytest.mark.parametrize(
    ("types", "said"),
    [
        (["page view", "PageView"], "'page view' and 'PageView', which would both be 'page_view'"),
        (["登录"], "'登录', of which no letter a to z and no digit is left"),
        (["w" * 41], "expected at most 40 characters"),
        ([f"type{i}" for i in range(MOST_TYPES + 1)], "names 21 types of events; expected at most 20"),
        (["cancelled"], "events.types names 'cancelled', which ends customers: nobody at risk has one"),
    ],
)
def test_types_that_can_have_no_features_are_refused_in_one_line(read: Read, types: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        read({"events": {"types": types}})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_types_of_a_company_without_events_are_refused(read: Read) -> None:
    payments = {"path": "p.csv", "columns": {"customer_id": "c", "amount": "a", "occurred": "o"}}
    source = {"kind": "files", "start": "2024-01-01", "payments": payments}
    content = {"source": source, "label": {"kind": "inactivity"}, "events": {"types": ["login"]}}
    with pytest.raises(InputError, match=r"events\.types names 'login', but the source has no `events`"):
        read(content)


def test_types_that_end_customers_are_counted_where_customers_come_back(read: Read) -> None:
    assert read({"events": {"types": ["cancelled"]}, "at_risk": {"cancelled_event": None}}).events.types == ("cancelled",)


def test_a_company_without_types_has_the_settings_and_the_features_that_it_had() -> None:
    """Runs are skipped, and fits are known again, by digests of these."""
    assert json.loads(EventSettings().model_dump_json()) == {
        "roles": {"session": "session", "use": "feature_used", "ticket": "support_ticket", "cancelled": None}
    }
    before = features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN)
    with_types = features_of(TABLES, ATTRIBUTES, has_time=True, given=GIVEN, types=["export"])
    assert [feature for feature in before if feature.event_type is not None] == []
    assert [feature.column for feature in with_types if feature.event_type is None] == [f.column for f in before]
    assert EventSettings(types=["export"]).model_dump(mode="json")["types"] == "export"


def test_each_type_has_counts_days_since_the_last_and_a_trend() -> None:
    company = small(
        events=[
            *(("c", "PageView", days * DAY_S, 0) for days in (3, 5, 20, 80)),
            ("c", "PageView", 90 * DAY_S + 1, 0),
            ("c", "session", DAY_S, 0),
        ]
    )
    [row] = features(company, type_features(["PageView", "export"])).drop("customer_id", "snapshot_s").rows(named=True)
    assert row == {
        "type_page_view_7d": 2.0,
        "type_page_view_30d": 3.0,
        "type_page_view_90d": 4.0,
        "days_since_type_page_view": 3.0,
        "trend_of_type_page_view": 0.75,
        "type_export_7d": 0.0,
        "type_export_30d": 0.0,
        "type_export_90d": 0.0,
        "days_since_type_export": None,
        "trend_of_type_export": 0.0,
    }


def test_names_of_types_that_continue_each_other_are_different() -> None:
    made = type_features(["a", "a_7d", "a_in_7d", "type_a", "days_since_type_a", "s"])
    assert len({feature.name for feature in made}) == len(made)
    aggregates = [name for feature in made for name in feature.aggregates]
    assert len(set(aggregates)) == 6 * 4


def test_a_type_whose_name_is_protected_is_refused_with_the_place_where_it_stands() -> None:
    with pytest.raises(InputError, match=r"protected word gender.*; take it out of events\.types"):
        features_of(TABLES, ATTRIBUTES, has_time=True, types=["gender_changed"])


def test_an_attribute_with_the_name_of_an_aggregate_of_a_type_is_refused() -> None:
    seats = ATTRIBUTES[1].__class__(name="type_export_in_7d", kind="number")
    assert features_of(TABLES, [seats], has_time=True)
    with pytest.raises(InputError, match="type_export_in_7d, a name that the catalogue of features uses"):
        features_of(TABLES, [seats], has_time=True, types=["export"])
