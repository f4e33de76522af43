"""Histogram gradient boosting of scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees


class Boosting(HistGradientBoostingClassifier):  # type: ignore[misc]
    """Histogram gradient boosting that exports itself."""

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
        "learning_rate": Parameter(0.05, takes=(1e-6, 1.0), search=(0.02, 0.15), logarithmic=True),
        "max_iter": Parameter(150, takes=(1, 5_000), search=(60, 200)),
        "max_leaf_nodes": Parameter(12, takes=(2, 1_024), search=(4, 24), logarithmic=True),
        "min_samples_leaf": Parameter(60, takes=(1, 1_000_000), search=(20, 200), logarithmic=True),
        "l2_regularization": Parameter(1.0, takes=(0.0, 1e9), search=(0.1, 30.0), logarithmic=True),
    },
    estimator=_estimator,
)
