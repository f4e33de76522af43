"""The gate's rules as asset checks of ``model_blessing``: visible, with their numbers, and never what decides.

They do not block: the verdict is the asset's value, and ``champion`` publishes nothing without an accepted one.
"""

from collections.abc import Iterator

import dagster as dg

from churn_assets.champion.gate import RULES
from churn_store.manifest import Blessing

DESCRIPTIONS = {
    "golden_rows_repeat": "the exported model repeats the probabilities that the trained pipeline gave",
    "export_equals_pipeline": "the exported model equals the trained pipeline on every judging row",
    "judging_rows_are_later": "the judging rows are later than every label that the candidate or the champion was trained on, or held out from both",
    "auc_above_floor": "the AUC on later snapshots is above the floor",
    "auc_plausible": "the AUC on later snapshots is not too good to be true",
    "not_worse_than_champion": "the AUC is not below the champion's on the same rows",
}


def rule_specs() -> list[dg.AssetCheckSpec]:
    """One check for each rule of the gate."""
    return [dg.AssetCheckSpec(name, asset="model_blessing", description=DESCRIPTIONS[name]) for name in RULES]


def rule_results(blessing: Blessing) -> Iterator[dg.AssetCheckResult]:
    """What each rule found. A tie with the champion is no failure of the data or the model, so it only warns."""
    for rule in blessing.rules:
        yield dg.AssetCheckResult(
            check_name=rule.name,
            passed=rule.passed,
            severity=(
                dg.AssetCheckSeverity.WARN if rule.name == "not_worse_than_champion" else dg.AssetCheckSeverity.ERROR
            ),
            description=f"found {rule.found}; allowed {rule.allowed}",
            metadata={"found": rule.found, "allowed": rule.allowed},
        )
