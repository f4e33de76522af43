"""Tensors of the Open Inference Protocol V2: from a request to rows of the release, and from predictions to tensors.

The form is that of https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, with the extension for binary
tensors: JSON first, whose length a header says, then the tensors' bytes one after another. Belongs here: names, kinds and shapes
of the tensors. Does not belong here: HTTP (``open_inference.routes``) and scoring (``predictions.service``).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from churn_api.http.decode_errors import explain, malformed, not_json, without_what_was_sent
from churn_api.schemas.requests import Row, require_customer_id, require_each_name_once
from churn_store.model.signature import FLOAT32_MAX, MISSING_CATEGORY, Column, Signature

NUMBERS, CATEGORIES, CUSTOMER_ID = "numbers", "categories", "customer_id"
"""Names of the inputs. The first two are those of the model itself."""

BYTES: Final = "BYTES"

NUMBER_KINDS: Final[dict[str, str]] = {"FP32": "<f4", "FP64": "<f8", "INT32": "<i4", "INT64": "<i8"}
"""Kinds of numbers that are taken, and how they lie in memory."""

LONGEST_WORD: Final = 256

_WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

Parameters = dict[str, str | int | float | bool]


class InputTensor(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor of a request; in binary it has no ``data``, and the parameter ``binary_data_size`` says how many bytes it has."""

    name: str
    shape: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=2)]
    datatype: str
    parameters: Parameters | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class OutputRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An output that is asked for, with ``binary_data`` as bytes."""

    name: str
    parameters: Parameters | msgspec.UnsetType = msgspec.UNSET


class InferBody(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON part of a request."""

    inputs: Annotated[list[InputTensor], msgspec.Meta(min_length=1, max_length=3)]
    id: Annotated[str, msgspec.Meta(max_length=256)] | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters | msgspec.UnsetType = msgspec.UNSET
    outputs: Annotated[list[OutputRequest], msgspec.Meta(max_length=20)] | msgspec.UnsetType = msgspec.UNSET


