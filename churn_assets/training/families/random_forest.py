"""Random forest (Breiman 2001) of shallow trees, each fitted on a sample of the rows."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees

PRIOR = 0.005
"""Amount added to the shares of both classes, so that log odds are finite even if all trees agree."""

MOST_ROWS_OF_A_TREE = 50_000
"""Greatest number of rows of a tree: a shallow tree learns nothing from more, and each tree has another sample."""

Floats = npt.NDArray[np.float64]


class Forest(RandomForestClassifier):  # type: ignore[misc]
    """A random forest that gives log odds and exports itself."""

    def fit(self, columns: Any, churned: Any, sample_weight: Any = None) -> Self:
        """Fit trees, each on a sample of at most ``MOST_ROWS_OF_A_TREE`` rows."""
        share = self.get_params()["max_samples"]
        self.set_params(max_samples=min(share, MOST_ROWS_OF_A_TREE / len(churned)))
        try:
            super().fit(columns, churned, sample_weight)
        finally:
            self.set_params(max_samples=share)
        return self

    def decision_function(self, columns: Any) -> Floats:
        """Log odds of churn, from the trees' mean share of churners."""
        share = super().predict_proba(columns)[:, 1]
        odds: Floats = np.log((share + PRIOR) / (1 - share + PRIOR))
        return odds

    def predict_proba(self, columns: Any) -> Floats:
        """Probabilities of staying and churning, by the log odds."""
        share = (super().predict_proba(columns)[:, 1] + PRIOR) / (1 + 2 * PRIOR)
        return np.column_stack([1 - share, share])

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; returns the name of their tensor."""
        trees = [_tree(estimator.tree_, len(self.estimators_)) for estimator in self.estimators_]
        share = sum_of_trees(trees, graph, columns, goes_left=LESS_OR_EQUAL)
        churned = graph.add("Add", share, graph.constant(PRIOR))
        stayed = graph.add("Sub", graph.constant(1 + PRIOR), share)
        return graph.add("Log", graph.add("Div", churned, stayed))


def _tree(tree: Any, trees: int) -> Tree:
    return Tree(
        column=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=tree.missing_go_to_left.astype(bool),
        value=tree.value[:, 0, 1] / tree.value[:, 0, :].sum(axis=1) / trees,
    )
