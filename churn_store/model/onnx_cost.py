"""Limits how much a model computes for a row, judged by the shapes of its tensors before anything is computed.

A few hundred bytes can ask for gigabytes with harmless operators: a tensor concatenated with itself thirty times over, or a column
added to a row. So the shapes of all tensors are inferred, for a few rows and for twice as many. The work for a row is limited,
twice the rows may take at most twice as much, and nothing may be computed from constants alone, as that happens while the model is
loaded. Does not belong here: which operators are allowed (``onnx_allowlist``).
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, Final

from onnx import TensorProto, helper, shape_inference

from churn_store.errors import ReleaseError

ROWS: Final = 200
"""Rows of the shape inference: as many as golden rows."""

MOST_OF_A_ROW: Final = 200_000
"""Most numbers computed for one row, in all tensors together: a category value takes about four, an input about ten."""

_TABLE: Final = 2
"""Dimensions of a table: rows and columns."""

_SMALL: Final = 64
"""Size up to which constants keep their values, because some of them give a shape."""

_AS_THEY_CAME: Final = frozenset({"Imputer", "Scaler"})
_A_ROW_EACH: Final = {
    "TreeEnsembleRegressor": "n_targets",
    "TreeEnsembleClassifier": "classlabels_int64s",
    "LinearClassifier": "classlabels_ints",
}
"""Operators whose shapes onnx does not infer: those that give what they take, and those whose attribute says what a row gets."""


def require_little_work(model: Any) -> dict[str, int]:
    """Refuse a model that computes more for a row than a model here does.

    Returns:
        The number of columns of each table of the model, by name.

    Raises:
        ReleaseError: if it does; the message names what was found.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in constants]
    for given in inputs:
        if len(given.type.tensor_type.shape.dim) != _TABLE:
            raise ReleaseError(f"model.onnx takes {given.name[:60]}, which is no table of rows and columns")
    known = {given.name for given in inputs}
    for node in model.graph.node:
        if not known.intersection(node.input):
            raise ReleaseError(f"model.onnx runs {node.op_type} on constants alone; a model of this platform never does")
        known.update(name for name in node.output if name)
    shapes = _shapes(model, inputs, ROWS)
    once, twice = (_computed(model, found) for found in (shapes, _shapes(model, inputs, 2 * ROWS)))
    if once > MOST_OF_A_ROW * ROWS or twice > 2 * once:
        raise ReleaseError(
            f"model.onnx computes {once} numbers for {ROWS} rows and {twice} for {2 * ROWS}; a model of this platform computes at "
            f"most {MOST_OF_A_ROW} a row, and twice as many for twice the rows"
        )
    return {name: shape[1] for name, shape in shapes.items() if len(shape) == _TABLE}


def _shapes(model: Any, inputs: list[Any], rows: int) -> dict[str, list[int]]:
    """The shape of each input and of each computed tensor, by name.

    Raises:
        ReleaseError: if its tensors do not fit its operators, or their sizes can't be known.
    """
    try:
        outline = _outline(model, inputs, rows)
        graph = shape_inference.infer_shapes(outline, strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx's exceptions have no common base but Exception
        raise ReleaseError(f"model.onnx does not fit together: {' '.join(str(error).split())[:200]}") from error
    known = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input)}
    shapes = {given.name: [dim.dim_value for dim in known[given.name].shape.dim] for given in inputs}
    for node in model.graph.node:
        for name in filter(None, node.output):
            dims = known[name].shape.dim if name in known and known[name].HasField("shape") else None
            if dims is None or not all(dim.HasField("dim_value") for dim in dims):
                raise ReleaseError(f"model.onnx has a {node.op_type} whose size does not follow from the rows")
            shapes[name] = [dim.dim_value for dim in dims]
    return shapes


def _computed(model: Any, shapes: Mapping[str, list[int]]) -> int:
    """The number of values that a model computes."""
    return sum(prod(shapes[name]) for node in model.graph.node for name in node.output if name)


def _outline(model: Any, inputs: list[Any], rows: int) -> Any:
    """The model without its large constants, for a number of rows: the shapes are the same, and little has to be copied."""
    given, small, nodes = [], [], []
    for value in inputs:
        kind = value.type.tensor_type
        given.append(helper.make_tensor_value_info(value.name, kind.elem_type, [rows, kind.shape.dim[1].dim_value]))
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _SMALL:
            small.append(tensor)
        else:
            given.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    for node in model.graph.node:
        if node.op_type in _A_ROW_EACH:
            given += _each_row(node, rows)
        elif node.op_type in _AS_THEY_CAME:
            nodes.append(helper.make_node("Identity", list(node.input), list(node.output)))
        else:
            nodes.append(node)
    graph = helper.make_graph(nodes, "outline", given, [], initializer=small)
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _each_row(node: Any, rows: int) -> Iterator[Any]:
    """The outputs of a tree ensemble or a linear classifier: first its labels, if it has any, then a table."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    targets = attributes.get(_A_ROW_EACH[node.op_type])
    columns = 1 if targets is None else len(targets.ints) or targets.i
    *labels, table = node.output
    for name in labels:
        yield helper.make_tensor_value_info(name, TensorProto.INT64, [rows])
    yield helper.make_tensor_value_info(table, TensorProto.FLOAT, [rows, columns])
