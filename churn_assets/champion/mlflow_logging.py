"""What MLflow is told of a candidate: parameters, measures, data, pictures, and the exported model as a version in the registry."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import polars as pl
from dagster_mlflow.resources import MlFlow
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from churn_assets.champion.candidate import Candidate
from churn_assets.training.fitted_family import MODEL, FittedFamily
from churn_assets.training.tracking import log_data, log_environment, log_inputs, log_pictures, log_trials
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
) -> dict[str, str]:
    """Log a candidate in a nested run and register it under ``model_name``.

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
            registered_model_name=model_name,
            pip_requirements=[f"onnxruntime=={onnxruntime.__version__}", f"onnx=={onnx.__version__}"],
        )
    return {
        "run_id": run.info.run_id,
        "model": model_name,
        "model_version": str(model.registered_model_version),
    }


def _signature(candidate: Candidate) -> ModelSignature:
    tensors = []
    if candidate.signature.numbers:
        tensors.append(TensorSpec(np.dtype(np.float32), (-1, len(candidate.signature.numbers)), NUMBERS))
    if candidate.signature.categories:
        tensors.append(TensorSpec(np.dtype(np.str_), (-1, len(candidate.signature.categories)), CATEGORIES))
    output = TensorSpec(np.dtype(np.float32), (-1, 2), PROBABILITIES)
    return ModelSignature(inputs=Schema(tensors), outputs=Schema([output]))
