"""Checks what a ``model.onnx`` holds, before onnxruntime builds a session from it.

A model of this platform is a plain graph of few operators that holds all its numbers. It turns a table of rows into one
probability per row. Everything that could reach outside of the file is refused: external data, and operators that a library would
have to bring. So is everything that could keep a session busy or fill its memory: nested graphs, operators that no exporter here
ever wrote, tensors that claim to be larger than their file, work that does not depend on the rows (``onnx_cost``), and trees that are
none (``onnx_trees``). Does not belong here: whether the model fits its signature (``churn_store.model.scorer``).
"""

from collections.abc import Iterator
from math import prod
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from churn_store.errors import ReleaseError
from churn_store.model.onnx_cost import require_little_work
from churn_store.model.onnx_trees import require_trees

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Allowed domains of operators: those of the ONNX standard."""

EXPORTED: Final = frozenset(
    {"Add", "Cast", "Clip", "Concat", "Div", "Gather", "IsNaN", "Log", "MatMul", "Mul", "Sigmoid", "Sub", "Where"}
    | {"OneHotEncoder", "TreeEnsembleRegressor"}
)
"""Operators that the families are exported with (``churn_assets.training.families``)."""

EXPORTED_BEFORE: Final = frozenset(
    {"ArrayFeatureExtractor", "Concat", "Gather", "Imputer", "LinearClassifier", "OneHotEncoder", "Reshape", "Scaler"}
    | {"TreeEnsembleClassifier"}
)
"""Operators of the releases that skl2onnx exported (manifests of format 1), which go on serving."""

LABEL: Final = "label"
"""Additional output of those releases, which nobody reads."""

MOST_NODES: Final = 10_000
"""Most operators of a model: a category takes three, and a signature has at most 2,000 columns."""


def require_plain(model: bytes, *, gives: str) -> Any:
    """Refuse a model that is more than a plain graph.

    Args:
        model: content of ``model.onnx``.
        gives: name of the graph's output.

    Returns:
        The parsed model, of which every operator and number was checked.

    Raises:
        ReleaseError: if it is not ONNX, or holds something that a model here never does; the message names it.
    """
    try:
        parsed = onnx.ModelProto.FromString(model)
    except (DecodeError, ValueError) as error:
        raise ReleaseError("model.onnx can't be loaded: it is not an ONNX model") from error
    if not parsed.ir_version or not parsed.graph.node:
        raise ReleaseError("model.onnx can't be loaded: it is not an ONNX model, or an empty one")
    for what in _strange(parsed, len(model)):
        raise ReleaseError(f"model.onnx holds {what}; a model of this platform never does")
    outputs = [output.name for output in parsed.graph.output]
    if gives not in outputs or set(outputs) - {gives, LABEL}:
        shown = ", ".join(name[:60] for name in outputs[:10])
        raise ReleaseError(f"model.onnx gives {shown}; expected an output named {gives!r}, and at most {LABEL!r} besides")
    require_trees(parsed, require_little_work(parsed))
    return parsed


def _strange(model: Any, size: int) -> Iterator[str]:
    graph = model.graph
    foreign = {opset.domain for opset in model.opset_import} | {node.domain for node in graph.node}
    if foreign - DOMAINS:
        yield f"operators of {', '.join(repr(domain[:60]) for domain in sorted(foreign - DOMAINS)[:3])}"
    if model.functions:
        yield "functions of its own"
    if model.training_info:
        yield "training graphs"
    if len(graph.node) > MOST_NODES:
        yield f"{len(graph.node)} operators, more than {MOST_NODES}"
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                yield f"a graph inside of a {node.op_type[:60]}"
    tensors = list(_tensors(graph))
    if any(tensor.external_data or tensor.data_location for tensor in tensors):
        yield "numbers outside of the file (external data)"
    if unknown := sorted({node.op_type for node in graph.node} - EXPORTED - EXPORTED_BEFORE):
        yield f"the operators {', '.join(name[:60] for name in unknown[:5])}"
    if graph.sparse_initializer or any(_is_sparse(attribute) for node in graph.node for attribute in node.attribute):
        yield "sparse numbers"
    for tensor in tensors:
        if any(dim < 0 for dim in tensor.dims) or prod(tensor.dims) > size:
            yield f"numbers that say they are of shape {list(tensor.dims)[:10]}, in a file of {size} bytes"


def _is_sparse(attribute: Any) -> bool:
    return attribute.HasField("sparse_tensor") or bool(attribute.sparse_tensors)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
