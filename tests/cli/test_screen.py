"""The screen of the demo: every line says what its figures rest on, and what is not proven is named."""

import re

import msgspec
import pytest

from churn_assets.cli.screen import Screen, describe_release
from churn_assets.reporting.basis import Basis
from churn_store.releases.manifest import Blessing, Evaluation, Interval, Manifest, Rule
from tests.release_factory import train

RULES = (
    Rule("baselines_beaten", passed=True, found="log loss 0.02 less than the base rate's", allowed="above 0"),
    Rule("calibrated", passed=False, found="slope 0.9 (0.6 to 1.3)", allowed="0.7 to 1.4", undecided=True),
)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    candidate = train().manifest
    assert isinstance(candidate.evaluation, Evaluation)
    evaluation = msgspec.structs.replace(
        candidate.evaluation,
        intervals={"profit": Interval(2.5, 2.0, 3.0), "log_loss": Interval(0.2, 0.19, 0.21)},
        baselines={
            "logistic_regression": {"profit": 2.542, "log_loss": 0.2},
            "base_rate": {"profit": 0.0, "log_loss": 0.3},
        },
    )
    blessing = Blessing(candidate.candidate, "undecided", RULES, "run 7", 1_764_547_300)
    return msgspec.structs.replace(
        candidate, metrics={"auc": 0.78, "auc_ceiling": 0.8}, evaluation=evaluation, blessing=blessing
    )


def words(manifest: Manifest) -> tuple[Screen, dict[str, tuple[str, str]]]:
    """The screen, and by the name of a line its word and its value."""
    screen = Screen()
    describe_release(screen, manifest)
    return screen, {line[2:24].strip(): (line[24:35].strip(), line[35:]) for line in screen.lines}


def test_every_line_has_its_word_and_every_word_is_explained(manifest: Manifest) -> None:
    screen, lines = words(manifest)
    assert {name: word for name, (word, _) in lines.items()} == {
        "champion": "measured",
        "best from the tables": "simulated",
        "profit per customer": "priced",
        "log loss": "measured",
        "less profit than": "priced",
        "prices": "assumed",
        "gate": "recorded",
        "beside simple rules": "measured",
    }
    assert {line.split()[0] for line in screen.legend()} == {word for word, _ in lines.values()}
    assert all(basis.meaning for basis in Basis)


def test_an_undecided_first_release_names_the_rules_and_a_simple_rule_with_more_profit_is_named(manifest: Manifest) -> None:
    screen, lines = words(manifest)
    assert re.match(
        r"undecided by calibrated: too little to decide by; it may serve .*; 1 of 2 rules passed", lines["gate"][1]
    )
    assert lines["less profit than"][1] == "logistic regression by 0.042"
    assert screen.untrue == []


def test_an_auc_above_the_best_possible_one_is_untrue(manifest: Manifest) -> None:
    screen, _ = words(msgspec.structs.replace(manifest, metrics={"auc": 0.83, "auc_ceiling": 0.8}))
    assert any("it leaks" in complaint for complaint in screen.untrue)
