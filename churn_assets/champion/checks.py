"""Checks on both sides of the gate: those that its inputs must have passed, and its own rules, visible with their numbers.

The rules are checks of ``model_blessing``. They do not block: the verdict is the asset's value, and ``champion`` publishes nothing
without an accepted one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from churn_assets.champion.gate.case import Checked
from churn_assets.champion.gate.verdict import RULES, Judgement

DESCRIPTIONS = {
    "data_quality_green": "every blocking check of what the candidate was made of has passed, and the judging labels are mature",
    "judging_rows_are_later": "the judging rows are later than every label that the candidate or the champion was trained on, or held out from both",
    "golden_rows_repeat": "the exported model repeats the probabilities that the trained pipeline gave",
    "export_equals_pipeline": "the exported model equals the trained pipeline on every held-out row, also with values missing and words unseen",
    "baselines_beaten": "better than the base rate and the recency rule, and not worse than plain logistic regression",
    "auc_above_floor": "the AUC on the judging rows is above the floor",
    "auc_plausible": "the AUC on the judging rows is not too good to be true",
    "calibrated": "slope and intercept of the calibration lie within their bounds",
    "more_profit_than_champion": "more profit than the champion on the same rows, by more than chance",
    "no_segment_worse": "no segment brings much less profit than with the champion",
    "latency": "a single prediction takes not much longer than the champion's",
}

STATUS: dict[AssetCheckExecutionRecordStatus, Literal["passed", "failed", "not evaluated"]] = {
    AssetCheckExecutionRecordStatus.SUCCEEDED: "passed",
    AssetCheckExecutionRecordStatus.FAILED: "failed",
    AssetCheckExecutionRecordStatus.PLANNED: "not evaluated",
}


def blocking_specs(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetCheckSpec]:
    """The blocking checks of some assets."""
    return [spec for asset in assets for spec in asset.check_specs if spec.blocking]


def evaluated(
    instance: dg.DagsterInstance,
    specs: Sequence[dg.AssetCheckSpec],
    *,
    required: Mapping[str, Collection[str | None]],
    besides: Mapping[str, Collection[str | None]],
) -> tuple[Checked, ...]:
    """How the blocking checks of some tables were evaluated last.

    Args:
        instance: that remembers the evaluations.
        specs: the checks.
        required: tables whose checks must all be there, with their periods (none for a table without).
        besides: tables of which only what was evaluated counts: an older version of the platform may have had fewer checks.
    """
    wanted = [spec for spec in specs if spec.asset_key.to_user_string() in {*required, *besides}]
    found = {
        (info.check_key.asset_key.to_user_string(), info.check_key.name, info.partition_key): STATUS[
            info.latest_execution_status
        ]
        for info in instance.event_log_storage.get_asset_check_partition_info([spec.key for spec in wanted])
    }
    checked = []
    for spec in wanted:
        table = spec.asset_key.to_user_string()
        for period in required.get(table, ()):
            status = found.get((table, spec.name, period), "not evaluated")
            checked.append(Checked(table, spec.name, period, status))
        for period in besides.get(table, ()):
            if (table, spec.name, period) in found:
                checked.append(Checked(table, spec.name, period, found[table, spec.name, period]))
    return tuple(checked)


def rule_specs() -> list[dg.AssetCheckSpec]:
    """One check for each rule of the gate."""
    return [dg.AssetCheckSpec(name, asset="model_blessing", description=DESCRIPTIONS[name]) for name in RULES]


def rule_results(judgement: Judgement) -> Iterator[dg.AssetCheckResult]:
    """What each rule found. No decision, and a tie with the champion, is no fault of the candidate, so it only warns."""
    for name, found in judgement.found.items():
        mild = found.undecided or found.tie
        yield dg.AssetCheckResult(
            check_name=name,
            passed=found.passed,
            severity=dg.AssetCheckSeverity.WARN if mild else dg.AssetCheckSeverity.ERROR,
            description=f"found {found.found}; allowed {found.allowed}",
            metadata={
                "found": found.found,
                "allowed": found.allowed,
                **{key: float(value) for key, value in found.numbers.items()},
            },
        )
