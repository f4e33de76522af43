"""Reads a CSV body as `churn score` reads a file: by the mapping of ``churn.yaml``, or by the release's own names without one.

Belongs here: which description a body is read by, and its rows with their lines. Does not belong here: how values are read
(``churn_store.mapping``), and which rows a release takes (``schemas.requests``). No message repeats a value of the body.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from churn_api.http.csv_type import CsvType
from churn_api.http.decode_errors import malformed
from churn_api.http.problems import Problem
from churn_api.schemas.requests import RequestTypes, Row
from churn_store.errors import InputError
from churn_store.mapping.company import refuse_other_inputs
from churn_store.mapping.csv_reader import read_text
from churn_store.mapping.encoding import GZIP, ZSTD
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.model_inputs import model_inputs, needed
from churn_store.mapping.parts import open_parted
from churn_store.mapping.settings import Attribute
from churn_store.mapping.tables import PERSON
from churn_store.mapping.text import EXPECTED, FIELDS, LINE, MappedText
from churn_store.model.signature import Signature
from churn_store.redaction import shown_names

MOST_FAULTS: Final = 20
"""Most lines that a refusal names."""

WHERE: Final = "CSV"
FILE: Final = "body"


@dataclass(frozen=True)
class CsvRow:
    """A row of a body.

    Attributes:
        line: line on which it begins, from 1.
        customer_id: its id, if it has one.
        values: inputs of the release by name; a number that can't be read is the text that stands there.
        fault: why it can't be read; empty where it can.
        is_whole: whether it has as many fields as the header; else it has no values.
    """

    line: int
    customer_id: str | None
    values: Row
    fault: str
    is_whole: bool = True


@dataclass(frozen=True)
class CsvBodies:
    """Reads CSV bodies.

    Attributes:
        mapping: description of the company's table of customers; ``None`` to read the release's own names.
        max_rows: most rows of a body.
    """

    mapping: FileTable | None
    max_rows: int

    def rows(self, body: bytes, kind: CsvType, signature: Signature, *, release: str) -> list[CsvRow]:
        """The rows of a body in the order of their lines.

        Raises:
            Problem: if the body is not CSV in its encoding, lacks a column or has too many rows or none (400); or if it is
                compressed (415).
        """
        if body.startswith((GZIP, ZSTD)):
            raise Problem(415, "compressed", "The body is compressed; expected plain CSV.")
        if not body.strip():
            raise malformed("", "the body is empty; expected a header line with the names of columns")
        try:
            text, description = self._read(body, kind, signature, release)
            height = text.rows.height + text.ragged.height
            if height > self.max_rows:
                raise malformed("", f"expected a header line and 1 to {self.max_rows} rows; found more")
            return sorted(_rows(text, description, signature), key=lambda row: row.line)
        except InputError as error:
            raise malformed("", str(error)) from None

    def _read(self, body: bytes, kind: CsvType, signature: Signature, release: str) -> tuple[MappedText, FileTable]:
        described = _own_names(signature) if self.mapping is None else self.mapping
        encoding = kind.encoding or described.encoding
        if encoding != "utf-16" and (place := body.find(b"\0")) >= 0:
            line = body.count(b"\n", 0, place) + 1
            raise malformed("", f"line {line} holds the character NUL; expected text without it")
        if self.mapping is not None:
            refuse_other_inputs(described, signature, release=release)
        found = described.model_copy(update={"path": FILE, "format": "csv", "encoding": encoding})
        with tempfile.TemporaryDirectory(prefix="churn-") as folder:
            file = Path(folder) / FILE
            file.write_bytes(body)
            there = open_parted(file, needed(found, signature.names), where=WHERE).names
            if self.mapping is None:
                _require_own_names(there, signature)
            description = needed(found, signature.names, there)
            return read_text(description, file.parent, where=WHERE), description


def batch_of(rows: list[CsvRow], requests: RequestTypes) -> list[tuple[str | None, Row]]:
    """The rows as a batch of predictions by attributes.

    Raises:
        Problem: if the release does not take some of them (400); names their lines.
    """
    taken: list[tuple[str | None, Row]] = []
    faults: list[tuple[int, str]] = []
    for row in rows:
        if row.fault:
            faults.append((row.line, row.fault))
            continue
        try:
            taken.append(requests.of_values(row.customer_id, row.values))
        except Problem as problem:
            faults.append((row.line, "; ".join(error["detail"] for error in problem.details.errors or [])))
    if not faults:
        return taken
    first, said = faults[0]
    refusal = malformed(f"line {first}", said)
    refusal.details.detail = (
        f"{len(faults)} of {len(rows)} rows can't be scored, the first on line {first}: {said}. No prediction was made; POST /validate "
        "says more of all of them."
    )
    named = [{"path": f"line {line}", "detail": detail} for line, detail in faults[:MOST_FAULTS]]
    more = len(faults) - len(named)
    refusal.details.errors = [*named, *([{"path": "", "detail": f"and {more} more lines"}] if more else [])]
    raise refusal


def records_of(rows: list[CsvRow]) -> list[bytes | None]:
    """The rows as bodies of ``POST /predict``, each to be judged by itself; ``None`` for one with too many or too few fields."""
    encode = msgspec.json.Encoder().encode
    written: list[bytes | None] = []
    for row in rows:
        record: dict[str, Any] = {"attributes": row.values}
        if row.customer_id:
            record[PERSON] = row.customer_id
        written.append(encode(record) if row.is_whole else None)
    return written


def _rows(text: MappedText, description: FileTable, signature: Signature) -> Iterator[CsvRow]:
    inputs = model_inputs(text, description, where=WHERE, with_values=False)
    frame, written = inputs.rows, text.rows
    for name, attribute in description.attributes.items():
        if attribute.kind == "number":
            raw = written[attribute.column]
            unread = frame[name].is_null() & raw.is_not_null()
            values = [w if u else v for v, w, u in zip(frame[name], raw, unread, strict=True)]
            frame = frame.with_columns(pl.Series(name, values, dtype=pl.Object))
    ids = frame[PERSON].to_list() if PERSON in frame.columns else [None] * frame.height
    names = list(signature.names)
    columns = [frame[name].to_list() for name in names]
    for line, customer_id, fault, *values in zip(
        written[LINE].to_list(), ids, inputs.unreadable.to_list(), *columns, strict=True
    ):
        yield CsvRow(line, customer_id or None, dict(zip(names, values, strict=True)), fault or "")
    for line, fields, expected in text.ragged.select(LINE, FIELDS, EXPECTED).iter_rows():
        fault = "a quote has no end" if fields is None else f"{fields} fields, expected {expected}"
        yield CsvRow(line, None, {}, fault, is_whole=False)


def _own_names(signature: Signature) -> FileTable:
    """The description of a table whose columns are called as the release's inputs; a column may have any name there."""
    attributes = {column.name: Attribute(column=column.name, kind=column.kind) for column in signature.columns}
    return FileTable.model_construct(
        path=FILE, columns={} if PERSON in attributes else {PERSON: PERSON}, attributes=attributes, missing=("",)
    )


def _require_own_names(there: list[str], signature: Signature) -> None:
    known = set(there)
    if twice := [
        name for name in there if name.rpartition("_duplicated_")[0] in known and name.rsplit("_", 1)[-1].isdigit()
    ]:
        raise malformed("", f"the header line names {len(twice)} columns more than once; expected each name once")
    if missing := [name for name in signature.names if name not in known]:
        raise malformed(
            "",
            f"the header line lacks {shown_names(missing)}; expected the names of the release's inputs, as this service has no "
            "mapping of a company's own table",
        )
