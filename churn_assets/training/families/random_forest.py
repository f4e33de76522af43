"""Random forest (Breiman 2001) of shallow trees, each on a part of the rows."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier

from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.onnx_graph import OnnxGraph
from churn_assets.training.families.trees import LESS_OR_EQUAL, Tree, sum_of_trees

PRIOR = 0.005
"""So much is added to both classes' shares, so that a forest whose trees all agree has log odds still."""

MOST_ROWS_OF_A_TREE = 50_000
"""A shallow tree learns no more from more rows; each tree draws others."""

Floats = npt.NDArray[np.float64]


class Forest(RandomForestClassifier):  # type: ignore[misc]
    """A random forest that gives log odds and exports itself."""

    def fit(self, columns: Any, churned: Any, sample_weight: Any = None) -> Self:
        """Fit trees, each on its share of the rows, but on no more than ``MOST_ROWS_OF_A_TREE``."""
        share = self.get_params()["max_samples"]
        self.set_params(max_samples=min(share, MOST_ROWS_OF_A_TREE / len(churned)))
        try:
            super().fit(columns, churned, sample_weight)
        finally:
            self.set_params(max_samples=share)
        return self

    def decision_function(self, columns: Any) -> Floats:
        """Log odds of churn by the trees' mean share of churners."""
        share = super().predict_proba(columns)[:, 1]
        odds: Floats = np.log((share + PRIOR) / (1 - share + PRIOR))
        return odds

    def predict_proba(self, columns: Any) -> Floats:
        """Probabilities of staying and churning that go with the log odds."""
        share = (super().predict_proba(columns)[:, 1] + PRIOR) / (1 + 2 * PRIOR)
        return np.column_stack([1 - share, share])

    def onnx(self, graph: OnnxGraph, columns: str) -> str:
        """Write the log odds into a graph; their name."""
        trees = [_tree(one.tree_, len(self.estimators_)) for one in self.estimators_]
        share = sum_of_trees(trees, graph, columns, goes_left=LESS_OR_EQUAL)
        churned = graph.add("Add", share, graph.constant(PRIOR))
        stayed = graph.add("Sub", graph.constant(1 + PRIOR), share)
        return graph.add("Log", graph.add("Div", churned, stayed))


def _estimator(parameters: Mapping[str, Value], seed: int) -> Forest:
    return Forest(**parameters, n_jobs=1, random_state=seed)


def _tree(tree: Any, trees: int) -> Tree:
    return Tree(
        column=tree.feature,
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=tree.missing_go_to_left.astype(bool),
        value=tree.value[:, 0, 1] / tree.value[:, 0, :].sum(axis=1) / trees,
    )


RANDOM_FOREST = Family(
    name="random_forest",
    description="Random forest of shallow trees on unscaled numbers and one-hot categories.",
    parameters={
        "n_estimators": Parameter(100, takes=(1, 5_000)),
        "max_depth": Parameter(10, takes=(1, 64), search=(5, 14)),
        "min_samples_leaf": Parameter(10, takes=(1, 1_000_000), search=(3, 60), logarithmic=True),
        "max_features": Parameter(0.15, takes=(1e-6, 1.0), search=(0.08, 0.6), logarithmic=True),
        "max_samples": Parameter(0.2, takes=(1e-6, 1.0)),
    },
    estimator=_estimator,
)
