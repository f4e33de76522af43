"""``drift_history``, ``drift_report`` and ``quality_report``: our rule decides, Evidently draws."""

import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.contracts import history_contract
from churn_assets.monitoring.drift_alerts import settle_alerts
from churn_assets.monitoring.evidently_report import Drawing, Kind, draw
from churn_assets.monitoring.findings import findings, in_words
from churn_assets.monitoring.history import TABLE, rows_of, windows_of_periods
from churn_assets.monitoring.history_update import KINDS, REJUDGED, judge
from churn_assets.monitoring.judged_windows import SCORED, Against, movement
from churn_assets.monitoring.quality_page import QualityAbout, quality_document
from churn_assets.monitoring.reference_rows import importances_of, reference_rows
from churn_assets.monitoring.report_page import About, document, features_table, headline
from churn_assets.monitoring.window_rows import WindowRows, scored
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import lost, whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import Built, Events, contract_specs, keys_of, write_table
from churn_assets.periods import ALL, Calendar
from churn_assets.reporting.document import Document
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_store.alerts.log import open_alerts
from churn_store.clock import Clock
from churn_store.errors import InputError, ReleaseError
from churn_store.model.signature import Column
from churn_store.monitoring.baselines import Baseline, baseline_of
from churn_store.monitoring.facts import DriftWindow, FeatureMove
from churn_store.releases.bundles import Bundle
from churn_store.reports import Report, address_of, publish
from churn_store.storage.digest_store import digest_of

SHOWN_DECIMALS = 4

ANY_PSI = 1e9
"""The allowed PSI of a column that is not judged, so large that the page always draws it as not drifted."""


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
        _drift_history(partitions, timeline=timeline, shown=shown, monitoring=monitoring, evaluation=evaluation),
        _drift_report(partitions, company=company, monitoring=monitoring, seed=seed),
        _quality_report(partitions, company=company, monitoring=monitoring, seed=seed),
    ]


def _drift_history(
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    timeline: Calendar | None,
    shown: frozenset[str],
    monitoring: Monitoring,
    evaluation: EvaluationSettings,
) -> dg.AssetsDefinition:
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
        deps=_read(partitions),
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
        bundle = _champion(serving)
        baseline = baseline_of(serving.engine, bundle.digest)
        reference, unread = _reference(serving, bundle, baseline)
        against = Against(
            bundle.digest,
            baseline.baseline,
            bundle.manifest.signature,
            reference,
            shown,
            importances_of(bundle.manifest),
            monitoring,
            evaluation,
        )
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        rows = WindowRows(lake, version, serving.engine, bundle, timeline)
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
        deps=[TABLE, *_read(partitions)],
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
        bundle = _champion(serving)
        version = whole_versions(context.instance, lake, [TABLE, "customer_features"])["customer_features"]
        windows = windows_of_periods(lake, [period for period in lake.periods(TABLE) if period <= key][-REJUDGED:])
        newest = next((one for one in windows if (one.window, one.of, one.segment) == (key, "snapshot", None)), None)
        if newest is None or newest.release != bundle.digest:
            raise InputError(
                f"drift_history has no window {key} of the release that serves; materialize that period of it first"
            )
        baseline = baseline_of(serving.engine, bundle.digest)
        reference, _ = _reference(serving, bundle, baseline)
        rows = WindowRows(lake, version, serving.engine, bundle, None).features(key)
        drawing = _drawing(bundle, reference, rows, newest.features, monitoring, seed, "drift")
        as_of = clock.now().isoformat()
        needed = 1 if key == ALL else monitoring.agreeing
        about = About(company, key, baseline, as_of, 1 if key == ALL else monitoring.windows, needed)
        page = document(about, windows, drawing, frame=_frame(drawing))
        report = _published(serving, page, drawing, "drift", headline(newest), clock, key=key, release=bundle.digest)
        together = [one for one in windows if one.of == "snapshot" and one.segment is None][-about.together :]
        alert, judged = newest.state == "attention", newest.state != "unknown"
        yield dg.MaterializeResult(
            metadata={
                "verdict": dg.MetadataValue.md(f"**{headline(newest)}**"),
                "report": how_to_open(report),
                "features": dg.MetadataValue.md(_table(newest)),
                "alert": alert,
                "judged": judged,
                "drifted": ", ".join(agreeing(together, needed)) or "no feature",
                "since": newest.since or "not moved",
                "unusual": "no earlier window"
                if newest.unusual is None
                else f"{newest.unusual:.0%} of the earlier windows moved less",
                "snapshot": key,
                "windows": ", ".join(one.window for one in together),
                "not_judged": ", ".join(one.window for one in together if not one.features) or "none",
                "not_drawn": ", ".join((*drawing.empty, *drawing.omitted)) or "none",
                "release": bundle.digest,
                "baseline": baseline.baseline,
                "report_sha256": report.digest,
                "as_of": as_of,
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
                "largest_psi": round(
                    max((move.psi for move in newest.features if move.judged), default=0.0), SHOWN_DECIMALS
                ),
                "times_allowed": round(movement(newest.features), SHOWN_DECIMALS),
            },
        )

    return drift_report


