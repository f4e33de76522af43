"""The trees of a released model as arrays, where its log odds are a function of their sum.

All families with trees are exported so (``churn_assets.training.families``): numbers and 0/1 columns of words go into one ensemble, and
what follows it is a calibration. Reasons are computed from these arrays. A probability never is: it comes from ``scorer`` alone.

Belongs here: reading such a model. Does not belong here: whether its trees are trees (``onnx_trees``), and contributions
(``reasons.tree_shapley``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from churn_store.model.onnx_trees import NodePlaces
from churn_store.model.signature import Signature

MOST_NODES: Final = 250_000
"""Most nodes of an ensemble that is read: a larger one costs more than the runtime takes for a few hundred rows."""

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class TreeColumn(NamedTuple):
    """A column that trees compare.

    Attributes:
        attribute: position of the model's input it is made of: its numbers, then its words.
        word: the word for which it is 1 and else 0; ``None`` for a number.
    """

    attribute: int
    word: str | None = None


class Link(NamedTuple):
    """How log odds follow from a sum of trees: ``slope * inner(sum) + level``.

    Attributes:
        slope: slope of the calibration.
        level: level of the calibration.
        prior: what is added to the shares of both classes before their logarithm is taken, where the sum is a share of churners;
            ``None`` where it is log odds itself, so that ``inner`` is the sum.
    """

    slope: float
    level: float
    prior: float | None = None

    def log_odds(self, sums: Floats) -> Floats:
        """Log odds of sums; not a number for a sum that is no share, where it should be one."""
        if self.prior is None:
            return self.slope * sums + self.level
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.slope * np.log((sums + self.prior) / (1 + self.prior - sums)) + self.level)


@dataclass(frozen=True)
class TreeSum:
    """An ensemble, one entry a node, and the function of its sum that the log odds are.

    Attributes:
        columns: compared columns.
        column: index of the column that a branch compares.
        threshold: greatest value that takes the first way.
        first: node of the first way; -1 at a leaf.
        second: node of the other way; -1 at a leaf.
        missing_first: whether a missing number takes the first way.
        value: what a leaf adds.
        base: what is added to each sum.
        link: from sums to log odds.
    """

    columns: tuple[TreeColumn, ...]
    column: Whole
    threshold: Floats
    first: Whole
    second: Whole
    missing_first: Flags
    value: Floats
    base: float
    link: Link


def read_tree_sum(model: Any, signature: Signature) -> TreeSum | None:
    """The trees of a model, or ``None`` if its log odds are no function of one sum that is known here.

    Args:
        model: the parsed model, which ``require_plain`` let pass.
        signature: inputs of the model.
    """
    try:
        return _Reader(model, signature).read()
    except (
        _UnknownFormError,
        KeyError,
        IndexError,
        ValueError,
    ):  # an attribute that is not there, or a place beside the columns
        return None


class _UnknownFormError(Exception):
    """The graph is none that the families with trees are exported as."""


class _Affine(NamedTuple):
    """``slope * x + level``, where ``x`` is the sum, or the logarithm of the ratio of shares."""

    slope: float
    level: float
    prior: float | None = None


class _Ratio(NamedTuple):
    over: _Affine
    under: _Affine


class _Reader:
    """Reads a graph operator by operator: what each tensor is in terms of the columns, then of the sum."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self._graph = model.graph
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        numbers, names = len(signature.numbers), len(signature.numbers) + len(signature.categories)
        self._known: dict[str, Any] = {
            "numbers": tuple(TreeColumn(position) for position in range(numbers)),
            "categories": tuple(TreeColumn(position) for position in range(numbers, names)),
        }
        self._first_word = numbers
        self._ensemble: tuple[tuple[TreeColumn, ...], Any] | None = None

    def read(self) -> TreeSum:
        operators: Mapping[str, Callable[[Any, dict[str, Any]], Any]] = {
            "Cast": self._cast, "Gather": self._gather, "OneHotEncoder": self._one_hot, "Concat": self._concat,
            "TreeEnsembleRegressor": self._trees, "Mul": self._mul, "Add": self._add, "Sub": self._sub, "Div": self._div,
            "Log": self._log, "Sigmoid": self._sigmoid,
        }  # fmt: skip
        for node in self._graph.node:
            if node.op_type not in operators or len(node.output) != 1:
                raise _UnknownFormError
            self._known[node.output[0]] = operators[node.op_type](node, {one.name: one for one in node.attribute})
        ends = self._known.get("probabilities")
        if self._ensemble is None or not isinstance(ends, Link) or ends.slope == 0:
            raise _UnknownFormError
        return _arrays(*self._ensemble, ends)

    def _of(self, name: str, kind: type) -> Any:
        found = self._known.get(name)
        if not isinstance(found, kind) or (kind is tuple and isinstance(found, (_Affine, _Ratio, Link))):
            raise _UnknownFormError
        return found

    def _constant(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            raise _UnknownFormError
        return np.asarray(numpy_helper.to_array(self._constants[name]))

    def _scalar(self, name: str) -> float:
        found = self._constant(name)
        if found.size != 1 or found.dtype != np.float64 or not np.isfinite(found).all():
            raise _UnknownFormError
        return float(found.ravel()[0])

    def _cast(self, node: Any, attributes: dict[str, Any]) -> Any:
        found = self._known.get(node.input[0])
        if found is None or attributes["to"].i not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            raise _UnknownFormError
        return found

    def _gather(self, node: Any, attributes: dict[str, Any]) -> Any:
        columns, places = self._of(node.input[0], tuple), self._constant(node.input[1])
        if "axis" not in attributes or attributes["axis"].i != 1:
            raise _UnknownFormError
        return tuple(columns[place] for place in places.ravel().tolist())

    def _one_hot(self, node: Any, attributes: dict[str, Any]) -> Any:
        columns = self._of(node.input[0], tuple)
        if len(columns) != 1 or columns[0].word is not None or columns[0].attribute < self._first_word:
            raise _UnknownFormError
        if "zeros" in attributes and not attributes["zeros"].i:
            raise _UnknownFormError
        return tuple(TreeColumn(columns[0].attribute, word.decode()) for word in attributes["cats_strings"].strings)

    def _concat(self, node: Any, attributes: dict[str, Any]) -> Any:
        if "axis" not in attributes or attributes["axis"].i != 1:
            raise _UnknownFormError
        if isinstance(self._known.get(node.input[0]), Link):
            stayed, churned = (self._of(name, Link) for name in node.input)
            if stayed != Link(-churned.slope, -churned.level, churned.prior):
                raise _UnknownFormError
            return churned
        return tuple(column for name in node.input for column in self._of(name, tuple))

    def _trees(self, node: Any, attributes: dict[str, Any]) -> Any:
        columns = self._of(node.input[0], tuple)
        if self._ensemble is not None or any(one.attribute >= self._first_word and one.word is None for one in columns):
            raise _UnknownFormError
        self._ensemble = columns, attributes
        return _Affine(1.0, 0.0)

    def _mul(self, node: Any, _: dict[str, Any]) -> Any:
        return self._linear(node, lambda sums, by: _Affine(sums.slope * by, sums.level * by, sums.prior))

    def _add(self, node: Any, _: dict[str, Any]) -> Any:
        return self._linear(node, lambda sums, by: _Affine(sums.slope, sums.level + by, sums.prior))

    def _sub(self, node: Any, _: dict[str, Any]) -> Any:
        first, second = node.input
        if first in self._constants:
            found, by = self._known.get(second), self._scalar(first)
            if isinstance(found, Link) and by == 1.0:  # one less a probability turns its log odds round
                return Link(-found.slope, -found.level, found.prior)
            found = self._of(second, _Affine)
            return _Affine(-found.slope, by - found.level, found.prior)
        return self._linear(node, lambda sums, by: _Affine(sums.slope, sums.level - by, sums.prior))

    def _linear(self, node: Any, combined: Callable[[_Affine, float], _Affine]) -> _Affine:
        first, second = node.input
        return combined(self._of(first, _Affine), self._scalar(second))

    def _div(self, node: Any, _: dict[str, Any]) -> Any:
        return _Ratio(*(self._of(name, _Affine) for name in node.input))

    def _log(self, node: Any, _: dict[str, Any]) -> Any:
        over, under = self._of(node.input[0], _Ratio)
        if over.prior is not None or not over.level > 0 or over.slope != 1:
            raise _UnknownFormError
        if under != _Affine(-1.0, 1 + over.level):
            raise _UnknownFormError
        return _Affine(1.0, 0.0, over.level)

    def _sigmoid(self, node: Any, _: dict[str, Any]) -> Any:
        return Link(*self._of(node.input[0], _Affine))


def _arrays(columns: tuple[TreeColumn, ...], attributes: Mapping[str, Any], link: Link) -> TreeSum:
    """The arrays of an ensemble of one target, whose branches all compare alike."""

    def whole(name: str) -> Whole:
        return np.array(attributes[name].ints, dtype=np.int64)

    def doubles(name: str) -> Floats:
        found = attributes.get(f"{name}_as_tensor")
        if found is None or found.t.data_type != TensorProto.DOUBLE:
            raise _UnknownFormError
        return np.asarray(numpy_helper.to_array(found.t), dtype=np.float64)

    modes = attributes["nodes_modes"].strings
    if len(modes) > MOST_NODES or "nodes_missing_value_tracks_true" not in attributes:
        raise _UnknownFormError
    if attributes["n_targets"].i != 1 or any(
        name in attributes and attributes[name].s != usual
        for name, usual in (("aggregate_function", b"SUM"), ("post_transform", b"NONE"))
    ):
        raise _UnknownFormError
    leaf = np.array([mode == b"LEAF" for mode in modes])
    compared = {mode for mode in modes if mode != b"LEAF"}
    threshold = doubles("nodes_values")
    if compared == {b"BRANCH_LT"}:
        threshold = np.nextafter(threshold, -np.inf)
    elif compared != {b"BRANCH_LEQ"}:
        raise _UnknownFormError
    tree = whole("nodes_treeids")
    places = NodePlaces(tree, whole("nodes_nodeids"))
    value = np.zeros(len(modes))
    np.add.at(value, places.of(whole("target_treeids"), whole("target_nodeids")), doubles("target_weights"))
    first, second = (places.of(tree, whole(f"nodes_{side}nodeids")) for side in ("true", "false"))
    return TreeSum(
        columns=columns,
        column=whole("nodes_featureids"),
        threshold=threshold,
        first=np.where(leaf, -1, first),
        second=np.where(leaf, -1, second),
        missing_first=whole("nodes_missing_value_tracks_true") != 0,
        value=value,
        base=float(doubles("base_values").sum()) if "base_values_as_tensor" in attributes else 0.0,
        link=link,
    )
