"""Checks the trees of a ``model.onnx`` before onnxruntime builds them.

onnxruntime follows a tree by recursion and trusts its numbers: a branch nested some ten thousand times ends the process, a circle never
ends, and a column or leaf that does not exist is read beside the tensor. So an ensemble must be what exporters write: trees, each of
one root, no deeper than a model here ever is, whose columns, children and leaves exist. Does not belong here: which operators are
allowed (``onnx_allowlist``).
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from churn_store.errors import ReleaseError

DEEPEST: Final = 1_024
"""Most branches from a root to a leaf: families grow trees of at most 1,024 leaves. onnxruntime 1.31 dies below 20,000, with a stack of
8 MiB."""

_KINDS: Final = {"TreeEnsembleRegressor": "target", "TreeEnsembleClassifier": "class"}
"""The operators, and how the attributes of their leaves begin."""

_BRANCHES: Final = frozenset({b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"})
_LEAF: Final = b"LEAF"

Places = npt.NDArray[np.int64]


def require_trees(model: Any, columns: Mapping[str, int]) -> None:
    """Refuse a tree ensemble that is no ensemble of trees.

    Args:
        model: the parsed model.
        columns: number of columns of each table of the model, by name.

    Raises:
        ReleaseError: if a tree is too deep, holds a circle, or names a node, column or target that does not exist.
    """
    for node in model.graph.node:
        if node.op_type in _KINDS:
            found = _fault(node, columns.get(node.input[0], 0))
            if found is not None:
                raise ReleaseError(f"model.onnx has a {node.op_type} {found}; a model of this platform never does")


def _fault(node: Any, columns: int) -> str | None:
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if len(attributes) < len(node.attribute):
        return "with an attribute twice"
    tree, name, column, true, false = (
        _whole(attributes, f"nodes_{part}") for part in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    )
    modes = list(attributes["nodes_modes"].strings) if "nodes_modes" in attributes else []
    sizes = {len(tree), len(name), len(column), len(true), len(false), len(modes), _size(attributes, "nodes_values")}
    optional = {_size(attributes, f"nodes_{part}") for part in ("hitrates", "missing_value_tracks_true")}
    if sizes != {len(tree)} or not len(tree) or optional - {0, len(tree)}:
        return "whose nodes are told in lists of other lengths"
    if unknown := set(modes) - _BRANCHES - {_LEAF}:
        return f"with nodes of the kind {min(unknown)[:20]!r}"
    leaf = np.array([mode == _LEAF for mode in modes])
    if ((column < 0) | (column >= columns))[~leaf].any():
        return f"that looks at a column beside the {columns} of its table"
    places = NodePlaces(tree, name)
    if places.repeated:
        return "with a node twice"
    shape = _shape_fault(places, leaf, places.of(tree, true), places.of(tree, false))
    return shape or _leaf_fault(node, attributes, places, leaf)


class NodePlaces:
    """Where each node of an ensemble is: found by its tree and name.

    Args:
        tree: tree of each node.
        name: name of each node within its tree.
    """

    def __init__(self, tree: Places, name: Places) -> None:
        self.tree = tree
        self._trees, self._names = np.unique(tree), np.unique(name)
        keys = self._keys(tree, name)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        self.repeated = bool((self._sorted[1:] == self._sorted[:-1]).any())

    def of(self, tree: Places, name: Places) -> Places:
        """The places of nodes; -1 for one that does not exist."""
        keys = self._keys(tree, name)
        found = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[found] == keys, self._order[found], -1)

    def _keys(self, tree: Places, name: Places) -> Places:
        """One number for each pair of names; -1 where either exists nowhere."""
        known = np.isin(tree, self._trees) & np.isin(name, self._names)
        keys = np.searchsorted(self._trees, tree) * len(self._names) + np.searchsorted(self._names, name)
        return np.where(known, keys, -1)


def _shape_fault(places: NodePlaces, leaf: npt.NDArray[np.bool_], true: Places, false: Places) -> str | None:
    """What is wrong with the shape: each node must be the child of one branch, but for the first of each tree, its root."""
    branches = np.flatnonzero(~leaf)
    children = np.concatenate([true[branches], false[branches]])
    if (children < 0).any():
        return "with a branch to a node that does not exist"
    starts = np.flatnonzero(np.append(True, places.tree[1:] != places.tree[:-1]))
    if len(np.unique(places.tree[starts])) < len(starts):
        return "whose trees are told in pieces"
    parents = np.bincount(children, minlength=len(leaf))
    expected = np.ones(len(leaf), dtype=np.int64)
    expected[starts] = 0
    if (parents != expected).any():
        return "with a circle, a node of two branches or one of none"
    level = starts
    for _ in range(DEEPEST + 1):
        level = level[~leaf[level]]
        if not level.size:
            break
        level = np.concatenate([true[level], false[level]])
    else:
        return f"of more than {DEEPEST} branches from root to leaf"
    return None


def _leaf_fault(node: Any, attributes: Mapping[str, Any], places: NodePlaces, leaf: npt.NDArray[np.bool_]) -> str | None:
    """What is wrong with the weights of the leaves."""
    kind = _KINDS[node.op_type]
    tree, name, target = (_whole(attributes, f"{kind}_{part}") for part in ("treeids", "nodeids", "ids"))
    if not len(tree) == len(name) == len(target) == _size(attributes, f"{kind}_weights") > 0:
        return "whose leaves are told in lists of other lengths"
    where = places.of(tree, name)
    if (where < 0).any() or not leaf[where].all():
        return "that weighs a leaf that does not exist"
    if kind == "target":
        targets = attributes["n_targets"].i if "n_targets" in attributes else 0
    else:
        labels = (attributes.get("classlabels_int64s"), attributes.get("classlabels_strings"))
        targets = sum(len(label.ints) + len(label.strings) for label in labels if label is not None)
    return "with a target that does not exist" if ((target < 0) | (target >= targets)).any() else None


def _whole(attributes: Mapping[str, Any], name: str) -> Places:
    return np.array(attributes[name].ints if name in attributes else [], dtype=np.int64)


def _size(attributes: Mapping[str, Any], name: str) -> int:
    """How many numbers an attribute holds, as a list or as a tensor (``..._as_tensor``)."""
    if f"{name}_as_tensor" in attributes:
        return int(numpy_helper.to_array(attributes[f"{name}_as_tensor"].t).size)
    return len(attributes[name].floats) if name in attributes else 0
