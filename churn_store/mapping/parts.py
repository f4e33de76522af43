"""Reads a company's file part by part, each as ingest would read it as a whole, so that a file of any size needs little memory.

A file that is compressed or in another encoding than UTF-8 is in memory as a whole, as its bytes.

Belongs here: where a file can be divided, and the places of rows in the whole. Does not belong here: how a part is read
(``csv_reader``) and what its text means (``model_inputs``).
"""

import re
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from churn_store.errors import InputError
from churn_store.mapping.csv_header import find_header
from churn_store.mapping.csv_reader import read_text
from churn_store.mapping.csv_records import blocks_of
from churn_store.mapping.encoding import UTF_8, not_utf_8, utf_8
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.text import LINE, MappedText

PART = 4 << 20
"""Bytes of CSV that are read at once."""

VALUES_AT_ONCE = 500_000
"""Most values of Parquet that are read at once."""

HEADER = re.compile(rb'(?:[^"\n]|"[^"]*")*\n')
"""The header of a file, up to the end of its line."""


@dataclass(frozen=True)
class Part:
    """Some rows of a file.

    Attributes:
        text: their text, with each row's place in the whole file.
        kept: further columns of the same rows: text of CSV, the own types of Parquet.
    """

    text: MappedText
    kept: pl.DataFrame


class PartedFile(ABC):
    """A file that is read part by part.

    Args:
        file: the file, of the format of its description.
        where: name of the table, with which every error message begins.

    Attributes:
        names: names of its columns.
    """

    names: list[str]

    def __init__(self, file: Path, *, where: str) -> None:
        self._file, self._where = file, where

    @abstractmethod
    def parts(self, description: FileTable, *, keep: Sequence[str] = (), whole: bool = False) -> Iterator[Part]:
        """All rows.

        Args:
            description: description of the file, of which the path is not looked at.
            keep: further columns.
            whole: whether all rows are one part, where equal rows are counted.

        Raises:
            InputError: as ``read_text`` does.
        """

    def _read(self, part: Path, description: FileTable, *, before: int) -> MappedText:
        """A part as ingest reads a file, with its places counted from the beginning of the whole."""
        instead = description.model_copy(update={"path": part.name, "encoding": UTF_8})
        text = read_text(instead, part.parent, where=self._where)
        moved = pl.col(LINE) + before
        return replace(text, rows=text.rows.with_columns(moved), ragged=text.ragged.with_columns(moved))


def open_parted(file: Path, description: FileTable, *, where: str) -> PartedFile:
    """Open a file for reading.

    Raises:
        InputError: if it can't be read, or has no header.
    """
    try:
        return (_Parquet if description.format == "parquet" else _Csv)(file, description, where=where)
    except pl.exceptions.NoDataError as error:
        raise InputError(f"{where}: {file.name} is empty; expected a header and rows. Fill the file") from error
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{where}: {file.name} can't be read: {error}; copy the file again") from error


class _Csv(PartedFile):
    def __init__(self, file: Path, description: FileTable, *, where: str) -> None:
        super().__init__(file, where=where)
        self._content = utf_8(file, description, where=f"{where}: {file.name}")
        with self._opened() as stream:
            begins = stream.read(PART)
        header = find_header(self._content, description, where=f"{where}: {file.name}")
        self._separator = header.separator
        before = 0
        for _ in range(header.skip_lines):
            before = begins.find(b"\n", before) + 1 or len(begins)
        found = HEADER.match(begins, before)
        self._head = begins[: found.end()] if found else begins
        try:
            self._head.decode(UTF_8)
        except UnicodeDecodeError as error:
            raise not_utf_8(file, f"{where}: {file.name}") from error
        first = pl.scan_csv(self._head[before:], separator=header.separator, infer_schema=False)
        self.names = first.collect_schema().names()

    def parts(self, description: FileTable, *, keep: Sequence[str] = (), whole: bool = False) -> Iterator[Part]:
        kept = {f"\0kept {place}": name for place, name in enumerate(keep)}
        wider = description.model_copy(update={"columns": {**description.columns, **kept}})
        with tempfile.TemporaryDirectory(prefix="churn-") as folder, self._opened() as stream:
            part, before = Path(folder) / self._file.name, 0
            stream.seek(len(self._head))
            blocks = iter([stream.read()]) if whole else blocks_of(stream, self._separator, size=PART)
            nothing = f' \t\r\n"{self._separator}'.encode()
            for block in _of_some_size(blocks):
                if before and not block.translate(None, nothing):  # a spreadsheet may end with many empty lines
                    before += block.count(b"\n")
                    continue
                try:
                    block.decode(UTF_8)
                except UnicodeDecodeError as error:
                    raise not_utf_8(self._file, f"{self._where}: {self._file.name}") from error
                part.write_bytes(self._head + block)
                text = self._read(part, wider, before=before)
                yield Part(text, text.rows.select(keep))
                before += block.count(b"\n")

    def _opened(self) -> BinaryIO:
        return BytesIO(self._content) if isinstance(self._content, bytes) else self._content.open("rb")


class _Parquet(PartedFile):
    def __init__(self, file: Path, description: FileTable, *, where: str) -> None:  # noqa: ARG002 - as the other
        super().__init__(file, where=where)
        self.names = list(pq.read_schema(file).names)

    def parts(self, description: FileTable, *, keep: Sequence[str] = (), whole: bool = False) -> Iterator[Part]:
        mapped = [name for name in description.mapped if name in self.names]
        columns = list(dict.fromkeys([*mapped, *keep]))
        most, before = max(1_000, VALUES_AT_ONCE // max(len(columns), 1)), 0
        try:
            with (
                tempfile.TemporaryDirectory(prefix="churn-") as folder,
                pq.ParquetFile(self._file, buffer_size=1 << 20) as table,
            ):
                part = Path(folder) / self._file.name
                for rows in [table.read(columns)] if whole else _batches(table, columns, most):
                    pq.write_table(rows.select(mapped), part)
                    text = self._read(part, description, before=before)
                    yield Part(text, pl.DataFrame(pl.from_arrow(rows)).select(keep))
                    before += rows.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self._where}: {self._file.name} can't be read as Parquet after row {before} ({error}); copy it again"
            ) from error


def _batches(table: pq.ParquetFile, columns: list[str], most: int) -> Iterator[pa.Table]:
    """Rows, one group at a time: asked for all at once, pyarrow keeps memory of each."""
    for group in range(table.num_row_groups):
        for batch in table.iter_batches(most, row_groups=[group], columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


def _of_some_size(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks, the last one together with the one before, so that none holds empty lines alone; at least one."""
    before = b""
    for block in blocks:
        if len(before) >= PART // 2 and len(block) >= PART // 2:
            yield before
            before = block
        else:
            before += block
    yield before
