"""What MLflow is told of a candidate: parameters, measures, data, and the exported model as a version in the registry."""

import msgspec
import numpy as np
import onnx
import onnxruntime
import polars as pl
from dagster_mlflow.resources import MlFlow
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from churn_assets.champion.candidate import Candidate, input_example
from churn_assets.settings import Settings
from churn_assets.training.fitting import Fitted
from churn_store.manifest import TableVersion
from churn_store.scoring import CATEGORIES, NUMBERS, PROBABILITIES

ALIAS = "champion"
MLFLOW_DIGEST_LENGTH = 36


def log_candidate(
    mlflow: MlFlow,
    candidate: Candidate,
    *,
    settings: Settings,
    chosen: Fitted,
    training_set: pl.DataFrame,
    data: TableVersion,
    data_uri: str,
    metrics: dict[str, float],
) -> dict[str, str]:
    """Log a candidate in a nested run and register it.

    Returns:
        ``run_id``, and ``model_version`` in the registry under the configured name.
    """
    with mlflow.start_run(run_name=f"candidate {chosen.family}", nested=True) as run:
        mlflow.log_params(
            {
                "family": chosen.family,
                "seed": settings.training.seed,
                "threshold": chosen.threshold,
                "features": len(candidate.signature.columns),
                **chosen.parameters,
            }
        )
        mlflow.log_metrics({f"judging_{name}": value for name, value in metrics.items()})
        source = DeltaDatasetSource(path=data_uri, delta_table_version=data.version)
        digest = (data.digest or "")[:MLFLOW_DIGEST_LENGTH]
        mlflow.log_input(MetaDataset(source, name="training_set", digest=digest), context="training")
        mlflow.log_dict(input_example(candidate.signature, training_set), "input_example.json")
        mlflow.log_dict(msgspec.to_builtins(candidate.signature), "signature.json")
        model = mlflow.onnx.log_model(
            onnx.load_model_from_string(candidate.files["model.onnx"]),
            name="model",
            signature=_signature(candidate),
            registered_model_name=settings.tracking.model_name,
            pip_requirements=[f"onnxruntime=={onnxruntime.__version__}", f"onnx=={onnx.__version__}"],
        )
    return {
        "run_id": run.info.run_id,
        "model": settings.tracking.model_name,
        "model_version": str(model.registered_model_version),
    }


def mirror_champion(mlflow: MlFlow, *, model: str, version: str) -> str:
    """Let the registry's alias name the champion, for people; the service never asks.

    Returns:
        What happened, in words; the registry being away is no reason to fail a release that has been published.
    """
    try:
        mlflow.tracking_client.set_registered_model_alias(model, ALIAS, version)
    except MlflowException as error:
        return f"the registry's alias {ALIAS} could not be moved: {error}"
    return f"the registry's alias {ALIAS} names version {version} of {model}"


def _signature(candidate: Candidate) -> ModelSignature:
    tensors = []
    if candidate.signature.numbers:
        tensors.append(TensorSpec(np.dtype(np.float32), (-1, len(candidate.signature.numbers)), NUMBERS))
    if candidate.signature.categories:
        tensors.append(TensorSpec(np.dtype(np.str_), (-1, len(candidate.signature.categories)), CATEGORIES))
    output = TensorSpec(np.dtype(np.float32), (-1, 2), PROBABILITIES)
    return ModelSignature(inputs=Schema(tensors), outputs=Schema([output]))
