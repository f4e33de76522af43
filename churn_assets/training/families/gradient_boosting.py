"""Histogram gradient boosting of scikit-learn."""

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees

PATIENCE = 15
"""Early stopping: number of rounds without a lower loss on the later rows."""

MOST_ROUNDS = 300
"""Early stopping: greatest number of rounds."""


class Boosting(HistGradientBoostingClassifier):  # type: ignore[misc]
    """Histogram gradient boosting that exports itself."""

    def fit_early_stopping(self, columns: Any, churned: Any, later: Any, later_churned: Any) -> int:
        """Fit with early stopping on later rows, and cut the model at its best round.

        Args:
            columns: prepared columns of the rows to fit on.
            churned: labels of the rows to fit on.
            later: prepared columns of the later rows.
            later_churned: labels of the later rows.

        Returns:
            The number of rounds of the model.
        """
        self.set_params(max_iter=MOST_ROUNDS, early_stopping=True, scoring="loss", n_iter_no_change=PATIENCE, tol=0.0)
        self.fit(columns, churned, X_val=later, y_val=later_churned)
        rounds = max(1, int(np.argmax(self.validation_score_)))  # the first score is that before any round
        del self._predictors[rounds:]
        return rounds

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; returns the name of their tensor."""
        trees = [
            _tree(predictor.nodes) for [predictor] in self._predictors
        ]  # scikit-learn has no public attribute for them
        base = float(np.ravel(self._baseline_prediction)[0])
        return sum_of_trees(trees, graph, columns, goes_left=LESS_OR_EQUAL, base=base)


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
