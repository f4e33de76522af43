"""What the service says of itself and of the model by the Open Inference Protocol V2."""

from typing import Any, Final

import msgspec

from churn_api.open_inference.tensors import BYTES, CATEGORIES, CUSTOMER_ID, NUMBERS, OUTPUTS
from churn_api.releases.served import Served

MODEL: Final = "churn"
"""The one model; its versions are the epochs of ``releases``, of which one serves."""


class TensorMetadata(msgspec.Struct, omit_defaults=True):
    """A tensor: rows are counted by -1.

    Attributes:
        parameters: for inputs: the columns in order, which of them may be missing and how that is said, and whether the tensor may
            be left out.
    """

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}


class ModelMetadata(msgspec.Struct):
    """The model.

    Attributes:
        versions: epoch of the row of ``releases`` that serves.
        parameters: digest of the release, its threshold and horizon.
    """

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, str | float | int | None]


class ServerMetadata(msgspec.Struct):
    """The service."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    """Whether the process runs."""

    live: bool = True


class Ready(msgspec.Struct):
    """Whether a release serves."""

    ready: bool


class ModelReady(Ready):
    """Whether a release serves, with the name of the model."""

    name: str = MODEL


def model_metadata(served: Served) -> ModelMetadata:
    """The model that serves."""
    manifest = served.champion.bundle.manifest
    signature = manifest.signature
    columns = {column.name: column for column in signature.columns}
    inputs = []
    for name, datatype, names, missing in (
        (NUMBERS, "FP32", signature.numbers, "NaN in binary, null in JSON"),
        (CATEGORIES, BYTES, signature.categories, "the empty text"),
    ):
        if names:
            nullable = [one for one in names if columns[one].nullable]
            inputs.append(
                TensorMetadata(
                    name, datatype, [-1, len(names)], {"columns": list(names), "nullable": nullable, "missing": missing}
                )
            )
    inputs.append(TensorMetadata(CUSTOMER_ID, BYTES, [-1], {"optional": True, "missing": "the empty text"}))
    return ModelMetadata(
        name=MODEL,
        versions=[str(served.row.epoch)],
        platform="onnxruntime_onnx",
        inputs=inputs,
        outputs=[TensorMetadata(name, datatype, [-1]) for name, datatype in OUTPUTS.items()],
        parameters={
            "release": served.row.champion, "threshold": manifest.threshold, "horizon_days": manifest.horizon_days,
        },
    )  # fmt: skip
