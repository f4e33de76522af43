"""Checks on both sides of the gate: those that its inputs must have passed, and its own rules, visible with their numbers.

The rules are checks of ``model_blessing``. They do not block: the verdict is the asset's value, and ``champion`` publishes nothing
without an accepted one.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Literal

import dagster as dg

from churn_assets.champion.gate.bases import basis_of_rule
from churn_assets.champion.gate.evidence import Checked
from churn_assets.champion.gate.verdict import RULES, Judgement
from churn_assets.orchestration.dagster_internals import (
    AssetCheckExecutionRecordStatus,
    AssetCheckPartitionInfo,
    PartitionKeyFilter,
)
from churn_assets.orchestration.run_history import materialized
from churn_assets.periods import text
from churn_assets.reporting.rounding import rounded
from churn_assets.settings.label import Label, matures_on
from churn_store.mapping.tables import Table
from churn_store.releases.manifest import Blessing, Manifest

DESCRIPTIONS = {
    "data_quality_green": "every blocking check of what the candidate was made of has passed, and the judging labels are mature",
    "judging_rows_are_later": "the judging rows are later than every label that the candidate or the champion was trained on, or held out from both",
    "golden_rows_repeat": "the exported model repeats the probabilities that the trained pipeline gave",
    "export_equals_pipeline": "the exported model equals the trained pipeline on every held-out row, also with values missing and words unseen",
    "baselines_beaten": "proven better than the base rate and the recency rule, and to keep half of what plain logistic regression gains on the base rate",
    "not_worse_than_untuned": "not worse in AUC and log loss than the untuned model of any of the company's families, but for the margins",
    "auc_above_floor": "the AUC on the judging rows is above the floor",
    "auc_plausible": "the AUC on the judging rows is not too good to be true",
    "calibrated": "slope and intercept of the calibration lie within their bounds, with their whole intervals",
    "profit_not_negative": "the candidate is not proven to lose money beside asking nobody",
    "more_profit_than_champion": "more profit than the champion on the same rows, by more than chance",
    "no_segment_worse": "no segment brings much less profit than with the champion",
    "latency": "a single prediction takes not much longer than the champion's",
}

CONSEQUENCE = "A rule of the gate: it does not stop this run, but `champion` refuses a candidate that fails it, and who served before stays"
"""What follows from a rule that failed, said with each."""

Status = Literal["passed", "failed", "not evaluated"]

STATUS: dict[AssetCheckExecutionRecordStatus, Status] = {
    AssetCheckExecutionRecordStatus.SUCCEEDED: "passed",
    AssetCheckExecutionRecordStatus.FAILED: "failed",
    AssetCheckExecutionRecordStatus.PLANNED: "not evaluated",
}

MAKING = (dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_MATERIALIZATION)

Made = dict[str, dict[dg.DagsterEventType, set[tuple[dg.AssetKey | None, str | None]]]]
"""By run and kind of event: what it was to make, and what it made, with the period."""

PAGE = 50
"""So many older evaluations are read at a time."""


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
    """How the blocking checks of some tables, as they are now, were evaluated last.

    A run that was to make a table and did not says nothing of the table that is there, whatever it evaluated or only planned; what
    was evaluated before it counts. A check that was planned by a run that did make it, and never evaluated, was not.

    Args:
        instance: instance that remembers the evaluations.
        specs: the check specifications.
        required: tables whose checks must all be there, with their periods (none for a table without).
        besides: tables of which only what was evaluated counts: an older version of the platform may have had fewer checks.
    """
    wanted = [spec for spec in specs if spec.asset_key.to_user_string() in {*required, *besides}]
    made: Made = {}
    found = {
        (info.check_key.asset_key.to_user_string(), info.check_key.name, info.partition_key): status
        for info in instance.event_log_storage.get_asset_check_partition_info([spec.key for spec in wanted])
        if (status := _status(instance, info, made)) is not None
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


def _status(instance: dg.DagsterInstance, info: AssetCheckPartitionInfo, made: Made) -> Status | None:
    """The newest status of a check that speaks of the table that is there; none if there is none."""
    table, period = info.check_key.asset_key, info.partition_key
    if _speaks(instance, info.latest_planned_run_id, table, period, made):
        return STATUS[info.latest_execution_status]
    cursor: int | None = None
    while records := instance.event_log_storage.get_asset_check_execution_history(
        info.check_key, limit=PAGE, cursor=cursor, partition_filter=PartitionKeyFilter(key=period)
    ):
        for record in records:
            if _speaks(instance, record.run_id, table, period, made):
                return STATUS[record.status]
        cursor = records[-1].id
    return None


def _speaks(instance: dg.DagsterInstance, run_id: str, table: dg.AssetKey, period: str | None, made: Made) -> bool:
    """Whether what a run says of a table is of one that was written: it wrote this one, or was not there to write it."""
    if run_id and run_id not in made:
        records = instance.get_records_for_run(run_id, of_type=set(MAKING)).records
        made[run_id] = {
            kind: {
                (event.asset_key, event.partition if kind is dg.DagsterEventType.ASSET_MATERIALIZATION else None)
                for record in records
                if (event := record.event_log_entry.dagster_event) is not None and event.event_type is kind
            }
            for kind in MAKING
        }
    if not run_id or (table, None) not in made[run_id][dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED]:
        return True
    return (table, period) in made[run_id][dg.DagsterEventType.ASSET_MATERIALIZATION]


def rule_specs() -> list[dg.AssetCheckSpec]:
    """One check for each rule of the gate."""
    return [
        dg.AssetCheckSpec(name, asset="model_blessing", description=f"{DESCRIPTIONS[name]}. {CONSEQUENCE}")
        for name in RULES
    ]


def rule_results(judgement: Judgement) -> Iterator[dg.AssetCheckResult]:
    """What each rule found. No decision, and a tie with the champion, is no fault of the candidate, so it only warns; as does a warning."""
    for name, found in judgement.results.items():
        mild = found.undecided or found.tie or found.warning
        yield dg.AssetCheckResult(
            check_name=name,
            passed=found.passed and not found.warning,
            severity=dg.AssetCheckSeverity.WARN if mild else dg.AssetCheckSeverity.ERROR,
            description=f"found {found.found}; allowed {found.allowed}",
            metadata={
                "found": found.found,
                "allowed": found.allowed,
                "evidence": basis_of_rule(name).value,
                **{key: rounded(float(value)) for key, value in found.numbers.items()},
            },
        )


def kept_results(blessing: Blessing, why: str) -> Iterator[dg.AssetCheckResult]:
    """What each rule found when the model that serves was judged; a rule that was not there then has judged nothing."""
    judged = {rule.name: rule for rule in blessing.rules}
    for name in RULES:
        rule = judged.get(name)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=rule is not None and rule.passed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"evidence": basis_of_rule(name).value},
            description=f"{why}: {'this rule was not there when it was judged' if rule is None else rule.sentence}",
        )


def checks_of(
    instance: dg.DagsterInstance,
    specs: Sequence[dg.AssetCheckSpec],
    manifest: Manifest,
    *,
    tables: Sequence[Table],
    label: Label,
    has_time: bool,
) -> tuple[Checked, ...]:
    """How the checks of what a candidate was made of were evaluated last.

    All of those of the training set and of the snapshots that it names; of the raw tables those of the periods that their labels saw.
    """
    if not has_time:
        alone: list[str | None] = [None]
        required = dict.fromkeys(("training_set", "customer_features", "churn_labels"), alone)
        return evaluated(instance, specs, required=required, besides=dict.fromkeys(tables, alone))
    named = sorted({*manifest.trained_on, *manifest.judged_on})
    seen_until = text(matures_on(date.fromisoformat(named[-1]), label))
    return evaluated(
        instance,
        specs,
        required={"training_set": [None], "customer_features": named, "churn_labels": named},
        besides={
            table: [period for period in sorted(materialized(instance, table)) if period < seen_until] for table in tables
        },
    )
