"""Tree ensembles for tests, right and wrong: each is one node of a small ONNX model of three numbers."""

from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper

from churn_store.model.signature import Column, Signature

SIGNATURE = Signature(tuple(Column(name=f"c{i}", kind="number") for i in range(3)))


def chain(branches: int, **changed: Any) -> dict[str, Any]:
    """The attributes of one tree, each of whose branches has a leaf and the next branch."""
    nodes = 2 * branches + 1
    leaves = list(range(branches, nodes))
    return {
        "n_targets": 1,
        "nodes_treeids": [0] * nodes,
        "nodes_nodeids": list(range(nodes)),
        "nodes_featureids": [0] * nodes,
        "nodes_values": [0.5] * nodes,
        "nodes_modes": ["BRANCH_LEQ"] * branches + ["LEAF"] * (branches + 1),
        "nodes_truenodeids": [i + 1 for i in range(branches)] + [0] * (branches + 1),
        "nodes_falsenodeids": [branches + 1 + i for i in range(branches)] + [0] * (branches + 1),
        "nodes_missing_value_tracks_true": [0] * nodes,
        "target_treeids": [0] * len(leaves),
        "target_nodeids": leaves,
        "target_ids": [0] * len(leaves),
        "target_weights": [0.0] * len(leaves),
        **changed,
    }


def model(attributes: dict[str, Any], *, last: str = "Sigmoid") -> bytes:
    """A model of the platform's form around an ensemble."""
    nodes = [
        helper.make_node("TreeEnsembleRegressor", ["numbers"], ["sum"], domain="ai.onnx.ml", **attributes),
        helper.make_node(last, ["sum"] if last == "Sigmoid" else ["sum", "sum"], ["one"]),
        helper.make_node("Concat", ["one", "one"], ["probabilities"], axis=1),
    ]
    given = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 3])]
    gives = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, None)]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    content: bytes = helper.make_model(
        helper.make_graph(nodes, "g", given, gives), opset_imports=opsets, ir_version=8
    ).SerializeToString()
    return content


def golden(probability: float = 0.5, rows: int = 220) -> bytes:
    """Golden rows that all get one probability."""
    row = dict.fromkeys(SIGNATURE.names, 0.0)
    return msgspec.json.encode({"rows": [row] * rows, "probabilities": [float(np.float32(probability))] * rows})
