"""What a fitted family says it was configured by."""

from typing import Any

import pytest

from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.gate import Gate
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit
from churn_assets.settings.training import Training
from churn_assets.training.config_digest import config_digest

BY_DEFAULT = "e0e7fcc5b451885ce3bc4e2e38bfc5dea1848b8839402d426cde501234651438"
"""Written down as of c05ee18 for the default settings, and no features: a family that says it must not be refused for another
form of the digest. Another default, or a new field of a section that is read, may change it."""


def of(**sections: Any) -> str:
    return config_digest("lightgbm", (), Settings(company="test", **sections).fitting)


def test_an_older_installation_has_written_down_the_same_digest_for_the_same_settings() -> None:
    assert of() == BY_DEFAULT


@pytest.mark.parametrize(
    "sections",
    [
        {"training": Training(minimum_correlation=0.1)},
        {"training": Training(most_rows=10_000)},
        {"training": Training(search={"lightgbm": {"learning_rate": (0.01, 0.1)}})},
        {"profit": Profit(contact_cost=2)},
        {"label": Label(horizon_days=60)},
        {"at_risk": AtRisk(active_days=40)},
    ],
)
def test_another_setting_that_has_a_say_in_a_fit_has_another_digest(sections: dict[str, Any]) -> None:
    assert of(**sections) != of()


def test_a_setting_of_the_gate_or_of_another_family_leaves_the_digest() -> None:
    others = Training(families=("xgboost",), search={"xgboost": {"max_depth": (2, 3)}})
    assert of(gate=Gate(auc_floor=0.7), training=others) == of()
