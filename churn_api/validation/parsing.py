"""Splits a body into records, each in the form of a body of ``POST /predict``.

Every record then goes through the decoder of predictions, so a record is valid exactly if a prediction accepts it. Belongs here:
taking a body apart, and what a CSV cell means. Does not belong here: judging a record (``validation.explain``).
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final

import msgspec

from churn_api.http.decode_errors import explain, malformed, not_json
from churn_store.mapping.file_settings import Encoding
from churn_store.model.signature import Column, Signature

Record = bytes | None
"""A body of ``POST /predict``, valid or not; ``None`` for a CSV line whose number of cells differs from the header's."""

SUBJECT: Final = "customer_id"

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_LONGEST_NUMBER: Final = 400
_STRANGE_COLUMNS: Final = 100
"""Most columns in a header beyond the release's own number; with more, it is not a table for this model."""


@cache
def json_records(max_records: int) -> Callable[[bytes], list[Record]]:
    """A function that takes a JSON body apart: ``{"records": [...]}``, as for a batch of predictions.

    Args:
        max_records: most records in a body.

    Returns:
        A function from a body to its records, in order; it raises ``Problem`` (400) if the body as a whole does not fit.
    """
    many: Any = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=max_records)]
    decode: Any = msgspec.json.Decoder(
        msgspec.defstruct("ValidateRequest", [("records", many)], forbid_unknown_fields=True)
    ).decode

    def take_apart(body: bytes) -> list[Record]:
        try:
            body.isascii() or body.decode("utf-8")
            records = [bytes(record) for record in decode(body).records]
        except msgspec.ValidationError as error:
            raise explain(str(error), {}) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise not_json(str(error)) from None
        except RecursionError:
            raise malformed("", "the body is nested too deeply; expected an object with records") from None
        if body.count(b":") - sum(record.count(b":") for record in records) != 1:  # the colon behind "records"
            raise malformed("records", "records occurs twice in an object; expected each name once")
        return [*records]

    return take_apart


def csv_records(body: bytes, signature: Signature, *, encoding: Encoding, max_records: int) -> list[Record]:
    """Take a CSV body in the release's own names apart: commas, a header line with the names of columns, and ``customer_id`` if wanted.

    An empty cell is a missing value. In a number column, a cell that reads as a number is a number; every other cell is text.
    Empty lines are skipped.

    Raises:
        Problem: if the body is not CSV in its encoding or holds NUL, the header names a column twice, or there is no row or too many (400).
    """
    try:
        reader = csv.reader(io.StringIO(_decoded(body, encoding), newline=""), strict=True)
        lines = filter(None, reader)
        header = next(lines, [])
        _require_header(header, signature)
        cells = list(islice(lines, max_records + 1))
    except UnicodeDecodeError:
        raise malformed("", f"the body is not CSV in {encoding.upper()}") from None
    except csv.Error:
        raise malformed("", f"the body is not CSV: line {reader.line_num} can't be read") from None
    if not 1 <= len(cells) <= max_records:
        raise malformed("", f"expected a header line and 1 to {max_records} rows; found {'more' if cells else 'no row'}")
    return list(_written(header, cells, {column.name: column for column in signature.columns}))


def _decoded(body: bytes, encoding: Encoding) -> str:
    text = body.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise malformed("", f"line {line} holds the character NUL; expected text without it")
    return text


def _require_header(header: Sequence[str], signature: Signature) -> None:
    if not header:
        raise malformed("", "the body is empty; expected a header line with the names of columns")
    if len(set(header)) < len(header):
        raise malformed("", "the header line names a column twice; expected each name once")
    if len(header) > len(signature.columns) + _STRANGE_COLUMNS:
        raise malformed("", f"the header line names {len(header)} columns; this release takes {len(signature.columns)}")


def _written(header: Sequence[str], lines: Iterable[list[str]], columns: Mapping[str, Column]) -> Iterable[Record]:
    subject = header.index(SUBJECT) if SUBJECT in header and SUBJECT not in columns else None
    places = [(place, name, columns.get(name)) for place, name in enumerate(header) if place != subject]
    encode = msgspec.json.Encoder().encode
    for cells in lines:
        if len(cells) != len(header):
            yield None
            continue
        record: dict[str, Any] = {"attributes": {name: _value(cells[place], column) for place, name, column in places}}
        if subject is not None and cells[subject]:
            record[SUBJECT] = cells[subject]
        yield encode(record)


def _value(cell: str, column: Column | None) -> Any:
    if not cell:
        return None
    if column is None or column.kind == "category":
        return cell
    text = cell.strip(" ")
    if len(text) > _LONGEST_NUMBER or not _NUMBER(text):
        return cell
    number = float(text)
    return number if math.isfinite(number) else msgspec.Raw(b"-1e999" if number < 0 else b"1e999")
