"""MLflow, through dagster-mlflow: one MLflow run for each Dagster run, with model work in nested runs.

This resource ends the MLflow run: dagster-mlflow leaves it open if a Dagster run has no hook, and the next run of the same process
would then write into it. With the embedded tracking server artifacts go beside its database.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import mlflow
import sqlalchemy as sa
from dagster_mlflow import mlflow_tracking

from churn_assets.resources.tracking_server import is_server, require_answer

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # if the server goes away the step fails within a minute, and is then repeated
    "GIT_PYTHON_REFRESH": "quiet",
}


def _tracking(context: dg.InitResourceContext) -> Iterator[object]:
    config = context.resource_config
    if is_server(config["mlflow_tracking_uri"]):
        require_answer(config["mlflow_tracking_uri"])
    if config["mlflow_tracking_uri"].startswith("sqlite:"):
        _make_embedded(config["mlflow_tracking_uri"], config["experiment_name"])
    try:
        yield from mlflow_tracking.resource_fn(context)
    finally:
        mlflow.end_run()


def tracking_resource(uri: str, *, experiment: str) -> dg.ResourceDefinition:
    """The resource ``mlflow`` for a tracking server and an experiment."""
    tracking: dg.ResourceDefinition = dg.resource(config_schema=mlflow_tracking.config_schema)(_tracking).configured(
        {
            "experiment_name": experiment,
            "mlflow_tracking_uri": uri,
            "env": QUIET,
        }
    )
    return tracking


def _make_embedded(uri: str, experiment: str) -> None:
    database = Path(str(sa.make_url(uri).database))
    database.parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(experiment) is None:
        mlflow.create_experiment(experiment, artifact_location=(database.parent / "mlartifacts").absolute().as_uri())
