"""XGBoost (Chen and Guestrin 2016), with log odds. Import it only where the family is used: its package is an extra."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from xgboost import XGBClassifier

from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS, Tree, sum_of_trees

BATCH_ROWS = 20_000
"""Number of rows that are scored at a time."""


class XgBoost(XGBClassifier):
    """A classifier of XGBoost that gives log odds and exports itself.

    XGBoost finds the leaf of each tree that a row falls into, and the leaf values are added here in 64 bits. XGBoost's own sum in 32 bits
    is off by more than 1e-6 after some hundred trees.
    """

    def decision_function(self, columns: Any) -> npt.NDArray[np.float64]:
        """Log odds of churn."""
        trees = trees_of(self)
        leaves = np.zeros((len(trees), max(len(tree.value) for tree in trees)))
        for number, tree in enumerate(trees):
            leaves[number, : len(tree.value)] = tree.value
        rows = np.asarray(columns)
        batches = [self.apply(rows[at : at + BATCH_ROWS]).astype(np.int64) for at in range(0, len(rows), BATCH_ROWS)]
        positions = [batch.reshape(-1, len(trees)) for batch in batches]  # with a single tree XGBoost omits the second axis
        return np.concatenate([leaves[np.arange(len(trees)), batch].sum(axis=1) for batch in positions])

    def predict_proba(self, columns: Any) -> npt.NDArray[np.float64]:  # type: ignore[override]
        """Probabilities of staying and churning, by the log odds."""
        churned = 1 / (1 + np.exp(-self.decision_function(columns)))
        return np.column_stack([1 - churned, churned])

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; returns the name of their tensor."""
        return sum_of_trees(trees_of(self), graph, columns, goes_left=LESS)


def trees_of(estimator: XgBoost) -> list[Tree]:
    """The fitted trees; thresholds and leaves are the 32-bit numbers that XGBoost compares with and adds."""
    model = json.loads(estimator.get_booster().save_raw(raw_format="json"))
    return [_tree(tree) for tree in model["learner"]["gradient_booster"]["model"]["trees"]]


def _tree(tree: dict[str, Any]) -> Tree:
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    left = np.array(tree["left_children"], dtype=np.int64)
    return Tree(
        column=np.array(tree["split_indices"], dtype=np.int64),
        threshold=conditions,
        left=left,
        right=np.array(tree["right_children"], dtype=np.int64),
        missing_left=np.array(tree["default_left"], dtype=bool),
        value=np.where(left < 0, conditions, 0.0),
    )