class InferRequest(msgspec.Struct, frozen=True):
    """A request that fits the release.

    Attributes:
        id: the caller's own name of it, echoed; ``None`` without one.
        rows: inputs of the release.
        ids: id of each row's customer, or ``None``.
        outputs: names of the outputs, each with whether it is answered in binary.
    """

    id: str | None
    rows: list[Row]
    ids: list[str | None]
    outputs: list[tuple[str, bool]]


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """A tensor of an answer, with ``data`` or, in binary, the number of its bytes."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferAnswer(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The JSON part of an answer."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str | int | float | None]
    outputs: list[OutputTensor]


OUTPUTS: Final[dict[str, str]] = {
    "probability": "FP64", "churn": "BOOL", "risk_band": BYTES, "threshold": "FP64", "role": BYTES, "arm": BYTES,
}  # fmt: skip
"""Outputs and their kinds, one value a row."""

_decode: Final = msgspec.json.Decoder(InferBody).decode
_BINARY: Final[dict[str, str]] = {"FP64": "<f8", "BOOL": "?"}


def infer_request(body: bytes, json_size: int | None, signature: Signature, *, max_rows: int) -> InferRequest:
    """Read a request.

    Args:
        body: the whole body.
        json_size: bytes of its JSON part, by the header; ``None`` if all of it is JSON.
        signature: inputs of the release.
        max_rows: most rows.

    Raises:
        Problem: if it does not fit the release (400); names tensor, row and column, and repeats no value.
    """
    if json_size is not None and json_size > len(body):
        raise malformed("", "the header Inference-Header-Content-Length is larger than the body")
    head, rest = (body, b"") if json_size is None else (body[:json_size], body[json_size:])
    asked = _decoded(head)
    tensors: dict[str, tuple[InputTensor, bytes | None]] = {}
    for tensor in asked.inputs:
        size = {} if tensor.parameters is msgspec.UNSET else tensor.parameters
        binary = size.get("binary_data_size")
        content = None
        if binary is not None:
            if (
                json_size is None
                or not isinstance(binary, int)
                or not 0 <= binary <= len(rest)
                or tensor.data is not msgspec.UNSET
            ):
                raise malformed(
                    "inputs",
                    "a tensor with binary_data_size has no data, and its bytes follow the JSON whose length a header says",
                )
            content, rest = rest[:binary], rest[binary:]
        if tensor.name in tensors:
            raise malformed("inputs", "a tensor is there twice; expected each once")
        tensors[tensor.name] = tensor, content
    if rest:
        raise malformed("", "bytes follow the last tensor; expected none")
    ids, rows = _rows(tensors, signature, max_rows)
    return InferRequest(asked.id or None, rows, ids, _outputs(asked))


def infer_answer(
    answer: InferAnswer, values: dict[str, Sequence[Any]], outputs: Sequence[tuple[str, bool]]
) -> tuple[bytes, int | None]:
    """Write an answer.

    Args:
        answer: the answer without its outputs, which are added.
        values: values of each output.
        outputs: names of the outputs that are wanted, each with whether it is wanted in binary.

    Returns:
        The body, and the bytes of its JSON part; ``None`` if all of it is JSON.
    """
    parts: list[bytes] = []
    for name, in_binary in outputs:
        tensor = OutputTensor(name, OUTPUTS[name], [len(values[name])])
        if in_binary:
            parts.append(_packed(tensor.datatype, values[name]))
            tensor.parameters = {"binary_data_size": len(parts[-1])}
        else:
            tensor.data = list(values[name])
        answer.outputs.append(tensor)
    head = msgspec.json.encode(answer)
    return (b"".join([head, *parts]), len(head)) if parts else (head, None)


def _decoded(head: bytes) -> InferBody:
    try:
        head.isascii() or head.decode("utf-8")
        asked = _decode(head)
        if head.count(b":") != _names(asked):
            require_each_name_once(head)
    except msgspec.ValidationError as error:
        raise explain(without_what_was_sent(str(error)), {}) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise malformed("", "the body is nested too deeply; expected an object with inputs") from None
    return asked


def _names(asked: InferBody) -> int:
    """Number of names in the JSON if none occurs twice."""
    found = 0
    for part in (asked, *asked.inputs, *(asked.outputs or [])):
        fields = [getattr(part, name) for name in part.__struct_fields__]
        found += sum(value is not msgspec.UNSET for value in fields)
        found += sum(len(value) for value in fields if isinstance(value, dict))
    return found


def _outputs(asked: InferBody) -> list[tuple[str, bool]]:
    parameters = asked.parameters or {}
    in_binary = parameters.get("binary_data_output", False) is True
    if not asked.outputs:
        return [(name, in_binary) for name in OUTPUTS]
    wanted: dict[str, bool] = {}
    for output in asked.outputs:
        own = output.parameters or {}
        if output.name not in OUTPUTS or output.name in wanted:
            raise malformed(
                "outputs", f"an output is not known or there twice; expected some of {', '.join(OUTPUTS)}, each once"
            )
        if "classification" in own:
            raise malformed("outputs", "classification is not given here; expected outputs without it")
        wanted[output.name] = own.get("binary_data", in_binary) is True
    return list(wanted.items())


def _rows(
    tensors: dict[str, tuple[InputTensor, bytes | None]], signature: Signature, max_rows: int
) -> tuple[list[str | None], list[Row]]:
    widths = {NUMBERS: len(signature.numbers), CATEGORIES: len(signature.categories)}
    needed = [name for name, width in widths.items() if width]
    if not set(needed) <= set(tensors) <= {*needed, CUSTOMER_ID}:
        raise malformed("inputs", f"expected the tensors {' and '.join(needed)}, and {CUSTOMER_ID} if wanted")
    heights = {name: _height(tensors[name][0], width) for name, width in widths.items() if width}
    height = heights[needed[0]]
    if any(one != height for one in heights.values()):
        raise malformed("inputs", "the tensors have different numbers of rows; expected as many in each")
    if not 1 <= height <= max_rows:
        raise malformed("inputs", f"expected 1 to {max_rows} rows; found {'more' if height else 'none'}")
    by_name = {column.name: column for column in signature.columns}
    columns: dict[str, list[Any]] = {}
    if signature.numbers:
        columns |= _number_columns(*tensors[NUMBERS], [by_name[name] for name in signature.numbers], height)
    if signature.categories:
        columns |= _word_columns(*tensors[CATEGORIES], [by_name[name] for name in signature.categories], height)
    ids = _ids(tensors, height)
    names = signature.names
    return ids, [dict(zip(names, values, strict=True)) for values in zip(*(columns[name] for name in names), strict=True)]


def _height(tensor: InputTensor, width: int) -> int:
    if len(tensor.shape) != 2 or tensor.shape[1] != width:  # noqa: PLR2004 - rows and columns
        raise malformed("inputs", f"the tensor {tensor.name} has another shape; expected a number of rows, and {width}")
    return tensor.shape[0]


def _number_columns(
    tensor: InputTensor, content: bytes | None, columns: Sequence[Column], height: int
) -> dict[str, list[float | None]]:
    kind = NUMBER_KINDS.get(tensor.datatype)
    if kind is None:
        raise malformed("inputs", f"the tensor {NUMBERS} has another datatype; expected one of {', '.join(NUMBER_KINDS)}")
    if content is not None:
        if len(content) != height * len(columns) * np.dtype(kind).itemsize:
            raise malformed("inputs", f"the tensor {NUMBERS} has another number of bytes than its shape and datatype say")
        flat = np.frombuffer(content, dtype=kind).astype(np.float64)
    else:
        element: Any = _WHOLE | None if kind.startswith("<i") else float | None
        flat = np.array(_listed(tensor, element, height * len(columns)), dtype=np.float64)
    matrix = flat.reshape(height, len(columns))
    _require_in_range(matrix, columns)
    found: dict[str, list[float | None]] = {}
    for column, values in zip(columns, matrix.T, strict=True):
        listed: list[float] = values.tolist()
        found[column.name] = [None if math.isnan(value) else value for value in listed] if column.nullable else [*listed]
    return found


def _require_in_range(matrix: npt.NDArray[np.float64], columns: Sequence[Column]) -> None:
    low = np.array([-FLOAT32_MAX if column.low is None else column.low for column in columns])
    high = np.array([FLOAT32_MAX if column.high is None else column.high for column in columns])
    nullable = np.array([column.nullable for column in columns])
    fits = ((matrix >= low) & (matrix <= high)) | (np.isnan(matrix) & nullable)
    if not fits.all():
        row, place = map(int, np.argwhere(~fits)[0])
        column, missing = columns[place], bool(np.isnan(matrix[row, place]))
        bounds = [f"{word} {bound:g}" for word, bound in ((">=", column.low), ("<=", column.high)) if bound is not None]
        expected = " ".join(["a number", " and ".join(bounds)]).strip() + (
            " or not-a-number for none" if column.nullable else ""
        )
        raise malformed(
            f"inputs.{NUMBERS}[{row}].{column.name}",
            f"attribute {column.name}: expected {expected}; {'it is missing' if missing else 'found a number out of range'}",
        )


def _word_columns(
    tensor: InputTensor, content: bytes | None, columns: Sequence[Column], height: int
) -> dict[str, list[str | None]]:
    words = _words(tensor, content, height * len(columns))
    found: dict[str, list[str | None]] = {}
    for place, column in enumerate(columns):
        mine = words[place :: len(columns)]
        for row, word in enumerate(mine):
            if word == MISSING_CATEGORY and not column.nullable:
                raise malformed(
                    f"inputs.{CATEGORIES}[{row}].{column.name}", f"attribute {column.name}: expected text; it is missing"
                )
            if len(word) > LONGEST_WORD or "\0" in word:
                raise malformed(
                    f"inputs.{CATEGORIES}[{row}].{column.name}",
                    f"attribute {column.name}: expected text of at most {LONGEST_WORD} characters without U+0000; found other text",
                )
        found[column.name] = [None if word == MISSING_CATEGORY else word for word in mine]
    return found


def _ids(tensors: dict[str, tuple[InputTensor, bytes | None]], height: int) -> list[str | None]:
    if CUSTOMER_ID not in tensors:
        return [None] * height
    tensor, content = tensors[CUSTOMER_ID]
    if tensor.shape not in ([height], [height, 1]):
        raise malformed("inputs", f"the tensor {CUSTOMER_ID} has another shape; expected one id a row")
    words = _words(tensor, content, height)
    return [require_customer_id(word) if word else None for word in words]


def _words(tensor: InputTensor, content: bytes | None, count: int) -> list[str]:
    if tensor.datatype != BYTES:
        raise malformed("inputs", f"the tensor {tensor.name} has another datatype; expected {BYTES}")
    if content is None:
        return _listed(tensor, str, count)
    try:
        words = [word.decode("utf-8") for word in _unpacked(content)]
    except UnicodeDecodeError:
        raise malformed("inputs", f"the tensor {tensor.name} holds bytes that are no UTF-8") from None
    except ValueError:
        words = []
    if len(words) != count:
        raise malformed(
            "inputs",
            f"the tensor {tensor.name} does not hold {count} texts, each behind its length in 4 bytes, the lowest first",
        )
    return words


def _listed(tensor: InputTensor, element: Any, count: int) -> list[Any]:
    """The values of a tensor in JSON, flat or row by row."""
    if tensor.data is msgspec.UNSET:
        raise malformed("inputs", f"the tensor {tensor.name} has neither data nor binary_data_size")
    raw = bytes(tensor.data)
    is_nested = raw[:1] == b"[" and raw[1:].lstrip()[:1] == b"["
    kind: Any = list[list[element]] if is_nested else list[element]
    try:
        values = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        raise malformed("inputs", f"the tensor {tensor.name} holds values of another kind than {tensor.datatype}") from None
    flat = list(chain.from_iterable(values)) if is_nested else values
    widths = {len(row) for row in values} if is_nested else set(tensor.shape[1:])
    if len(flat) != count or (widths - set(tensor.shape[1:]) and count):
        raise malformed("inputs", f"the tensor {tensor.name} has another number of values than its shape says")
    return flat


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Texts, each behind its length in 4 bytes.

    Raises:
        ValueError: if the last one is cut off.
    """
    at, end = 0, len(content)
    while at < end:
        size = int.from_bytes(content[at : at + 4], "little")
        if at + 4 + size > end:
            raise ValueError
        yield content[at + 4 : at + 4 + size]
        at += 4 + size


def _packed(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype != BYTES:
        return np.array(values, dtype=_BINARY[datatype]).tobytes()
    encoded = [value.encode() for value in values]
    return b"".join(len(word).to_bytes(4, "little") + word for word in encoded)
