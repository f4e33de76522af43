"""The drift report: our rule decides, Evidently draws."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.todays_customers import features_of_today
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.drift import (
    Drift,
    FeatureDrift,
    judge_windows,
    require_columns,
)
from churn_assets.monitoring.drift_cuts import LEAST_ROWS, sampled_window, usual_periods
from churn_assets.monitoring.evidently_report import draw
from churn_assets.monitoring.report_page import About, document, features_table, headline
from churn_assets.orchestration.code_version import code_version
from churn_assets.orchestration.failure_policy import wrong_input_is_final
from churn_assets.orchestration.lost_periods import whole_versions
from churn_assets.orchestration.pools import BACKGROUND
from churn_assets.orchestration.table_writer import keys_of
from churn_assets.periods import ALL, day_of, text
from churn_assets.reporting.document import Document
from churn_assets.resources.reports import how_to_open
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.monitoring import Monitoring
from churn_assets.tables import SCORE
from churn_store.clock import Clock
from churn_store.errors import InputError
from churn_store.model.signature import Column
from churn_store.releases.bundles import load_file
from churn_store.releases.reference_sample import read_sample
from churn_store.reports import address_of, publish
from churn_store.storage.digest_store import digest_of

SCORED = Column(name=SCORE, kind="number", low=0.0, high=1.0, description="probability of churn by the serving release")
"""The release's score as a column, shown beside the features. It is no feature, so it is not judged."""

SHOWN_DECIMALS = 4

ANY_PSI = 1e9
"""The allowed PSI of a column that is not judged, so large that the page always draws it as not drifted."""


def monitoring_assets(
    features: tuple[Feature, ...],
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    company: str,
    monitoring: Monitoring,
    seed: int,
) -> Sequence[dg.AssetsDefinition]:
    """``drift_report``.

    Args:
        features: all features of the company.
        partitions: periods of a history.
        company: name of the company, for titles.
        monitoring: section ``monitoring``, with the bounds of drift.
        seed: seed of the sample of rows to draw.
    """
    return [_drift_report(features, partitions, company=company, monitoring=monitoring, seed=seed)]


def _drift_report(
    features: tuple[Feature, ...],
    partitions: dg.PartitionsDefinition[Any] | None,
    *,
    company: str,
    monitoring: Monitoring,
    seed: int,
) -> dg.AssetsDefinition:
    moving = [feature.name for feature in features if feature.drifts_anyway]

    @dg.asset(
        description=(
            "Whether the snapshot's features have moved away from those that the serving release was trained on, and whether "
            "that matters. An alert asks for a retraining; it never promotes."
        ),
        group_name="monitoring",
        pool=BACKGROUND,
        kinds={"evidently"},
        owners=["team:data-science"],
        partitions_def=partitions,
        deps=["customer_features", "champion", *([] if partitions else ["customers"])],
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
        bundle = serving.champion()
        if bundle is None:
            raise InputError(
                "no release serves yet, so there is nothing to measure drift against; materialize champion first"
            )
        reference = read_sample(load_file(serving.files, bundle.manifest, "reference.parquet"))
        version = whole_versions(context.instance, lake, ["customer_features"])["customer_features"]
        windows = {
            period: features_of_today(lake, version=version)
            if period == ALL
            else lake.read("customer_features", period, version=version)
            for period in _windows(lake, key, monitoring.windows)
        }
        if key not in windows:
            raise InputError(f"customer_features has no rows of {key}; materialize that period of it first")
        require_columns(windows, bundle.manifest.signature.columns)
        signature = bundle.manifest.signature
        windows = {
            period: signature.as_trained(rows).with_columns(pl.Series(SCORE, bundle.scorer.score_frame(rows)))
            for period, rows in windows.items()
        }
        columns = [*bundle.manifest.signature.columns, SCORED]
        usual = [signature.as_trained(rows) for rows in _usual(lake, reference, version=version)]
        drift = judge_windows(reference, windows, columns, [*moving, SCORE], monitoring, usual=usual)
        newest = drift.windows[key]
        drawing = draw(
            reference,
            windows[key],
            columns,
            allowed=_allowed(newest, columns, monitoring.effect),
            order=[row.feature for row in sorted(newest, key=lambda row: -row.psi)],
            rows=monitoring.report_rows,
            seed=seed,
        )
        as_of = clock.now().isoformat()
        about = About(company, key, bundle.digest, as_of, windows[key].height)
        frame = None if drawing.page is None else address_of(digest_of(drawing.page.encode()))
        page = document(about, drift, drawing, frame=frame)
        report = publish(
            serving.engine,
            serving.files,
            page.html(),
            name="drift",
            title=about.title,
            verdict=headline(drift),
            now_s=clock.now_s(),
            snapshot=key,
            release=bundle.digest,
            drawing=drawing.page,
        )
        verdict = drift.verdict
        yield dg.MaterializeResult(
            metadata={
                "verdict": dg.MetadataValue.md(f"**{headline(drift)}**"),
                "report": how_to_open(report),
                "features": dg.MetadataValue.md(_table(newest)),
                "alert": drift.alert,
                "judged": drift.judged,
                "drifted": ", ".join(drift.agreeing) or "no feature",
                "snapshot": key,
                "windows": ", ".join(windows),
                "not_judged": ", ".join(drift.unjudged) or "none",
                "not_drawn": ", ".join((*drawing.empty, *drawing.omitted)) or "none",
                "release": bundle.digest,
                "report_sha256": report.digest,
                "as_of": as_of,
                "delta_version": version,
                "dagster/row_count": windows[key].height,
            },
        )
        yield dg.AssetCheckResult(
            check_name="no_drift",
            passed=drift.judged and not drift.alert,
            severity=dg.AssetCheckSeverity.WARN,
            description=verdict,
            metadata={"judged": drift.judged, "largest_psi": round(_largest(drift, key), SHOWN_DECIMALS)},
        )

    return drift_report


def _windows(lake: Lake, key: str, most: int) -> list[str]:
    """The newest snapshots up to a key, oldest first and at most ``most`` of them."""
    if key == ALL:
        return [ALL]
    return [period for period in lake.periods("customer_features") if period <= key][-most:]


def _usual(lake: Lake, reference: pl.DataFrame, *, version: int) -> list[pl.DataFrame]:
    """Rows of windows from before the release, which tell what is usual; none for data without time."""
    if "snapshot_s" not in reference.columns:
        return []
    trained_on = {text(day_of(second)) for second in reference["snapshot_s"].unique()}
    periods = usual_periods(lake.periods("customer_features"), trained_on)
    return [sampled_window(lake.read("customer_features", period, version=version)) for period in periods]


def _allowed(rows: Sequence[FeatureDrift], columns: Sequence[Column], effect: float) -> dict[str, float]:
    """The PSI of each column up to which the page draws it as not drifted; any PSI for a column that is only shown."""
    judged = {row.feature: row.cut if row.judged else ANY_PSI for row in rows}
    return {column.name: judged.get(column.name, effect) for column in columns}


def _largest(drift: Drift, key: str) -> float:
    return max((row.psi for row in drift.windows[key] if row.judged), default=0.0)


def _table(rows: Sequence[FeatureDrift]) -> str:
    if not rows:
        return f"not judged: fewer than {LEAST_ROWS} rows"
    return Document("Features", (features_table(rows),)).markdown()
