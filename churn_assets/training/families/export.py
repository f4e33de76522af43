"""A fitted pipeline as ONNX, number for number.

Every step is written as what scikit-learn computes, in 64 bits, and only the probabilities are rounded to 32: they differ from the
pipeline's by at most half a unit of their last place, about 3e-8, on every row of 32-bit numbers.
"""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from churn_assets.training.families.onnx_graph import DOUBLE, FLOAT, ML, STRING, OnnxGraph
from churn_store.model.scorer import CATEGORIES, NUMBERS, PROBABILITIES
from churn_store.model.signature import Signature


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
    """A fitted pipeline as ONNX, from the two tensors of the signature to the probabilities of staying and churning."""
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
    return graph.model(graph.beside([stayed, churned]), called=PROBABILITIES, columns=2)


def _columns(fitted: ColumnTransformer, signature: Signature, graph: OnnxGraph) -> str:
    """Write what the estimator looks at; the name of its tensor."""
    names = []
    if signature.numbers:
        graph.takes(NUMBERS, FLOAT, len(signature.numbers))
    if signature.categories:
        graph.takes(CATEGORIES, STRING, len(signature.categories))
    kind = FLOAT
    for name, step, positions in fitted.transformers_:
        if name == NUMBERS:
            looked_at = NUMBERS
            if len(positions) < len(signature.numbers):
                looked_at = graph.add("Gather", NUMBERS, graph.constant(positions, np.int64), axis=1)
            if (write := getattr(step, "onnx", None)) is not None:
                looked_at, kind = write(graph, looked_at), DOUBLE
            names.append(looked_at)
        elif name == CATEGORIES:
            names += [_one_hot(words, place, graph, kind) for place, words in enumerate(step.categories_)]
    return graph.beside(names)


def _one_hot(words: Any, place: int, graph: OnnxGraph, kind: int) -> str:
    """Write one column for each known word of a category; an unknown one is none of them."""
    column = graph.add("Gather", CATEGORIES, graph.constant(place, np.int64), axis=1)
    found = graph.add("OneHotEncoder", column, domain=ML, cats_strings=[str(word) for word in words], zeros=1)
    return found if kind == FLOAT else graph.cast(found, kind)
