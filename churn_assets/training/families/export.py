"""A fitted pipeline as ONNX, number for number.

Every step computes what scikit-learn computes, in 64 bits. Only the probabilities are rounded to 32 bits. So they differ from the
pipeline's by at most half a unit in the last place, about 3e-8, on every row of 32-bit numbers.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from churn_assets.training.families.onnx_graph import DOUBLE, FLOAT, ML, STRING, OnnxGraph
from churn_store.model.scorer import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.model.signature import Signature

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline


def inputs(frame: pl.DataFrame, signature: Signature) -> pd.DataFrame:
    """The input of a pipeline: the two tensors of the exported model, side by side as columns."""
    numbers, categories = signature.frame_tensors(frame)
    return pd.concat(
        [
            pd.DataFrame(numbers, columns=list(signature.numbers)),
            pd.DataFrame(categories, columns=list(signature.categories)),
        ],
        axis=1,
    )


def export(pipeline: "Pipeline", signature: Signature) -> bytes:
    """Export a fitted pipeline as ONNX, from the two tensors of the signature to the probabilities of staying and churning."""
    from sklearn.calibration import CalibratedClassifierCV  # noqa: PLC0415 - seconds of import that only training pays

    graph = OnnxGraph()
    model = pipeline.named_steps["model"]
    columns = _columns(pipeline.named_steps["columns"], signature, graph)
    if isinstance(model, CalibratedClassifierCV):
        [calibrated] = model.calibrated_classifiers_
        [sigmoid] = calibrated.calibrators
        log_odds = calibrated.estimator.estimator.onnx(graph, columns)
        log_odds = graph.add("Mul", log_odds, graph.constant(-sigmoid.a_))
        log_odds = graph.add("Sub", log_odds, graph.constant(sigmoid.b_))
    else:
        log_odds = model.onnx(graph, columns)
    churned = graph.add("Sigmoid", log_odds)
    stayed = graph.add("Sub", graph.constant(1.0), churned)
    return graph.model(graph.concatenated([stayed, churned]), called=PROBABILITIES, columns=2)


def _columns(fitted: "ColumnTransformer", signature: Signature, graph: OnnxGraph) -> str:
    """Write the preparation of the columns; returns the name of the estimator's input tensor."""
    names = []
    if signature.numbers:
        graph.takes(NUMBERS, FLOAT, len(signature.numbers))
    if signature.categories:
        graph.takes(CATEGORIES, STRING, len(signature.categories))
    kind = FLOAT
    for name, step, positions in fitted.transformers_:
        if name == NUMBERS:
            tensor = NUMBERS
            if len(positions) < len(signature.numbers):
                tensor = graph.add("Gather", NUMBERS, graph.constant(positions, np.int64), axis=1)
            if (write := getattr(step, "onnx", None)) is not None:
                tensor, kind = write(graph, tensor), DOUBLE
            names.append(tensor)
        elif name == CATEGORIES:
            names += [_one_hot(words, position, graph, kind) for position, words in enumerate(step.categories_)]
    return graph.concatenated(names)


def _one_hot(words: Any, position: int, graph: OnnxGraph, kind: int) -> str:
    """Write a 0/1 column for each known word of a category; an unknown word has 0 in all of them."""
    column = graph.add("Gather", CATEGORIES, graph.constant(position, np.int64), axis=1)
    encoded = graph.add("OneHotEncoder", column, domain=ML, cats_strings=[str(word) for word in words], zeros=1)
    return encoded if kind == FLOAT else graph.cast(encoded, kind)
