"""Logs a candidate to MLflow: parameters, measures, data, charts, and the exported model as a version in the registry."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from churn_assets.champion.candidate import Candidate
from churn_assets.champion.same_model import MODEL_TAG
from churn_assets.training.fitted_family import MODEL, FittedFamily
from churn_assets.training.tracking import log_data, log_environment, log_inputs, log_pictures, log_trials
from churn_assets.training.tuning import best
from churn_store.model.scorer import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.releases.manifest import TableVersion

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def log_candidate(
    mlflow: Any,
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
    """Log a candidate in a nested run and register it under ``model_name``, with tags of its quality.

    Args:
        mlflow: MLflow resource with an open run.
        candidate: candidate with its files.
        model_name: name in the registry.
        chosen: family that the candidate was made from.
        training_set: training set with the rows of every role.
        data: version and digest of the training set.
        data_uri: address of the table ``training_set``.
        metrics: measures on the judging rows.
        pictures: charts, SVG by name.
        registered: registered version of the same model, if there is one; the model is then not registered again.
        backtest_auc: mean AUC over the folds of the newest backtest of the family, if there is one.

    Returns:
        ``run_id``, ``model`` (name in the registry) and ``model_version``.
    """
    import onnx  # noqa: PLC0415 - seconds of import that only training pays
    import onnxruntime  # noqa: PLC0415

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
    """The tags of a registered version: family, held-out AUC, means over folds, and digest of the model.

    Args:
        candidate: candidate with its files.
        chosen: family that the candidate was made from, with the trials of its search.
        metrics: measures on the judging rows.
        backtest_auc: mean AUC over the folds of the newest backtest of the family, if there is one.
    """
    search_loss = best(chosen.trials).log_loss if chosen.trials else None
    return {
        "family": chosen.family,
        "held_out_auc": f"{metrics['auc']:.4f}",
        "folds_mean_log_loss": "no search" if search_loss is None else f"{search_loss:.4f}",
        **({} if backtest_auc is None else {"folds_mean_auc": f"{backtest_auc:.4f}"}),
        MODEL_TAG: sha256(candidate.files[MODEL]).hexdigest(),
    }


def _signature(candidate: Candidate) -> "ModelSignature":
    from mlflow.models import ModelSignature  # noqa: PLC0415 - five seconds of import that only training pays
    from mlflow.types import Schema, TensorSpec  # noqa: PLC0415

    tensors = []
    if candidate.signature.numbers:
        tensors.append(TensorSpec(np.dtype(np.float32), (-1, len(candidate.signature.numbers)), NUMBERS))
    if candidate.signature.categories:
        tensors.append(TensorSpec(np.dtype(np.str_), (-1, len(candidate.signature.categories)), CATEGORIES))
    output = TensorSpec(np.dtype(np.float32), (-1, 2), PROBABILITIES)
    return ModelSignature(inputs=Schema(tensors), outputs=Schema([output]))
