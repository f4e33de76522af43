"""Writes an ONNX graph node by node. Each node is named by its position, so that equal models have equal bytes.

Belongs here: the writer that exporters use. Does not belong here: the computation of a model (the family's module).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

ML = "ai.onnx.ml"
OPSETS = (("", 17), (ML, 3))
IR_VERSION = 8
FLOAT, DOUBLE, STRING = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.STRING


@dataclass
class OnnxGraph:
    """A graph that is being written: its nodes, constants and inputs."""

    _nodes: list[Any] = field(default_factory=list)
    _constants: list[Any] = field(default_factory=list)
    _inputs: list[Any] = field(default_factory=list)

    def takes(self, name: str, kind: int, columns: int) -> str:
        """Add an input ``[rows, columns]``; returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, [None, columns]))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its only output."""
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike = np.float64) -> str:
        """Add a constant; returns its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def cast(self, name: str, kind: int) -> str:
        """Convert a tensor to another type; returns the name of the result."""
        return self.add("Cast", name, to=kind)

    def concatenated(self, names: list[str]) -> str:
        """Concatenate the columns of tensors; returns the name of the result."""
        return names[0] if len(names) == 1 else self.add("Concat", *names, axis=1)

    def model(self, output: str, *, called: str, columns: int) -> bytes:
        """The finished graph as bytes, with one float32 output ``[rows, columns]``; equal graphs give equal bytes."""
        self._nodes.append(helper.make_node("Cast", [output], [called], name=called, to=FLOAT))
        outputs = [helper.make_tensor_value_info(called, FLOAT, [None, columns])]
        graph = helper.make_graph(self._nodes, "churn", self._inputs, outputs, initializer=self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="churn-platform")
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content
