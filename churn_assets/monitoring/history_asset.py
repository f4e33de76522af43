"""``drift_history``: the windows of drift in the lake, and the alerts about them."""

import traceback
from collections.abc import Sequence
from typing import Any

import dagster as dg

from churn_assets.lake.lake import Lake
from churn_assets.monitoring.contracts import history_contract
from churn_assets.monitoring.drift_alerts import settle_alerts
from churn_assets.monitoring.history import TABLE, rows_of, windows_of_periods
from churn_assets.monitoring.history_update import judge
from churn_assets.monitoring.judged_windows import Against
from churn_assets.monitoring.reference_rows import champion, importances_of, reference_or_why
from churn_assets.monitoring.report_page import headline
from churn_assets.monitoring.window_rows import WindowRows
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import lost, whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import Built, Events, contract_specs, keys_of, write_table
from churn_assets.periods import Calendar
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_store.clock import Clock
from churn_store.monitoring.baselines import baseline_of
from churn_store.monitoring.facts import DriftWindow


def history_asset(
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    timeline: Calendar | None,
    shown: frozenset[str],
    monitoring: Monitoring,
    evaluation: EvaluationSettings,
) -> dg.AssetsDefinition:
    """``drift_history``.

    Args:
        partitions: periods of a history.
        timeline: calendar of a history.
        shown: names of features that are compared but not judged.
        monitoring: section ``monitoring``, with the bounds of drift.
        evaluation: section ``evaluation``, with the segments.
    """

    @dg.asset(
        name=TABLE,
        description=(
            "How far each feature has moved away from the baseline, window by window: of the customers at risk at each snapshot, and of the requests "
            "that were served in each period; for all of them and by segment. The newest windows are judged again when another release "
            "serves. Opens and closes the alerts about drift."
        ),
        group_name="monitoring",
        pool=BACKGROUND,
        kinds={"deltalake"},
        owners=["team:data-science"],
        partitions_def=partitions,
        deps=["customer_features", "champion", *([] if partitions else ["customers"])],
        check_specs=contract_specs(TABLE, partitions),
        code_version=code_version("monitoring"),
    )
    @wrong_input_is_final
    def drift_history(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Events:
        [key] = keys_of(context)
        bundle = champion(serving)
        baseline = baseline_of(serving.engine, bundle.digest)
        reference, why_not = reference_or_why(serving.files, bundle, baseline)
        unread = {} if reference is not None else {"snapshot": f"drift can't be judged: {why_not}"}
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        rows = WindowRows(lake, version, serving.engine, bundle, timeline)
        against = Against(
            bundle.digest,
            baseline.baseline,
            bundle.manifest.signature,
            reference,
            shown,
            importances_of(bundle.manifest),
            monitoring,
            evaluation,
            [] if reference is None else rows.usual(reference),
        )
        periods = rows.periods(key)
        gone = lost(context.instance, lake, TABLE)
        there = set(lake.periods(TABLE)) - set(gone) if lake.has(TABLE) else set()
        stored = windows_of_periods(lake, [period for period in periods if period in there])
        judged = judge(rows, against, periods, stored, lost=gone)
        for failure in judged.failures:
            # Without the error's own words, which may hold a customer's value.
            where = "".join(traceback.format_tb(failure.__traceback__))
            context.log.error(f"a comparison failed ({type(failure).__name__}):\n{where}")
        settle_alerts(
            serving.engine, judged.newest, {**judged.failed, **unread}, release=bundle.digest, now_s=clock.now_s()
        )
        built = {
            period: Built(rows_of(windows), metadata=_said(windows, bundle.digest, baseline.baseline))
            for period, windows in judged.windows.items()
        }
        yield from write_table(
            context, lake, built.items(), contract=history_contract(), sources={"customer_features": version}
        )

    return drift_history


def _said(windows: Sequence[DriftWindow], release: str, baseline: str) -> dict[str, Any]:
    """Metadata of a period of the history."""
    verdicts = [headline(one) for one in windows if one.segment is None and one.of == "snapshot"]
    return {
        "verdict": next(iter(verdicts), "nothing was judged"),
        "release": release,
        "baseline": baseline,
        "windows": len(windows),
    }
