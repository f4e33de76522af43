"""Reads records from CSV: a header line with the names of their fields, commas, strict quoting.

Belongs here: from bytes to records, line by line. Does not belong here: what a record may say (``outcomes.parsing``, ``treatments.parsing``).
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from churn_api.http.decode_errors import explain, malformed, without_what_was_sent
from churn_api.http.file_type import CsvType
from churn_api.intake.rows import BadValueError, Record, Row

TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""How CSV says yes and no; capitals don't matter."""

CellReader = Callable[[str, str], Any]
"""The value of a cell, by the name of its column and its text; raises ``BadValueError``."""


def truth(name: str, cell: str) -> bool:
    """True or false.

    Raises:
        BadValueError: if it is another word.
    """
    value = TRUTH.get(cell.strip().lower())
    if value is None:
        raise BadValueError(name, f"another word; expected {', '.join(TRUTH)}")
    return value


def number(name: str, cell: str) -> float:
    """A number with a decimal point.

    Raises:
        BadValueError: if it is none.
    """
    try:
        if "_" in cell:  # which Python takes as a mark between digits
            raise ValueError
        return float(cell)
    except ValueError:
        raise BadValueError(name, "not a number; expected one with a decimal point, such as 0.9") from None


def csv_rows(
    body: bytes,
    kind: CsvType,
    record: type[Record],
    *,
    needed: Sequence[str],
    cells: Mapping[str, CellReader],
    max_rows: int,
) -> Iterator[Row[Record]]:
    """The rows of a body.

    Args:
        body: body as it was sent.
        kind: its encoding.
        record: type of a row.
        needed: columns that must be there and have a value.
        cells: how cells become other values than text, by column.
        max_rows: most rows.

    Raises:
        Problem: if the body is not CSV of this form (400).
    """
    encoding = kind.encoding or "utf-8"
    try:
        text = body.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        raise malformed("", f"the body is not CSV in {encoding.upper()}; send its encoding as charset") from None
    if (place := text.find("\0")) >= 0:
        raise malformed(f"line {text.count(chr(10), 0, place) + 1}", "the character NUL; expected text without it")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(filter(None, reader), [])
        _require_header(header, record.__struct_fields__, needed)
        rows, line = 0, reader.line_num
        for fields in reader:
            begin, line = line + 1, reader.line_num
            if not fields:
                continue
            rows += 1
            if rows > max_rows:
                raise malformed("", f"expected a header line and 1 to {max_rows} rows; found more")
            yield _of_fields(f"line {begin}", header, fields, record, needed, cells)
    except csv.Error:
        raise malformed("", f"the body is not CSV: line {reader.line_num} can't be read") from None
    if not rows:
        raise malformed("", f"expected a header line and 1 to {max_rows} rows; found no row")


def _require_header(header: list[str], columns: Sequence[str], needed: Sequence[str]) -> None:
    if not header:
        raise malformed("", "the body is empty; expected a header line with the names of columns")
    if len(set(header)) < len(header):
        raise malformed("", "the header line names a column twice; expected each name once")
    if missing := [name for name in needed if name not in header]:
        raise malformed("", f"the header line lacks {' and '.join(missing)}; expected {', '.join(columns)}, commas between")
    if strange := sum(name not in columns for name in header):
        raise malformed(
            "", f"the header line names {strange} columns that are not known; expected only {', '.join(columns)}"
        )


def _of_fields(
    place: str,
    header: list[str],
    fields: list[str],
    record: type[Record],
    needed: Sequence[str],
    cells: Mapping[str, CellReader],
) -> Row[Record]:
    if len(fields) != len(header):
        return Row(place, None, f"{len(fields)} fields; expected {len(header)}, as in the header line")
    values: dict[str, Any] = {name: cell for name, cell in zip(header, fields, strict=True) if cell}
    for name in needed:
        if name not in values:
            return Row(place, None, f"{name} is empty; expected a value", name)
    try:
        values |= {name: cells[name](name, cell) for name, cell in values.items() if name in cells}
        return Row(place, msgspec.convert(values, record))
    except BadValueError as bad:
        return Row(place, None, bad.fault, bad.field)
    except msgspec.ValidationError as error:
        [said] = explain(without_what_was_sent(str(error)), {}).details.errors or [{"path": "", "detail": ""}]
        return Row(place, None, said["detail"], said["path"])
