"""Logistic regression on standardized numbers and one-hot categories, in 64 bits from the first step to the last."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression

from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.onnx_graph import DOUBLE, OnnxGraph

FURTHEST = 10.0
"""So many standard deviations from the mean a number counts at most: beyond, a linear model would bet all on one number."""

Floats = npt.NDArray[np.float64]


class Standardized(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers in standard deviations from their mean, the median where they are missing, and which of them were missing.

    A number that training always had gets no column that says whether it is missing.
    """

    def fit(self, numbers: Any, churned: object = None) -> Self:  # noqa: ARG002 - as every transformer has it
        """Learn medians, means and standard deviations from rows of numbers."""
        exact = np.asarray(numbers, dtype=np.float64)
        missing = np.isnan(exact)
        self.gaps_ = np.flatnonzero(missing.any(axis=0))
        self.median_ = np.nanmedian(exact, axis=0)
        filled = np.where(missing, self.median_, exact)
        self.mean_ = filled.mean(axis=0)
        spread = filled.std(axis=0)
        # Of a constant rounding leaves a spread of its own size times 1e-16, which would blow any other value up.
        constant = spread <= np.abs(self.mean_) * 1e-12
        self.scale_ = np.where(constant, 1.0, spread)
        return self

    def transform(self, numbers: Any) -> Floats:
        """The numbers' columns, then those of the gaps."""
        exact = np.asarray(numbers, dtype=np.float64)
        missing = np.isnan(exact)
        scaled = (np.where(missing, self.median_, exact) - self.mean_) / self.scale_
        return np.hstack([np.clip(scaled, -FURTHEST, FURTHEST), missing[:, self.gaps_].astype(np.float64)])

    def onnx(self, graph: OnnxGraph, numbers: str) -> str:
        """Write ``transform`` into a graph; the name of the columns, float64."""
        missing = graph.add("IsNaN", numbers)
        filled = graph.add("Where", missing, graph.constant(self.median_), graph.cast(numbers, DOUBLE))
        centred = graph.add("Sub", filled, graph.constant(self.mean_))
        scaled = graph.add("Div", centred, graph.constant(self.scale_))
        cut = graph.add("Clip", scaled, graph.constant(-FURTHEST), graph.constant(FURTHEST))
        if not len(self.gaps_):
            return cut
        gaps = graph.add("Gather", graph.cast(missing, DOUBLE), graph.constant(self.gaps_, np.int64), axis=1)
        return graph.beside([cut, gaps])


class Logistic(LogisticRegression):  # type: ignore[misc]
    """Logistic regression that exports itself."""

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; their name."""
        product = graph.add("MatMul", graph.cast(columns, DOUBLE), graph.constant(self.coef_.T))
        return graph.add("Add", product, graph.constant(self.intercept_))


def _estimator(parameters: Mapping[str, Value], seed: int) -> Logistic:
    return Logistic(**parameters, random_state=seed)


LOGISTIC_REGRESSION = Family(
    name="logistic_regression",
    description="Logistic regression on standardized numbers and one-hot categories; tuned and calibrated, unlike the plain one of the baselines.",
    parameters={
        "C": Parameter(1.0, takes=(1e-8, 1e8), search=(1e-3, 10.0), logarithmic=True),
        "max_iter": Parameter(1000, takes=(1, 1_000_000)),
    },
    estimator=_estimator,
    prepare=Standardized,
)
