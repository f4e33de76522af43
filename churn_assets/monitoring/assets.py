"""``drift_history``, ``drift_report`` and ``quality_report``: our rule decides, Evidently draws."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.drift_history import movement
from churn_assets.monitoring.history import TABLE, windows_of_periods
from churn_assets.monitoring.history_asset import history_asset
from churn_assets.monitoring.history_update import REJUDGED
from churn_assets.monitoring.pages import SnapshotStores, Subject, drift_page, publish_page
from churn_assets.monitoring.quality_asset import quality_asset
from churn_assets.monitoring.reference_rows import champion
from churn_assets.monitoring.report_page import features_table, headline
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import keys_of
from churn_assets.periods import Calendar
from churn_assets.reporting.document import Document
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.monitoring.facts import DriftWindow

SHOWN_DECIMALS = 4


def monitoring_assets(
    features: tuple[Feature, ...],
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    company: str,
    timeline: Calendar | None,
    monitoring: Monitoring,
    evaluation: EvaluationSettings,
    seed: int,
) -> Sequence[dg.AssetsDefinition]:
    """``drift_history``, ``drift_report`` and ``quality_report``.

    Args:
        features: all features of the company.
        partitions: periods of a history.
        company: name of the company, for titles.
        timeline: calendar of a history.
        monitoring: section ``monitoring``, with the bounds of drift.
        evaluation: section ``evaluation``, with the segments.
        seed: seed of the sample of rows to draw.
    """
    shown = frozenset(feature.name for feature in features if feature.drifts_anyway)
    return [
        history_asset(partitions, timeline=timeline, shown=shown, monitoring=monitoring, evaluation=evaluation),
        _drift_report(partitions, company=company, monitoring=monitoring, seed=seed),
        quality_asset(partitions, company=company, monitoring=monitoring, seed=seed),
    ]


def _drift_report(
    partitions: dg.PartitionsDefinition[Any] | None, *, company: str, monitoring: Monitoring, seed: int
) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "Whether the snapshot's features have moved away from those that the serving release was trained on, and whether "
            "that matters: the page about the newest windows of drift_history. An alert asks for a retraining; it never promotes."
        ),
        group_name="monitoring",
        pool=BACKGROUND,
        kinds={"evidently"},
        owners=["team:data-science"],
        partitions_def=partitions,
        deps=[TABLE, "customer_features", "champion", *([] if partitions else ["customers"])],
        check_specs=[
            dg.AssetCheckSpec(
                "no_drift",
                asset="drift_report",
                description="no feature has drifted materially in enough of the newest windows",
                partitions_def=partitions,
            )
        ],
        code_version=code_version("monitoring"),
    )
    @wrong_input_is_final
    def drift_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        [key] = keys_of(context)
        bundle = champion(serving)
        version = whole_versions(context.instance, lake, [TABLE, "customer_features"])["customer_features"]
        windows = windows_of_periods(lake, [period for period in lake.periods(TABLE) if period <= key][-REJUDGED:])
        newest = next((one for one in windows if (one.window, one.of, one.segment) == (key, "snapshot", None)), None)
        if newest is None or newest.release != bundle.digest:
            raise InputError(
                f"drift_history has no window {key} of the release that serves; materialize that period of it first"
            )
        stores = SnapshotStores(lake, serving, clock)
        subject = Subject.of(stores, bundle, key, version=version, company=company, monitoring=monitoring, seed=seed)
        page = drift_page(subject, windows)
        drawing = page.drawing
        report = publish_page(page, serving, now_s=clock.now_s(), key=key, release=bundle.digest)
        everyone = [one for one in windows if one.segment is None and one.of == "snapshot"]
        together = everyone[-subject.together :]
        alert, judged = newest.state == "attention", newest.state != "unknown"
        yield dg.MaterializeResult(
            metadata={
                "verdict": dg.MetadataValue.md(f"**{headline(newest)}**"),
                "report": how_to_open(report),
                "features": dg.MetadataValue.md(_table(newest)),
                "alert": alert,
                "judged": judged,
                "drifted": ", ".join(agreeing(together, subject.needed)) or "no feature",
                "since": newest.since or "not moved",
                "unusual": "no earlier window"
                if newest.unusual is None
                else f"{newest.unusual:.0%} of the earlier windows moved less",
                "snapshot": key,
                "windows": ", ".join(one.window for one in together),
                "not_judged": ", ".join(one.window for one in together if not one.features) or "none",
                "not_drawn": ", ".join((*drawing.empty, *drawing.omitted)) or "none",
                "release": bundle.digest,
                "baseline": subject.baseline.baseline,
                "report_sha256": report.digest,
                "as_of": subject.as_of,
                "delta_version": version,
                "dagster/row_count": newest.rows,
            },
        )
        yield dg.AssetCheckResult(
            check_name="no_drift",
            passed=newest.state == "fine",
            severity=dg.AssetCheckSeverity.WARN,
            description=newest.verdict,
            metadata={
                "judged": judged,
                "largest_psi": round(0.0 if newest.largest is None else newest.largest.psi, SHOWN_DECIMALS),
                "movement": round(movement(newest.features) or 0.0, SHOWN_DECIMALS),
            },
        )

    return drift_report


def agreeing(together: Sequence[DriftWindow], needed: int) -> list[str]:
    """The features that drifted in enough of some windows."""
    moved = [feature for one in together for feature in one.drifted]
    return [feature for feature in dict.fromkeys(moved) if moved.count(feature) >= needed]


def _table(newest: DriftWindow) -> str:
    if not newest.features:
        return newest.verdict
    return Document("Features", (features_table(newest.features),)).markdown()
