"""What a ``model.onnx`` may hold, looked at before onnxruntime builds a session of it.

A model of this platform is a plain graph of standard operators with all its numbers inside. Whatever could reach outside of the
file (external data, operators that a library would have to bring) or keep a session busy without end (graphs inside of
graphs, functions of its own) is refused here. Does not belong here: whether the model fits its signature
(``churn_store.scoring``).
"""

from collections.abc import Iterator
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from churn_store.errors import ReleaseError

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Of operators: those of the ONNX standard."""


def require_plain(model: bytes) -> None:
    """Refuse a model that is more than a graph of standard operators.

    Raises:
        ReleaseError: not ONNX, or says what it holds that a model here never does.
    """
    try:
        parsed = onnx.ModelProto.FromString(model)
    except (DecodeError, ValueError) as error:
        raise ReleaseError("model.onnx can't be loaded: it is not an ONNX model") from error
    if not parsed.ir_version or not parsed.graph.node:
        raise ReleaseError("model.onnx can't be loaded: it is not an ONNX model, or an empty one")
    for what in _strange(parsed):
        raise ReleaseError(f"model.onnx holds {what}; a model of this platform never does")


def _strange(model: Any) -> Iterator[str]:
    foreign = {opset.domain for opset in model.opset_import} | {node.domain for node in model.graph.node}
    if foreign - DOMAINS:
        yield f"operators of {', '.join(repr(domain[:60]) for domain in sorted(foreign - DOMAINS)[:3])}"
    if model.functions:
        yield "functions of its own"
    if model.training_info:
        yield "training graphs"
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                yield f"a graph inside of a {node.op_type[:60]}"
    if any(tensor.external_data or tensor.data_location for tensor in _tensors(model.graph)):
        yield "numbers outside of the file (external data)"


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
