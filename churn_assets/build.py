"""Builds the whole asset graph from settings; importing it reads no file and has no side effect.

Belongs here: the stages of the graph, in the order of the data, and their resources. Does not belong here: what Dagster loads
(``definitions``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from churn_assets.automation.due import first_snapshot
from churn_assets.automation.due_sensors import due_sensors, due_stages
from churn_assets.automation.jobs import LABELS, RETRAIN, jobs
from churn_assets.automation.lost_sensor import lost_sensor
from churn_assets.automation.quality_sensor import quality_sensor
from churn_assets.automation.retention import retention
from churn_assets.automation.retraining_sensor import sensors
from churn_assets.automation.verification import verify_lake, verify_schedule
from churn_assets.automation.watch import signs_of
from churn_assets.backtest.assets import backtest_assets
from churn_assets.champion.assets import champion_assets
from churn_assets.champion.jobs import release_jobs
from churn_assets.champion.sensors import release_sensors
from churn_assets.champion.waiting_asset import waiting_asset
from churn_assets.connectors.open_source import open_source
from churn_assets.detector.assets import detector_benchmark_asset
from churn_assets.facts.assets import facts_assets
from churn_assets.features.assets import feature_assets
from churn_assets.features.feature_sets import company_features, features_in_use, protected_among
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.assets import monitoring_assets
from churn_assets.orchestration.json_values import json_values
from churn_assets.orchestration.lost_checks import IN_LAKE, lost_checks
from churn_assets.orchestration.partitions import partitions_of
from churn_assets.outcomes.assets import outcome_assets
from churn_assets.performance.assets import performance_assets
from churn_assets.performance.judging import JudgedBy
from churn_assets.periods import Calendar
from churn_assets.raw.assets import raw_assets
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import tracking_resource
from churn_assets.scoring.assets import scoring_assets
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.features import Features
from churn_assets.settings.label import Label
from churn_assets.training.assets import training_assets
from churn_assets.treatments.records import TABLE as TREATMENTS
from churn_store.clock import Clock
from churn_store.mapping.tables import Table


def build_defs(settings: Settings | None = None, *, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The asset graph of a company.

    Args:
        settings: settings of the company; default: ``churn.yaml`` and the environment.
        overrides: resources by name that replace those of the settings.
    """
    settings = settings or Settings.load()
    source = open_source(settings, in_parts=True)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    resources: dict[str, Any] = {
        "lake": Lake(settings.lake_url),
        "clock": settings.clock,
        "serving": serving,
        "mlflow": tracking_resource(settings.tracking_uri, experiment=settings.experiment),
        "io_manager": json_values,
        **(overrides or {}),
    }
    raw_periods, snapshots, labelled = _periods(
        settings.timeline,
        settings.clock,
        settings.tables,
        at_risk=settings.at_risk,
        features=settings.features,
        label=settings.label,
    )
    features = company_features(source, settings.source, settings.features, settings.events.types, served=serving.inputs)
    used = features_in_use(features, settings.features)
    protected = protected_among(used, settings.source, settings.features)
    tables = [
        *raw_assets(
            source,
            raw_periods,
            described=settings.source,
            timeline=settings.timeline,
            raw=settings.raw,
            quality=settings.quality,
        ),
        *feature_assets(
            features,
            snapshots,
            timeline=settings.timeline,
            tables=settings.tables,
            at_risk=settings.at_risk,
            label=settings.label,
            events=settings.events,
            quality=settings.quality,
            engine=settings.engine,
            spark=settings.spark,
            labelled=labelled,
        ),
        *training_assets(settings, used, protected=protected),
    ]
    assets = [
        *tables,
        *champion_assets(settings, source, used, tables, protected=protected),
        waiting_asset(),
        *backtest_assets(settings, used),
        *outcome_assets(labelled, timeline=settings.timeline, label=settings.label, tables=settings.tables),
        *scoring_assets(features, snapshots, has_time=settings.has_time, online_url=settings.online_url),
        detector_benchmark_asset(seed=settings.training.seed),
        *monitoring_assets(
            features,
            snapshots,
            company=settings.company,
            timeline=settings.timeline,
            monitoring=settings.monitoring,
            evaluation=settings.evaluation,
            seed=settings.training.seed,
        ),
        *performance_assets(
            labelled,
            company=settings.company,
            timeline=settings.timeline,
            label=settings.label,
            judged_by=JudgedBy(settings.performance, settings.evaluation, settings.profit, settings.training.seed),
            has_campaigns=TREATMENTS in settings.raw_tables,
        ),
        *facts_assets(company=settings.company, has_time=settings.has_time),
    ]
    forgetting, when_to_forget = retention(
        settings.service, settings.clock, serving, company=settings.company, lake_url=settings.lake_url
    )
    by_name = {job.name: job for job in jobs(settings.training.families)}
    stages = due_stages(settings, source, settings.clock, serving)
    signs = signs_of(settings.source, settings.lake_url, settings.clock, serving)
    in_lake = _tables_of_the_lake(assets)
    return dg.Definitions(
        assets=assets,
        asset_checks=lost_checks(in_lake),
        jobs=[*by_name.values(), *release_jobs(), verify_lake, *forgetting],
        schedules=[verify_schedule(settings.company, settings.lake_url), *when_to_forget],
        sensors=[
            *due_sensors(stages, by_name, company=settings.company, lake_url=settings.lake_url, signs=signs),
            *sensors(
                settings.clock,
                serving,
                by_name[RETRAIN],
                company=settings.company,
                lake_url=settings.lake_url,
                timeline=settings.timeline,
                label=settings.label,
                training=settings.training,
                retraining=settings.retraining,
                signs=signs,
                labels=stages.get(LABELS),
            ),
            *release_sensors(
                serving,
                company=settings.company,
                lake_url=settings.lake_url,
                tracking_uri=settings.tracking_uri,
                experiment=settings.experiment,
            ),
            *(
                [
                    quality_sensor(
                        settings.timeline,
                        settings.raw_tables,
                        serving,
                        settings.clock,
                        rules=settings.quality,
                        company=settings.company,
                        lake_url=settings.lake_url,
                    )
                ]
                if settings.timeline is not None
                else []
            ),
            lost_sensor(in_lake, company=settings.company, lake_url=settings.lake_url),
        ],
        resources=resources,
        executor=dg.in_process_executor,
    )


def _tables_of_the_lake(assets: Sequence[dg.AssetsDefinition]) -> list[str]:
    return [spec.key.to_user_string() for asset in assets for spec in asset.specs if IN_LAKE in spec.kinds]


def _periods(
    timeline: Calendar | None, clock: Clock, tables: Sequence[Table], *, at_risk: AtRisk, features: Features, label: Label
) -> tuple[dg.PartitionsDefinition[Any] | None, ...]:
    """The periods that the raw tables, the snapshots and the labels can have."""
    if timeline is None:
        return None, None, None
    first = first_snapshot(timeline.start, tables, at_risk=at_risk, features=features)
    return (
        partitions_of(timeline, clock, kind="raw"),
        partitions_of(timeline, clock, first=first, kind="snapshots"),
        partitions_of(timeline, clock, first=first, kind="labels", known_after=label.horizon + label.grace),
    )
