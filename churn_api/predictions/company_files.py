"""Reads a CSV or Parquet body as `churn score` reads a file: by the mapping of ``churn.yaml``, or by the release's own names.

Belongs here: which description a body is read by, and its rows with their lines. Does not belong here: how values are read
(``churn_store.mapping``), and which rows a release takes (``predictions.file_rows``). No message repeats a value of the body.
"""

import heapq
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from churn_api.http.decode_errors import malformed
from churn_api.http.file_type import CsvType, FileType
from churn_api.http.problems import Problem
from churn_api.predictions.file_rows import FileRow
from churn_api.predictions.parquet_body import plain_parquet
from churn_store.errors import InputError
from churn_store.mapping.column_settings import Attribute
from churn_store.mapping.company import refuse_other_inputs
from churn_store.mapping.csv_reader import read_text
from churn_store.mapping.encoding import GZIP, ZSTD
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.model_inputs import ModelInputs, model_inputs, needed
from churn_store.mapping.parts import open_parted
from churn_store.mapping.tables import PERSON
from churn_store.mapping.text import EXPECTED, FIELDS, LINE, MappedText
from churn_store.model.signature import Signature
from churn_store.redaction import shown_names

FILE: Final = "body"

ROWS_AT_ONCE: Final = 200
"""Rows that are turned into Python's values at once."""


@dataclass(frozen=True)
class CompanyFile:
    """Reads a body that is a file.

    Attributes:
        mapping: description of the company's table of customers; ``None`` to read the release's own names.
        max_rows: most rows of a body.
    """

    mapping: FileTable | None
    max_rows: int

    def rows(self, body: bytes, kind: FileType, signature: Signature, *, release: str) -> Iterator[FileRow]:
        """Read a body, as ``FileBodies.rows`` says."""
        try:
            text, description = self._read(body, kind, signature, release)
            if text.rows.height + text.ragged.height > self.max_rows:
                raise malformed("", f"expected a header line and 1 to {self.max_rows} rows; found more")
            return _rows(
                text, model_inputs(text, description, where=where_of(kind), with_values=False), description, signature
            )
        except InputError as error:
            raise malformed("", str(error)) from None

    def _read(self, body: bytes, kind: FileType, signature: Signature, release: str) -> tuple[MappedText, FileTable]:
        described = _own_names(signature) if self.mapping is None else self.mapping
        if self.mapping is not None:
            refuse_other_inputs(described, signature, release=release)
        if isinstance(kind, CsvType):
            encoding = kind.encoding or described.encoding
            _require_csv(body, encoding)
            found = described.model_copy(update={"path": FILE, "format": "csv", "encoding": encoding})
        else:
            found = described.model_copy(update={"path": FILE, "format": "parquet"})
            body = plain_parquet(body, found.mapped, max_rows=self.max_rows)
        with tempfile.TemporaryDirectory(prefix="churn-") as folder:
            file = Path(folder) / FILE
            file.write_bytes(body)
            there = open_parted(file, needed(found, signature.names), where=where_of(kind)).names
            if self.mapping is None:
                _require_own_names(there, signature)
            description = needed(found, signature.names, there)
            return read_text(description, file.parent, where=where_of(kind)), description


def where_of(kind: FileType) -> str:
    """The name of a body in messages."""
    return "CSV" if isinstance(kind, CsvType) else "Parquet"


def _rows(text: MappedText, inputs: ModelInputs, description: FileTable, signature: Signature) -> Iterator[FileRow]:
    place = text.counted
    ragged = (
        FileRow(
            place,
            line,
            None,
            {},
            "a quote has no end" if fields is None else f"{fields} fields, expected {expected}",
            is_whole=False,
        )
        for line, fields, expected in text.ragged.select(LINE, FIELDS, EXPECTED).sort(LINE).iter_rows()
    )
    yield from heapq.merge(_whole_rows(text, inputs, description, signature), ragged, key=lambda row: row.line)


def _whole_rows(text: MappedText, inputs: ModelInputs, description: FileTable, signature: Signature) -> Iterator[FileRow]:
    names = list(signature.names)
    for start in range(0, inputs.rows.height, ROWS_AT_ONCE):
        frame, written = inputs.rows.slice(start, ROWS_AT_ONCE), text.rows.slice(start, ROWS_AT_ONCE)
        ids = frame[PERSON].to_list() if PERSON in frame.columns else [None] * frame.height
        columns = [_values(frame[name], written, description.attributes[name]) for name in names]
        faults = inputs.unreadable.slice(start, ROWS_AT_ONCE).to_list()
        for line, customer_id, fault, *values in zip(written[LINE].to_list(), ids, faults, *columns, strict=True):
            yield FileRow(text.counted, line, customer_id or None, dict(zip(names, values, strict=True)), fault or "")


def _values(read: pl.Series, written: pl.DataFrame, attribute: Attribute) -> list[Any]:
    """The values of a column; a number that can't be read is the text that stands there."""
    values = read.to_list()
    if attribute.kind != "number" or read.null_count() == 0:
        return values
    return [raw if value is None else value for value, raw in zip(values, written[attribute.column].to_list(), strict=True)]


def _require_csv(body: bytes, encoding: str) -> None:
    """Refuse a body that is no text.

    Raises:
        Problem: if it is compressed (415), empty or holds NUL (400).
    """
    if body.startswith((GZIP, ZSTD)):
        raise Problem(415, "compressed", "The body is compressed; expected plain CSV.")
    if not body.strip():
        raise malformed("", "the body is empty; expected a header line with the names of columns")
    if encoding != "utf-16" and (place := body.find(b"\0")) >= 0:
        line = body.count(b"\n", 0, place) + 1
        raise malformed("", f"line {line} holds the character NUL; expected text without it")


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
