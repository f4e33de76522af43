"""LightGBM (Ke et al. 2017), with log odds. Import it only where the family is used: its package is an extra."""

from typing import Any

import numpy as np
import numpy.typing as npt
from lightgbm import LGBMClassifier

from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees


class LightGbm(LGBMClassifier):
    """A classifier of LightGBM that gives log odds and exports itself."""

    def decision_function(self, columns: Any) -> npt.NDArray[np.float64]:  # type: ignore[override]
        """Log odds of churn."""
        return np.asarray(self.booster_.predict(columns, raw_score=True))

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; returns the name of their tensor."""
        return sum_of_trees(trees_of(self), graph, columns, goes_left=LESS_OR_EQUAL)


def trees_of(estimator: LightGbm) -> list[Tree]:
    """The fitted trees; a tree without a split is one leaf."""
    return [_tree(info["tree_structure"]) for info in estimator.booster_.dump_model()["tree_info"]]


def _tree(root: dict[str, Any]) -> Tree:
    nodes: list[dict[str, Any]] = [root]
    left, right = [], []
    for node in nodes:  # grows while it is walked: children are appended
        if "split_feature" in node:
            left.append(len(nodes))
            right.append(len(nodes) + 1)
            nodes += [node["left_child"], node["right_child"]]
        else:
            left.append(-1)
            right.append(-1)
    return Tree(
        column=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=np.array([float(node.get("threshold", 0.0)) for node in nodes]),
        left=np.array(left),
        right=np.array(right),
        missing_left=np.array([_missing_left(node) for node in nodes]),
        value=np.array([float(node.get("leaf_value", 0.0)) for node in nodes]),
    )


def _missing_left(node: dict[str, Any]) -> bool:
    """Whether a missing number goes left; it counts as 0 if none was missing in training (``Tree::NumericalDecision`` of LightGBM)."""
    if node.get("missing_type") == "NaN":
        return bool(node["default_left"])
    return float(node.get("threshold", 0.0)) >= 0.0
