"""What MLflow is told of a fitted family, and what is logged alike of a candidate: data, inputs, pictures, environment.

Nothing that MLflow is given holds a pickle or a customer's row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd
import polars as pl
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from churn_assets.orchestration.code_version import LOCK
from churn_assets.training.fitting import Fitted, Trial
from churn_assets.training.training_set import input_example
from churn_store.model.signature import Signature
from churn_store.releases.manifest import TableVersion

MLFLOW_DIGEST_LENGTH = 36


def log_fitted(
    mlflow: Any,
    fitted: Fitted,
    *,
    training_set: pl.DataFrame,
    data_uri: str,
    pictures: Mapping[str, str],
    tags: Mapping[str, str],
    besides: Mapping[str, object],
) -> str:
    """Log a fitted family in a nested run.

    Args:
        mlflow: the resource, with its run open.
        fitted: fitted family to log.
        training_set: training set that it was fitted on.
        data_uri: address of the table.
        pictures: SVG by name, of the selecting rows.
        tags: tags of the run.
        besides: parameters that are not the estimator's.

    Returns:
        The run's id.
    """
    with mlflow.start_run(run_name=fitted.family, nested=True) as run:
        mlflow.log_params({"family": fitted.family, "seed": fitted.seed, **besides, **fitted.parameters})
        mlflow.log_metrics({f"selecting_{name}": value for name, value in fitted.measures.items()})
        mlflow.log_metric("threshold", fitted.threshold)
        mlflow.set_tags({**tags, "training_set_version": str(fitted.training_set.version)})
        log_data(mlflow, fitted.training_set, uri=data_uri)
        log_inputs(mlflow, fitted.signature, training_set)
        log_trials(mlflow, fitted.trials)
        log_pictures(mlflow, pictures)
        log_environment(mlflow)
    run_id: str = run.info.run_id
    return run_id


def log_data(mlflow: Any, data: TableVersion, *, uri: str) -> None:
    """Name the training set by its version and its digest."""
    source = DeltaDatasetSource(path=uri, delta_table_version=data.version)
    digest = (data.digest or "")[:MLFLOW_DIGEST_LENGTH]
    mlflow.log_input(MetaDataset(source, name="training_set", digest=digest), context="training")


def log_inputs(mlflow: Any, signature: Signature, training_set: pl.DataFrame) -> None:
    """Log the signature, and an invented row that goes with it."""
    mlflow.log_dict(msgspec.to_builtins(signature), "signature.json")
    mlflow.log_dict(input_example(signature, training_set), "input_example.json")


def log_trials(mlflow: Any, trials: Sequence[Trial]) -> None:
    """Log what the search tried as a table."""
    if trials:
        rows = [
            {"trial": number, "log_loss": trial.log_loss, "rows": trial.rows, **trial.parameters}
            for number, trial in enumerate(trials)
        ]
        mlflow.log_table(pd.DataFrame(rows), "trials.json")


def log_pictures(mlflow: Any, pictures: Mapping[str, str]) -> None:
    """Log pictures as SVG files."""
    for name, svg in pictures.items():
        mlflow.log_text(svg, f"pictures/{name}.svg")


def log_environment(mlflow: Any) -> None:
    """Log the locked versions of the libraries, where the checkout with them is there."""
    if LOCK.exists():
        mlflow.log_artifact(str(LOCK))
