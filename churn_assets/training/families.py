"""Model families: an estimator over the signature's columns, and how it is exported.

A family is one entry of ``FAMILIES``. Every pipeline takes the signature's numbers (float32, missing allowed) and then its
categories (text, missing is the empty word), by position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn_store.scoring import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.signature import Signature

OPSET = {"": 17, "ai.onnx.ml": 3}

LEAF_GRID = 2.0**-20
"""Values of leaves are multiples of it: 32-bit floats add them without rounding while the sum is below 8."""


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        name: of the asset and in the manifest.
        description: in words.
        parameters: of the estimator, logged with each run.
        estimator: makes an unfitted one from parameters and a seed.
        scales: whether numbers are imputed and scaled before it; trees take them as they are, which their export needs.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    estimator: Callable[[Mapping[str, Any], int], Any]
    scales: bool

    def pipeline(self, signature: Signature, *, seed: int, without: Sequence[str] = ()) -> Pipeline:
        """An unfitted pipeline for a signature.

        Args:
            signature: its inputs.
            seed: of the estimator.
            without: numbers that it takes and does not look at, such as those without any value to learn from.
        """
        before = len(signature.numbers)
        numbers = [position for position, name in enumerate(signature.numbers) if name not in without]
        categories = list(range(before, before + len(signature.categories)))
        steps: list[tuple[str, Any, list[int]]] = []
        if numbers:
            prepared: Any = "passthrough"
            if self.scales:
                prepared = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
            steps.append((NUMBERS, prepared, numbers))
        if categories:
            known = [list(column.categories) for column in signature.columns if column.kind == "category"]
            encoder = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
            steps.append((CATEGORIES, encoder, categories))
        return Pipeline([("columns", ColumnTransformer(steps)), ("model", self.estimator(self.parameters, seed))])


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "logistic_regression",
            "Logistic regression on scaled numbers and one-hot categories: the baseline that must be beaten.",
            {"C": 1.0, "max_iter": 1000},
            lambda parameters, seed: LogisticRegression(**parameters, random_state=seed),
            scales=True,
        ),
        Family(
            "gradient_boosting",
            "Histogram gradient boosting of shallow trees on unscaled numbers and one-hot categories.",
            {
                "learning_rate": 0.05,
                "max_iter": 150,
                "max_leaf_nodes": 12,
                "min_samples_leaf": 60,
                "l2_regularization": 1.0,
            },
            lambda parameters, seed: HistGradientBoostingClassifier(**parameters, early_stopping=False, random_state=seed),
            scales=False,
        ),
    )
}


def inputs(frame: pl.DataFrame, signature: Signature) -> pd.DataFrame:
    """A frame's columns as the pipelines take them: the tensors that the exported model takes, side by side."""
    numbers, categories = signature.frame_tensors(frame)
    return pd.concat(
        [
            pd.DataFrame(numbers, columns=list(signature.numbers)),
            pd.DataFrame(categories, columns=list(signature.categories)),
        ],
        axis=1,
    )


def export(pipeline: Pipeline, signature: Signature) -> bytes:
    """A fitted pipeline as ONNX, from the two tensors of the signature to the probabilities of staying and churning.

    Trees are rounded first, in place, to what 32-bit floats can do exactly. Thresholds are floored to float32: ``x <= t`` says
    the same for every float32 ``x``. The values of leaves become multiples of ``2 ** -20``, whose sums are exact up to 8. The
    exported model, which holds and adds both in float32, then agrees with the pipeline on every row.
    """
    from skl2onnx import to_onnx  # noqa: PLC0415 - seconds of import that only training pays
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: PLC0415

    model = pipeline.named_steps["model"]
    estimator = model.calibrated_classifiers_[0].estimator if isinstance(model, CalibratedClassifierCV) else model
    if isinstance(estimator, HistGradientBoostingClassifier):
        _round_trees(estimator)
    tensors: list[tuple[str, Any]] = []
    if signature.numbers:
        tensors.append((NUMBERS, FloatTensorType([None, len(signature.numbers)])))
    if signature.categories:
        tensors.append((CATEGORIES, StringTensorType([None, len(signature.categories)])))
    exported = to_onnx(pipeline, initial_types=tensors, options={id(model): {"zipmap": False}}, target_opset=OPSET)
    if PROBABILITIES not in [output.name for output in exported.graph.output]:
        raise RuntimeError(f"the exported model has outputs {[output.name for output in exported.graph.output]}")
    content: bytes = exported.SerializeToString(deterministic=True)
    return content


def _round_trees(model: HistGradientBoostingClassifier) -> None:
    model._baseline_prediction[...] = _on_grid(model._baseline_prediction)  # scikit-learn offers no public way to the trees
    for predictors in model._predictors:
        for predictor in predictors:
            exact = predictor.nodes["num_threshold"]
            with np.errstate(over="ignore"):
                rounded = exact.astype(np.float32)
            above = rounded.astype(np.float64) > exact
            rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
            predictor.nodes["num_threshold"] = rounded.astype(np.float64)
            predictor.nodes["value"] = _on_grid(predictor.nodes["value"])


def _on_grid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.round(values / LEAF_GRID) * LEAF_GRID
