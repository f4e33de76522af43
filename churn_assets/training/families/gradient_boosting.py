"""Histogram gradient boosting of scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees

PATIENCE = 15
"""Boosting stops after so many rounds that make no later row better."""

MOST_ROUNDS = 300
"""Boosting that stops by itself takes at most so many rounds."""


class Boosting(HistGradientBoostingClassifier):  # type: ignore[misc]
    """Histogram gradient boosting that exports itself."""

    def fit_until(self, columns: Any, churned: Any, later: Any, later_churned: Any) -> int:
        """Fit until later rows get no better, and keep the rounds up to the best.

        Args:
            columns: prepared columns of the rows to fit on.
            churned: their labels.
            later: prepared columns of later rows.
            later_churned: their labels.

        Returns:
            The number of rounds that are kept.
        """
        self.set_params(max_iter=MOST_ROUNDS, early_stopping=True, scoring="loss", n_iter_no_change=PATIENCE, tol=0.0)
        self.fit(columns, churned, X_val=later, y_val=later_churned)
        rounds = max(1, int(np.argmax(self.validation_score_)))  # the first score is that of no round at all
        del self._predictors[rounds:]
        return rounds

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; their name."""
        trees = [_tree(predictor.nodes) for [predictor] in self._predictors]  # scikit-learn offers no public way to them
        base = float(np.ravel(self._baseline_prediction)[0])
        return sum_of_trees(trees, graph, columns, goes_left=LESS_OR_EQUAL, base=base)


def _estimator(parameters: Mapping[str, Value], seed: int) -> Boosting:
    return Boosting(**parameters, early_stopping=False, random_state=seed)


def _tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        column=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"],
    )


GRADIENT_BOOSTING = Family(
    name="gradient_boosting",
    description="Histogram gradient boosting of shallow trees on unscaled numbers and one-hot categories.",
    parameters={
        "learning_rate": Parameter(0.05, takes=(1e-6, 1.0), search=(0.04, 0.15), logarithmic=True),
        "max_iter": Parameter(150, takes=(1, 5_000)),
        "max_leaf_nodes": Parameter(12, takes=(2, 1_024), search=(4, 40), logarithmic=True),
        "min_samples_leaf": Parameter(60, takes=(1, 1_000_000), search=(20, 200), logarithmic=True),
        "l2_regularization": Parameter(1.0, takes=(0.0, 1e9), search=(0.1, 30.0), logarithmic=True),
    },
    estimator=_estimator,
    library={
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
    },
    rounds="max_iter",
)
