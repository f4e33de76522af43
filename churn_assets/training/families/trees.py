"""The trees of any library as one ONNX node.

Thresholds and leaves stay 64-bit numbers, and the inputs are converted to 64 bits before they are compared. So no split point moves, no
sum is rounded, and the exported trees give what the library's own trees give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import helper

from churn_assets.training.families.onnx_graph import DOUBLE, ML, OnnxGraph

LESS_OR_EQUAL, LESS = "BRANCH_LEQ", "BRANCH_LT"
"""The comparison that sends a row to the left: at most the threshold, or below it."""

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A binary tree as arrays with one entry for each node, the root first.

    Attributes:
        column: index of the compared column.
        threshold: threshold of the comparison.
        left: next node if the comparison is true; negative for a leaf.
        right: next node if it is false.
        missing_left: whether a missing number goes to the left.
        value: value of a leaf.
    """

    column: Indices
    threshold: Floats
    left: Indices
    right: Indices
    missing_left: npt.NDArray[np.bool_]
    value: Floats

    @property
    def is_leaf(self) -> npt.NDArray[np.bool_]:
        """Which nodes are leaves."""
        return self.left < 0


def sum_of_trees(trees: Sequence[Tree], graph: OnnxGraph, columns: str, *, goes_left: str, base: float = 0.0) -> str:
    """Write the sum, over the trees, of the leaf values of each row.

    Args:
        trees: trees of one model.
        graph: ONNX graph to write to.
        columns: name of the tensor of the compared columns.
        goes_left: comparison of the trees, ``LESS_OR_EQUAL`` or ``LESS``.
        base: constant added to each sum.

    Returns:
        The name of the tensor of sums, float64 ``[n, 1]``.
    """
    sizes = [len(tree.left) for tree in trees]
    leaf = np.concatenate([tree.is_leaf for tree in trees])
    number = np.repeat(np.arange(len(trees)), sizes)
    node = np.concatenate([np.arange(size) for size in sizes])

    def joined(name: str, at_leaf: float = 0) -> npt.NDArray[np.generic]:
        return np.where(leaf, at_leaf, np.concatenate([getattr(tree, name) for tree in trees]))

    def doubles(name: str, values: Floats) -> object:
        return helper.make_tensor(name, DOUBLE, [len(values)], values)

    def whole(values: npt.NDArray[np.generic]) -> list[int]:
        return [int(value) for value in values.tolist()]

    sums = graph.add(
        "TreeEnsembleRegressor",
        graph.cast(columns, DOUBLE),
        domain=ML,
        n_targets=1,
        nodes_treeids=whole(number),
        nodes_nodeids=whole(node),
        nodes_modes=["LEAF" if is_leaf else goes_left for is_leaf in leaf.tolist()],
        nodes_featureids=whole(joined("column")),
        nodes_values_as_tensor=doubles("thresholds", joined("threshold").astype(np.float64)),
        nodes_truenodeids=whole(joined("left")),
        nodes_falsenodeids=whole(joined("right")),
        nodes_missing_value_tracks_true=whole(joined("missing_left")),
        target_treeids=whole(number[leaf]),
        target_nodeids=whole(node[leaf]),
        target_ids=[0] * int(leaf.sum()),
        target_weights_as_tensor=doubles("leaves", np.concatenate([tree.value for tree in trees])[leaf]),
        base_values_as_tensor=doubles("base", np.array([base])),
        aggregate_function="SUM",
        post_transform="NONE",
    )
    return graph.cast(sums, DOUBLE)