def _quality_report(
    partitions: dg.PartitionsDefinition[Any] | None, *, company: str, monitoring: Monitoring, seed: int
) -> dg.AssetsDefinition:
    @dg.asset(
        description=(
            "What is odd about the snapshot's features, by severity, beside the open alerts and a summary of the data. It blocks nothing: the checks of the "
            "raw tables and of customer_features do."
        ),
        group_name="monitoring",
        pool=BACKGROUND,
        kinds={"evidently"},
        owners=["team:data-science"],
        partitions_def=partitions,
        deps=[TABLE, *_read(partitions)],
        code_version=code_version("monitoring"),
    )
    @wrong_input_is_final
    def quality_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        clock: dg.ResourceParam[Clock],
        serving: dg.ResourceParam[ServingStore],
    ) -> dg.MaterializeResult[None]:
        [key] = keys_of(context)
        bundle = _champion(serving)
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        rows = WindowRows(lake, version, serving.engine, bundle, None).features(key)
        baseline = baseline_of(serving.engine, bundle.digest)
        reference, _ = _reference(serving, bundle, baseline)
        found = findings(reference, bundle.manifest.signature.as_trained(rows), bundle.manifest.signature.columns)
        drawing = _drawing(bundle, reference, rows, [], monitoring, seed, "quality")
        customers = "today's customers" if key == ALL else f"snapshot {key}"
        facts = (
            ("company", company), ("customers", customers), ("rows", f"{rows.height:,}"), ("release", bundle.digest),
            ("reference of release", baseline.baseline), ("as of", clock.now().isoformat()),
        )  # fmt: skip
        page = quality_document(
            QualityAbout(f"Data quality of {customers}, {company}", facts),
            found,
            open_alerts(serving.engine),
            drawing,
            frame=_frame(drawing),
        )
        report = _published(serving, page, drawing, "quality", in_words(found), clock, key=key, release=bundle.digest)
        return dg.MaterializeResult(
            value=None,
            metadata={
                "findings": dg.MetadataValue.md(
                    "\n".join(f"- **{one.severity}** {one.sentence}" for one in found) or "Nothing was found."
                ),
                "report": how_to_open(report),
                **{
                    severity: sum(one.severity == severity for one in found) for severity in ("critical", "warning", "info")
                },
                "snapshot": key,
                "release": bundle.digest,
                "report_sha256": report.digest,
                "delta_version": version,
                "dagster/row_count": rows.height,
            },
        )

    return quality_report


def agreeing(together: Sequence[DriftWindow], needed: int) -> list[str]:
    """The features that drifted in enough of some windows."""
    moved = [move.feature for one in together for move in one.features if move.drifted]
    return [feature for feature in dict.fromkeys(moved) if moved.count(feature) >= needed]


def _read(partitions: dg.PartitionsDefinition[Any] | None) -> list[str]:
    return ["customer_features", "champion", *([] if partitions else ["customers"])]


def _champion(serving: ServingStore) -> Bundle:
    bundle = serving.champion()
    if bundle is None:
        raise InputError("no release serves yet, so there is nothing to measure drift against; materialize champion first")
    return bundle


def _reference(serving: ServingStore, bundle: Bundle, baseline: Baseline) -> tuple[pl.DataFrame | None, dict[str, str]]:
    """The reference rows; ``None``, and why in a sentence by what can't be judged, where they can't be read."""
    try:
        return reference_rows(serving.files, bundle, baseline), {}
    except ReleaseError as error:
        return None, dict.fromkeys(KINDS, f"drift can't be judged: {error}")


def _said(windows: Sequence[DriftWindow], release: str, baseline: str) -> dict[str, Any]:
    """Metadata of a period of the history."""
    verdicts = [headline(one) for one in windows if one.segment is None and one.of == "snapshot"]
    return {
        "verdict": next(iter(verdicts), "nothing was judged"),
        "release": release,
        "baseline": baseline,
        "windows": len(windows),
    }


def _drawing(
    bundle: Bundle,
    reference: pl.DataFrame | None,
    rows: pl.DataFrame,
    moves: Sequence[FeatureMove],
    monitoring: Monitoring,
    seed: int,
    kind: Kind,
) -> Drawing:
    """What Evidently draws of a window; nothing where there is no reference to draw beside it."""
    columns = [
        column
        for column in (*bundle.manifest.signature.columns, SCORED)
        if reference is not None and column.name in reference.columns
    ]
    if reference is None or not columns:
        return Drawing(None, None, ())
    return draw(
        reference,
        scored(bundle, rows),
        columns,
        kind=kind,
        allowed=_allowed(moves, columns, monitoring.effect),
        order=[move.feature for move in sorted(moves, key=lambda move: -move.psi)],
        rows=monitoring.report_rows,
        seed=seed,
    )


def _allowed(moves: Sequence[FeatureMove], columns: Sequence[Column], effect: float) -> dict[str, float]:
    """The PSI of each column up to which the page draws it as not drifted; any PSI for a column that is only shown."""
    judged = {move.feature: move.cut if move.judged else ANY_PSI for move in moves}
    return {column.name: judged.get(column.name, effect) for column in columns}


def _frame(drawing: Drawing) -> str | None:
    return None if drawing.page is None else address_of(digest_of(drawing.page.encode()))


def _published(
    serving: ServingStore,
    page: Document,
    drawing: Drawing,
    name: str,
    verdict: str,
    clock: Clock,
    *,
    key: str,
    release: str,
) -> Report:
    return publish(
        serving.engine,
        serving.files,
        page.html(),
        name=name,
        title=page.title,
        verdict=verdict,
        now_s=clock.now_s(),
        snapshot=key,
        release=release,
        drawing=drawing.page,
    )


def _table(newest: DriftWindow) -> str:
    if not newest.features:
        return newest.verdict
    return Document("Features", (features_table(newest.features),)).markdown()
