"""`churn validate` on types of events: their roles, what is constant without them, and a proposal that can be pasted."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from churn_assets.cli.validate import validate
from churn_assets.preflight.event_types import SHOWN_TYPES, proposal
from churn_assets.settings.company import Settings
from tests.automation.company import CONFIGURATION, write_company
from tests.features.company import FEATURES, features, small

OWN = {"session": "login", "feature_used": "click", "support_ticket": "case", "cancelled": "unsubscribe"}
SECRETS = ("anna.schmidt@example.org", "customer 4711023", "9f8b2c4e-1d3a-4b5c-8d7e")
EVERY_FEATURE = {**CONFIGURATION, "features": {"first_snapshot": dt.date(2024, 3, 1)}}


def run(folder: Path, configuration: str | dict[str, Any], *arguments: str) -> Result:
    text = configuration if isinstance(configuration, str) else yaml.safe_dump(configuration)
    (folder / "churn.yaml").write_text(text)
    return CliRunner().invoke(validate, ["--as-of", "2024-09-01", *arguments])


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A company whose events have words of its own, and some that nobody may see."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    write_company(tmp_path, customers=300, until=dt.date(2024, 9, 1))
    for number, file in enumerate(sorted((tmp_path / "data").glob("events-*.csv"))):
        rows = pl.read_csv(file, infer_schema=False)
        own = pl.col("event_type").replace(OWN)
        opened = pl.when((pl.int_range(pl.len()) % 3 == 0) & (own == "login")).then(pl.lit("app_open")).otherwise(own)
        secret = pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(SECRETS[number % 3])).otherwise(opened)
        rows.with_columns(event_type=secret).write_csv(file)
    return tmp_path


def types_of(result: Result) -> dict[str, str | None]:
    events = json.loads(result.stdout)["tables"][1]
    assert sum(found["rows"] for found in events["event_types"]) == events["rows"] - events["set_aside"]
    return {found["word"]: found["role"] for found in events["event_types"]}


def test_types_without_a_role_are_told_and_the_line_that_is_proposed_is_accepted(company: Path) -> None:
    before = run(company, EVERY_FEATURE)
    assert "'login'  -" in before.output
    assert "no event is of a type of events.roles.session ('session'): avg_sessions_7d, sessions_30d" in before.output
    assert not any(secret in before.output for secret in SECRETS)
    assert "what looks like an e-mail address" in before.output
    assert "what looks like an id" in before.output
    [line] = [line for line in before.output.splitlines() if line.startswith("events: {roles:")]
    after = run(company, f"{yaml.safe_dump(EVERY_FEATURE)}{line}\n", "--json")
    assert after.exit_code == 0, after.output
    roles = types_of(after)
    assert {word: roles[f"'{word}'"] for word in ("login", "app_open", "click", "case", "unsubscribe")} == {
        "login": "session",
        "app_open": "session",
        "click": "use",
        "case": "ticket",
        "unsubscribe": "cancelled",
    }
    report = json.loads(after.stdout)
    assert (report["fits"], report["tables"][1]["proposed_events"], report["tables"][1]["notes"]) == (True, None, [])
    assert all(0 < rate["churn_rate"] < 0.5 for rate in report["rates"])


def test_a_proposal_is_never_taken_by_itself(company: Path) -> None:
    roles = types_of(run(company, EVERY_FEATURE, "--json"))
    assert set(roles.values()) == {None}


@pytest.mark.parametrize(
    ("counts", "configuration", "expected"),
    [
        ({"session": 9, "cancelled": 1}, {}, None),
        ({"login": 9, "app_open": 5, "cancelled": 1}, {}, {"session": ["login", "app_open"]}),
        ({"session": 9, "PageView": 5, "visit": 2}, {}, {"session": ["session", "PageView", "visit"]}),
        ({"login": 9, "churned": 2, "cancelled": 1}, {}, {"session": ["login"], "cancelled": ["cancelled", "churned"]}),
        ({"login": 9, "churned": 2}, {"label": {"horizon_days": 60}}, {"session": ["login"], "cancelled": ["churned"]}),
        (
            {"unsubscribe": 9, "gone": 2},
            {"label": {"event": "gone"}, "at_risk": {"cancelled_event": "gone"}},
            {"cancelled": ["gone", "unsubscribe"]},
        ),
        ({"unsubscribe": 9}, {"at_risk": {"cancelled_event": None}}, {"cancelled": ["unsubscribe"]}),
        ({"unsubscribe": 9}, {"at_risk": {"cancelled_event": None}, "label": {"kind": "inactivity"}}, None),
        (
            {"login": 9, "complaint": 2, "app": 1},
            {"events": {"roles": {"use": ["app"], "cancelled": ["left"]}}},
            {"session": ["login"], "use": ["app"], "ticket": ["complaint"], "cancelled": ["left"]},
        ),
        ({"No case": 9, "yes": 3, "{case}": 3}, {}, {"ticket": ["No case", "{case}"]}),
        ({"login_failed": 9, "order_cancelled": 2, "session_end": 3, "cancel_undone": 1, "case closed": 1}, {}, None),
        (dict.fromkeys((*SECRETS, "login 123456", "x" * 60 + "login"), 3), {}, None),
    ],
)
def test_what_is_proposed_is_a_section_that_churn_yaml_takes(
    counts: dict[str, int],
    configuration: dict[str, Any],
    expected: dict[str, list[str]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHURN_CONFIG", str(tmp_path / "churn.yaml"))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(configuration))
    settings = Settings.load()
    line = proposal(counts, settings.events.roles, settings.label, settings.at_risk)
    assert (None if line is None else yaml.safe_load(line)["events"]["roles"]) == expected
    if line is None:
        return
    without = {name: section for name, section in configuration.items() if name != "events"}
    (tmp_path / "churn.yaml").write_text((yaml.safe_dump(without) if without else "") + line + "\n")
    again = Settings.load()
    assert proposal(counts, again.events.roles, again.label, again.at_risk) is None


def test_many_types_are_cut_short(company: Path) -> None:
    for file in (company / "data").glob("events-*.csv"):
        rows = pl.read_csv(file, infer_schema=False)
        rows.with_columns(event_type=pl.format("type {}", pl.int_range(pl.len()) % 1_500)).write_csv(file)
    result = run(company, {**EVERY_FEATURE, "label": {"kind": "inactivity"}}, "--json")
    events = json.loads(result.stdout)["tables"][1]
    assert len(events["event_types"]) == SHOWN_TYPES
    assert events["more_event_types"] > 400
    assert result.output.count("type 7") < 20


@pytest.mark.parametrize(
    "feature",
    [feature for feature in FEATURES if feature.table == "events" and feature.event_type is None],
    ids=lambda one: one.name,
)
def test_a_feature_is_constant_without_its_role_and_no_other_feature_is(feature: Any) -> None:
    kinds = {"session": "session", "use": "feature_used", "ticket": "support_ticket"}
    others = [kind for role, kind in kinds.items() if role != feature.role]
    rich = small(events=[("c", kind, age * 86_400 - 9, 0) for kind in (*others, "export") for age in (1, 2, 9, 40, 80)])
    poor = small(events=[("c", "export", 50 * 86_400, 0)])
    constant = features(rich, [feature])[feature.name].equals(features(poor, [feature])[feature.name])
    assert constant == (feature.role is not None)
