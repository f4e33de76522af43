"""Logistic regression on standardized numbers and one-hot categories, in 64 bits from the first step to the last."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression

from churn_assets.training.families.onnx_graph import DOUBLE, OnnxGraph

FURTHEST = 10.0
"""Greatest distance from the mean, in standard deviations, at which numbers are clipped: so no single number dominates the linear model."""

Floats = npt.NDArray[np.float64]


class Standardized(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Standardizes numbers, fills missing ones with the median, and adds a column that says which were missing.

    Numbers that were never missing in training get no such column.
    """

    def fit(self, numbers: Any, churned: object = None) -> Self:  # noqa: ARG002 - part of every transformer's interface
        """Learn medians, means and standard deviations from rows of numbers."""
        exact = np.asarray(numbers, dtype=np.float64)
        missing = np.isnan(exact)
        self.gaps_ = np.flatnonzero(missing.any(axis=0))
        self.median_ = np.nanmedian(exact, axis=0)
        filled = np.where(missing, self.median_, exact)
        self.mean_ = filled.mean(axis=0)
        spread = filled.std(axis=0)
        # Rounding leaves a constant with a spread of about 1e-16 times its size, and dividing by that would make any other value huge.
        constant = spread <= np.abs(self.mean_) * 1e-12
        self.scale_ = np.where(constant, 1.0, spread)
        return self

    def transform(self, numbers: Any) -> Floats:
        """The standardized columns, then those that say which numbers were missing."""
        exact = np.asarray(numbers, dtype=np.float64)
        missing = np.isnan(exact)
        scaled = (np.where(missing, self.median_, exact) - self.mean_) / self.scale_
        return np.hstack([np.clip(scaled, -FURTHEST, FURTHEST), missing[:, self.gaps_].astype(np.float64)])

    def onnx(self, graph: OnnxGraph, numbers: str) -> str:
        """Write ``transform`` into a graph; returns the name of the tensor, float64."""
        missing = graph.add("IsNaN", numbers)
        filled = graph.add("Where", missing, graph.constant(self.median_), graph.cast(numbers, DOUBLE))
        centred = graph.add("Sub", filled, graph.constant(self.mean_))
        scaled = graph.add("Div", centred, graph.constant(self.scale_))
        clipped = graph.add("Clip", scaled, graph.constant(-FURTHEST), graph.constant(FURTHEST))
        if not len(self.gaps_):
            return clipped
        gaps = graph.add("Gather", graph.cast(missing, DOUBLE), graph.constant(self.gaps_, np.int64), axis=1)
        return graph.concatenated([clipped, gaps])


class Logistic(LogisticRegression):  # type: ignore[misc]
    """Logistic regression that exports itself."""

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; returns the name of their tensor."""
        product = graph.add("MatMul", graph.cast(columns, DOUBLE), graph.constant(self.coef_.T))
        return graph.add("Add", product, graph.constant(self.intercept_))
