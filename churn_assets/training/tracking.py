"""Logs a fitted family to MLflow, and what a candidate has in common with it: data, inputs, charts, environment.

Nothing that is logged holds a pickle or a customer's row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

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
    parameters: Mapping[str, object],
) -> str:
    """Log a fitted family in a nested run.

    Args:
        mlflow: MLflow resource with an open run.
        fitted: fitted family to log.
        training_set: training set that it was fitted on.
        data_uri: address of the table ``training_set``.
        pictures: charts of the selecting rows, SVG by name.
        tags: tags of the run.
        parameters: logged parameters that are not the estimator's.

    Returns:
        The id of the nested run.
    """
    with mlflow.start_run(run_name=fitted.family, nested=True) as run:
        mlflow.log_params({"family": fitted.family, "seed": fitted.seed, **parameters, **fitted.parameters})
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
    """Log the training set by its version and digest."""
    from mlflow.data.delta_dataset_source import DeltaDatasetSource  # noqa: PLC0415 - five seconds of import that only training pays
    from mlflow.data.meta_dataset import MetaDataset  # noqa: PLC0415

    source = DeltaDatasetSource(path=uri, delta_table_version=data.version)
    digest = (data.digest or "")[:MLFLOW_DIGEST_LENGTH]
    mlflow.log_input(MetaDataset(source, name="training_set", digest=digest), context="training")


def log_inputs(mlflow: Any, signature: Signature, training_set: pl.DataFrame) -> None:
    """Log the signature, and an invented row as its example."""
    mlflow.log_dict(msgspec.to_builtins(signature), "signature.json")
    mlflow.log_dict(input_example(signature, training_set), "input_example.json")


def log_trials(mlflow: Any, trials: Sequence[Trial]) -> None:
    """Log the trials of the search as a table."""
    import pandas as pd  # noqa: PLC0415 - seconds of import that only training pays

    if trials:
        rows = [
            {"trial": number, "log_loss": trial.log_loss, "rows": trial.rows, **trial.parameters}
            for number, trial in enumerate(trials)
        ]
        mlflow.log_table(pd.DataFrame(rows), "trials.json")


def log_pictures(mlflow: Any, pictures: Mapping[str, str]) -> None:
    """Log charts as SVG files."""
    for name, svg in pictures.items():
        mlflow.log_text(svg, f"pictures/{name}.svg")


def log_environment(mlflow: Any) -> None:
    """Log the lock file of the libraries, if this runs in a checkout."""
    if LOCK.exists():
        mlflow.log_text(LOCK.read_text(encoding="utf-8"), LOCK.name)  # as a copy it would keep the rights of the checkout
