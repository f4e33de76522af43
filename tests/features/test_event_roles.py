"""Roles of events: what churn.yaml may say of them, who is gone by several words, and which role moves which feature."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from tests.features.company import FEATURES, features, small
from tests.features.conftest import Read

TWO = {"roles": {"cancelled": ["gone", "churned"]}}


def test_a_company_that_says_nothing_has_the_words_of_today_and_the_same_sections(read: Read) -> None:
    settings = read({})
    assert settings.events.roles.counted == {
        "session": ("session",),
        "use": ("feature_used",),
        "ticket": ("support_ticket",),
    }
    assert (settings.label.event, settings.at_risk.endings) == (("cancelled",), ("cancelled",))
    # Digests of fits and of jobs are taken of these: a single word is written as it always was.
    assert settings.label.model_dump(mode="json")["event"] == "cancelled"
    assert settings.at_risk.model_dump(mode="json")["cancelled_event"] == "cancelled"


@pytest.mark.parametrize(
    ("content", "label", "endings"),
    [
        ({"events": TWO}, ("gone", "churned"), ("gone", "churned")),
        ({"events": TWO, "label": {"event": "gone", "horizon_days": 60}}, ("gone", "churned"), ("gone", "churned")),
        ({"events": TWO, "at_risk": {"cancelled_event": None}}, ("gone", "churned"), ()),
        ({"events": TWO, "label": {"kind": "inactivity"}}, ("cancelled",), ("gone", "churned")),
        ({"events": {"roles": {"cancelled": []}}, "label": {"kind": "inactivity"}}, ("cancelled",), ()),
        ({"label": {"event": "gone"}, "at_risk": {"cancelled_event": "gone"}}, ("gone",), ("gone",)),
    ],
)
def test_the_words_of_cancelled_are_churn_and_end_customers(
    read: Read, content: dict[str, Any], label: tuple[str, ...], endings: tuple[str, ...]
) -> None:
    settings = read(content)
    assert (settings.label.event, settings.at_risk.endings) == (label, endings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"events": TWO, "label": {"event": "left"}}, "label.event names 'left', which events.roles.cancelled does not"),
        (
            {"events": TWO, "at_risk": {"cancelled_event": "left"}, "label": {"kind": "inactivity"}},
            "at_risk.cancelled_event names 'left', which events.roles.cancelled does not (it has 'gone', 'churned')",
        ),
        ({"label": {"event": "left"}}, "label.event is 'left', but at_risk.cancelled_event is 'cancelled'"),
        ({"events": {"roles": {"cancelled": []}}}, "events.roles.cancelled, which is empty; name the types of events"),
        (
            {"events": {"roles": {"sessions": ["login"]}}},
            "sessions is no role; expected some of session, use, ticket, cancelled",
        ),
        ({"events": {"roles": {"session": ["login"], "ticket": ["login"]}}}, "'login' is in session and in ticket"),
        ({"events": {"roles": {"session": ["feature_used"]}}}, "'feature_used' is in session and in use; expected"),
        (
            {"events": {"roles": {"session": {"login": 1}}}},
            "events.roles.session: expected types of events as texts",
        ),
        ({"events": {"roles": {"session": ["login "]}}}, "one that is empty or has blanks around it"),
    ],
)
def test_roles_that_contradict_each_other_are_refused_in_one_line(read: Read, content: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        read(content)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_section_in_the_documents_is_taken(read: Read) -> None:
    text = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text(encoding="utf-8")
    [section] = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if block.startswith("events:")]
    settings = read(yaml.safe_load(section))
    assert settings.events.roles.counted["session"] == ("login", "app_open")
    assert settings.label.event == settings.at_risk.endings == ("closed", "unsubscribed")


def test_types_that_yaml_takes_for_numbers_or_truth_are_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    (tmp_path / "churn.yaml").write_text("events: {roles: {session: [17, Yes], use: 4, cancelled: [No, 9]}}\n")
    settings = Settings.load()
    assert settings.events.roles.counted == {"session": ("17", "Yes"), "use": ("4",), "ticket": ("support_ticket",)}
    assert settings.label.event == ("No", "9")


def test_roles_also_come_from_the_environment(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_EVENTS__ROLES__SESSION", "login")
    monkeypatch.setenv("CHURN_EVENTS__ROLES__USE", "export")
    assert read({}).events.roles.counted["session"] == ("login",)


def test_nobody_who_had_left_by_one_of_several_words_is_at_risk() -> None:
    both = ("gone", "churned")
    company = small(
        customers=[(who, 300 * DAY_S, 0, 300 * DAY_S, "free", 1.0) for who in "abcd"],
        events=[
            *((who, "session", DAY_S, 0) for who in "abcd"),
            ("a", "gone", 200 * DAY_S, 0),
            ("b", "churned", 2 * DAY_S, 0),
            ("c", "cancelled", 2 * DAY_S, 0),
        ],
    )
    assert features(company, (), rule=AtRisk(cancelled_event=both))["customer_id"].to_list() == ["c", "d"]


ROLES_OF_WORDS = {"login": "session", "app_open": "session", "click": "use", "case": "ticket"}
OWN = EventRoles(session=("login", "app_open"), use=("click",), ticket=("case",))
DEFAULT_WORD = {"session": "session", "use": "feature_used", "ticket": "support_ticket"}


@pytest.mark.parametrize("word", ROLES_OF_WORDS)
def test_a_word_of_a_role_counts_as_the_default_word_does(word: str) -> None:
    """By name only distinct types could differ, and there is one of each."""
    ages = [DAY_S - 9, DAY_S + 9, 3 * DAY_S, 20 * DAY_S, 50 * DAY_S]
    own = small(events=[("c", word, age, 0) for age in ages])
    default = small(events=[("c", DEFAULT_WORD[ROLES_OF_WORDS[word]], age, 0) for age in ages])
    assert features(own, roles=OWN).equals(features(default))
    without = features(own)
    assert not without.equals(features(default))
    assert without["events_90d"].to_list() == [5.0]


def test_an_empty_role_counts_nothing_and_every_feature_is_still_there() -> None:
    company = small(events=[("c", "session", DAY_S, 0), ("c", "support_ticket", DAY_S, 0)])
    row = features(company, roles=EventRoles(session=())).row(0, named=True)
    assert (row["sessions_30d"], row["days_since_last_login"], row["tickets_30d"]) == (0.0, None, 1.0)
    assert set(row) == {"customer_id", "snapshot_s", *(feature.name for feature in FEATURES)}
