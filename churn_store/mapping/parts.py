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
from churn_store.mapping.csv_reader import read_text
from churn_store.mapping.csv_records import blocks_of
from churn_store.mapping.encoding import UTF_8, not_utf_8, utf_8
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.text import LINE, MappedText

PART = 4 << 20
"""Bytes of CSV that are read at once."""

VALUES_AT_ONCE = 500_000
"""Most values of Parquet that are read at once."""

HEADER = re.compile(rb'(?:[ \t]*\r?\n)*(?:[^"\n]|"[^"]*")*\n')
"""The header of a file, with empty lines before it."""

SEPARATOR_LINE = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=[^\n]*\n', re.IGNORECASE)
"""A first line that tells a spreadsheet the separator."""


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
    def parts(self, description: FileTable, *, keep: Sequence[str] = ()) -> Iterator[Part]:
        """All rows.

        Args:
            description: description of the file, of which the path is not looked at.
            keep: further columns.

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
        before = _before_header(begins, description.skip_lines)
        found = HEADER.match(begins, before)
        self._head = begins[: found.end()] if found else begins
        try:
            self._head.decode(UTF_8)
        except UnicodeDecodeError as error:
            raise not_utf_8(file, f"{where}: {file.name}") from error
        header = pl.scan_csv(self._head[before:], separator=description.separator, infer_schema=False)
        self.names = header.collect_schema().names()

    def parts(self, description: FileTable, *, keep: Sequence[str] = ()) -> Iterator[Part]:
        kept = {f"\0kept {place}": name for place, name in enumerate(keep)}
        wider = description.model_copy(update={"columns": {**description.columns, **kept}})
        with tempfile.TemporaryDirectory(prefix="churn-") as folder, self._opened() as stream:
            part, before = Path(folder) / self._file.name, 0
            stream.seek(len(self._head))
            for block in _of_some_size(blocks_of(stream, description.separator, size=PART)):
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

    def parts(self, description: FileTable, *, keep: Sequence[str] = ()) -> Iterator[Part]:
        mapped = [name for name in description.mapped if name in self.names]
        columns = list(dict.fromkeys([*mapped, *keep]))
        most, before = max(1_000, VALUES_AT_ONCE // max(len(columns), 1)), 0
        try:
            with (
                tempfile.TemporaryDirectory(prefix="churn-") as folder,
                pq.ParquetFile(self._file, buffer_size=1 << 20) as table,
            ):
                part = Path(folder) / self._file.name
                # One group at a time: asked for all at once, pyarrow keeps memory of each.
                for group in range(table.num_row_groups):
                    for batch in table.iter_batches(most, row_groups=[group], columns=columns, use_threads=False):
                        rows = pa.Table.from_batches([batch])
                        pq.write_table(rows.select(mapped), part)
                        text = self._read(part, description, before=before)
                        yield Part(text, pl.DataFrame(pl.from_arrow(rows)).select(keep))
                        before += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self._where}: {self._file.name} can't be read as Parquet after row {before} ({error}); copy it again"
            ) from error


def _before_header(begins: bytes, skipped: int) -> int:
    """The length of what stands before the header: lines that are skipped, and one that tells the separator."""
    place = 0
    for _ in range(skipped):
        place = begins.find(b"\n", place) + 1 or len(begins)
    told = SEPARATOR_LINE.match(begins, place)
    return told.end() if told else place


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
