"""An ONNX graph as it is written: nodes one after the other, each named by its place, so that equal models are equal bytes.

Belongs here: what exporters write with. Does not belong here: what a model computes (the family's module).
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
    """Nodes and constants of a graph that is being written."""

    _nodes: list[Any] = field(default_factory=list)
    _constants: list[Any] = field(default_factory=list)
    _inputs: list[Any] = field(default_factory=list)

    def takes(self, name: str, kind: int, columns: int) -> str:
        """An input: a tensor of ``[rows, columns]``."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, [None, columns]))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node; the name of its one output."""
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, values: npt.ArrayLike, kind: npt.DTypeLike = np.float64) -> str:
        """A constant; its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def cast(self, name: str, kind: int) -> str:
        """A tensor in another type."""
        return self.add("Cast", name, to=kind)

    def beside(self, names: list[str]) -> str:
        """Tensors of as many rows, side by side."""
        return names[0] if len(names) == 1 else self.add("Concat", *names, axis=1)

    def model(self, output: str, *, called: str, columns: int) -> bytes:
        """The whole graph, with one 32-bit output ``[rows, columns]``, in its one byte form."""
        self._nodes.append(helper.make_node("Cast", [output], [called], name=called, to=FLOAT))
        outputs = [helper.make_tensor_value_info(called, FLOAT, [None, columns])]
        graph = helper.make_graph(self._nodes, "churn", self._inputs, outputs, initializer=self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="churn-platform")
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content
