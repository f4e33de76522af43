"""What MLflow is told of a candidate: parameters, measures, data, pictures, and the exported model as a version in the registry."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import onnx
import onnxruntime
import polars as pl
from dagster_mlflow.resources import MlFlow
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from churn_assets.champion.candidate import Candidate
from churn_assets.champion.same_model import MODEL_TAG
from churn_assets.training.fitted_family import MODEL, FittedFamily
from churn_assets.training.tracking import log_data, log_environment, log_inputs, log_pictures, log_trials
from churn_assets.training.tuning import best
from churn_store.model.scorer import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.releases.manifest import TableVersion


def log_candidate(
    mlflow: MlFlow,
    candidate: Candidate,
    *,
    model_name: str,
    chosen: FittedFamily,
    training_set: pl.DataFrame,
    data: TableVersion,
    data_uri: str,
    metrics: dict[str, float],
    pictures: Mapping[str, str],
    registered: str | None = None,
    backtest_auc: float | None = None,
) -> dict[str, str]:
    """Log a candidate in a nested run and register it under ``model_name``, with tags that say what it is worth.

    Args:
        mlflow: the resource, with its run open.
        candidate: the candidate and its files.
        model_name: name in the registry.
        chosen: the family that it was made of.
        training_set: training set with the rows of every role.
        data: version of the training set.
        data_uri: address of the table.
        metrics: measures on the judging rows.
        pictures: SVG by name.
        registered: the version that holds the same model already; it is not registered again.
        backtest_auc: mean AUC of the folds of the newest backtest of its family, where there is one.

    Returns:
        ``run_id``, ``model`` and ``model_version``: its name and its version in the registry.
    """
    with mlflow.start_run(run_name=f"candidate {chosen.family}", nested=True) as run:
        mlflow.log_params(
            {
                "family": chosen.family,
                "seed": chosen.seed,
                "threshold": chosen.threshold,
                "features": len(candidate.signature.columns),
                **chosen.parameters,
            }
        )
        mlflow.log_metrics({f"judging_{name}": value for name, value in metrics.items()})
        log_data(mlflow, data, uri=data_uri)
        log_inputs(mlflow, candidate.signature, training_set)
        log_trials(mlflow, chosen.trials)
        log_pictures(mlflow, pictures)
        log_environment(mlflow)
        model = mlflow.onnx.log_model(
            onnx.load_model_from_string(candidate.files[MODEL]),
            name="model",
            signature=_signature(candidate),
            registered_model_name=model_name if registered is None else None,
            pip_requirements=[f"onnxruntime=={onnxruntime.__version__}", f"onnx=={onnx.__version__}"],
        )
    version = str(model.registered_model_version) if registered is None else registered
    for key, value in version_tags(candidate, chosen, metrics, backtest_auc).items():
        mlflow.tracking_client.set_model_version_tag(model_name, version, key, value)
    return {"run_id": run.info.run_id, "model": model_name, "model_version": version}


def version_tags(
    candidate: Candidate, chosen: FittedFamily, metrics: Mapping[str, float], backtest_auc: float | None
) -> dict[str, str]:
    """The tags of a registered version: family, held-out AUC, means of the folds, and which model it is.

    Args:
        candidate: the candidate and its files.
        chosen: the family that it was made of, with the trials of its search.
        metrics: measures on the judging rows.
        backtest_auc: mean AUC of the folds of the newest backtest of its family, where there is one.
    """
    searched = best(chosen.trials).log_loss if chosen.trials else None
    return {
        "family": chosen.family,
        "held_out_auc": f"{metrics['auc']:.4f}",
        "folds_mean_log_loss": "no search" if searched is None else f"{searched:.4f}",
        **({} if backtest_auc is None else {"folds_mean_auc": f"{backtest_auc:.4f}"}),
        MODEL_TAG: sha256(candidate.files[MODEL]).hexdigest(),
    }


def _signature(candidate: Candidate) -> ModelSignature:
    tensors = []
    if candidate.signature.numbers:
        tensors.append(TensorSpec(np.dtype(np.float32), (-1, len(candidate.signature.numbers)), NUMBERS))
    if candidate.signature.categories:
        tensors.append(TensorSpec(np.dtype(np.str_), (-1, len(candidate.signature.categories)), CATEGORIES))
    output = TensorSpec(np.dtype(np.float32), (-1, 2), PROBABILITIES)
    return ModelSignature(inputs=Schema(tensors), outputs=Schema([output]))
