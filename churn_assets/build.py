"""Builds the whole asset graph from settings; importing it reads no file and has no side effect.

Belongs here: the stages of the graph, in the order of the data, and their resources. Does not belong here: what Dagster loads
(``definitions``).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from churn_assets.automation.jobs import RETRAIN, jobs
from churn_assets.automation.retraining_sensor import sensors
from churn_assets.automation.schedules import schedules
from churn_assets.backtest.assets import backtest_assets
from churn_assets.champion.assets import champion_assets
from churn_assets.champion.jobs import release_jobs
from churn_assets.champion.sensors import release_sensors
from churn_assets.connectors.open_source import open_source
from churn_assets.features.assets import feature_assets
from churn_assets.features.feature_sets import company_features, features_in_use, protected_among
from churn_assets.lake.lake import Lake
from churn_assets.monitoring.assets import monitoring_assets
from churn_assets.orchestration.json_values import json_values
from churn_assets.orchestration.partitions import partitions_of
from churn_assets.raw.assets import raw_assets
from churn_assets.resources.serving import ServingStore
from churn_assets.resources.tracking import tracking_resource
from churn_assets.scoring.assets import scoring_assets
from churn_assets.settings.company import Settings
from churn_assets.training.assets import training_assets


def build_defs(settings: Settings | None = None, *, overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The asset graph of a company.

    Args:
        settings: settings of the company; default: ``churn.yaml`` and the environment.
        overrides: resources by name that replace those of the settings.
    """
    settings = settings or Settings.load()
    partitions = partitions_of(settings.timeline)
    source = open_source(settings)
    serving = ServingStore(settings.database_url, settings.releases_url, settings.online_url)
    resources: dict[str, Any] = {
        "lake": Lake(settings.lake_url),
        "clock": settings.clock,
        "serving": serving,
        "mlflow": tracking_resource(settings.tracking_uri, experiment=f"{settings.tracking.experiment}-{settings.company}"),
        "io_manager": json_values,
        **(overrides or {}),
    }
    features = company_features(source, settings.source, settings.features, settings.events.types, served=serving.inputs)
    used = features_in_use(features, settings.features)
    protected = protected_among(used, settings.source, settings.features)
    tables = [
        *raw_assets(source, partitions, described=settings.source, timeline=settings.timeline, raw=settings.raw),
        *feature_assets(
            features,
            partitions,
            timeline=settings.timeline,
            tables=settings.tables,
            at_risk=settings.at_risk,
            label=settings.label,
            events=settings.events,
            engine=settings.engine,
            spark=settings.spark,
        ),
        *training_assets(settings, used, protected=protected),
    ]
    assets = [
        *tables,
        *champion_assets(settings, source, used, tables, protected=protected),
        *backtest_assets(settings, used),
        *scoring_assets(features, partitions, has_time=settings.has_time, online_url=settings.online_url),
        *monitoring_assets(
            features,
            partitions,
            monitoring=settings.monitoring,
            reports=settings.reports,
            seed=settings.training.seed,
        ),
    ]
    by_name = {job.name: job for job in jobs(partitions)}
    return dg.Definitions(
        assets=assets,
        jobs=[*by_name.values(), *release_jobs()],
        schedules=schedules(settings, source, settings.clock, serving, by_name),
        sensors=[
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
            ),
            *release_sensors(
                serving,
                company=settings.company,
                lake_url=settings.lake_url,
                tracking_uri=settings.tracking_uri,
            ),
        ],
        resources=resources,
        executor=dg.in_process_executor,
    )
