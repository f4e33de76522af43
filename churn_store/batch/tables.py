"""Tables in files, read part by part: CSV (also gzipped) and Parquet, by the ending of the name.

Belongs here: formats, and broken lines. Does not belong here: what the values mean (``rows``), a company's own file
(``mapped_table``) and how files are written (``row_writer``).
"""

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Literal, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from churn_store.errors import InputError

ENDINGS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}

VALUES_AT_ONCE = 1_000_000
"""Most values in memory at once."""

UNREADABLE = (OSError, EOFError, zlib.error)
"""Exceptions of a file that is damaged, cut off or gone."""

ROW = "\0\0row"
"""The position of a row in its file, from 1, the header not counted. No column of a file has such a name."""

FIRST_LINE, LINE = "\0\0first line", "\0\0line"
"""The lines on which a row of a CSV file (also a gzipped one) begins and ends, from 1."""


NOT_READ = "\0\0not read"
"""Why a row can't be read by the mapping of a company; null where it can."""


@dataclass
class Chunk:
    """Some rows of a file.

    Attributes:
        rows: rows with ``ROW``; for CSV also with ``FIRST_LINE`` and ``LINE``, for a company's own file with ``NOT_READ``.
        broken: row, line and reason of each unreadable row.
    """

    rows: pl.DataFrame
    broken: list[tuple[int, int, str]] = field(default_factory=list)


def format_of(path: Path) -> Literal["csv", "parquet"]:
    """The format of a file.

    Raises:
        InputError: if the ending is another.
    """
    for ending, kind in ENDINGS.items():
        if path.name.lower().endswith(ending):
            return kind  # type: ignore[return-value]
    raise InputError(f"{path} has another ending than {', '.join(ENDINGS)}; name the file by what it is")


def with_word(path: Path, word: str) -> Path:
    """The name of an accompanying file: ``scores.csv`` and ``rejected`` make ``scores.rejected.csv``."""
    ending = next(ending for ending in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(ending))
    return path.with_name(f"{path.name[: -len(ending)]}.{word}{path.name[-len(ending) :]}")


def open_table(path: Path, *, separator: str, words: Collection[str] = ()) -> "CsvTable | ParquetTable":
    """Open a file for reading.

    Args:
        path: path of the file.
        separator: field separator of a CSV file.
        words: columns in which an empty text of CSV is a category; elsewhere it is a missing value.

    Raises:
        InputError: if there is no file, or its beginning can't be read.
    """
    if not path.is_file():
        raise InputError(f"{path} {'is not a file' if path.exists() else 'does not exist'}; expected a CSV or Parquet file")
    try:
        return CsvTable(path, separator, words) if format_of(path) == "csv" else ParquetTable(path)
    except UNREADABLE as error:
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def _require_names(path: Path, names: list[str]) -> None:
    """Refuse names that occur twice or hold NUL.

    The message does not show them: where the header is missing and the first line is a row, they are a customer's values.
    """
    first: dict[str, int] = {}
    for place, name in enumerate(names, start=1):
        if first.setdefault(name, place) != place:
            raise InputError(
                f"{path} has one name for its columns {first[name]} and {place}; expected different names. Rename one, "
                "or write a header into the file"
            )
        if "\0" in name:
            raise InputError(
                f"{path} has the byte 0 in the name of its column {place}; expected names without it: rename it"
            )


class _Lines:
    """Lines of a file; those of the current row can be taken back and read again.

    Attributes:
        row: lines of the current row so far.
        number: number of lines read.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._again = iter(lines), deque[str]()
        self.row: list[str] = []
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self.row.append(line)
        return line

    def take_back(self) -> None:
        """Let all but the row's first line be read again."""
        self._again.extendleft(reversed(self.row[1:]))
        self.number -= len(self.row) - 1


class CsvTable:
    """A CSV file in UTF-8 with a header.

    Attributes:
        names: names of its columns.
    """

    def __init__(self, path: Path, separator: str, words: Collection[str] = ()) -> None:
        self._path, self._separator, self._words = path, separator, words
        with self._opened() as lines:
            try:
                header = next(self._reader(lines), None)
                "".join(header or []).encode()
            except (csv.Error, UnicodeEncodeError) as error:
                raise InputError(f"{path} has no header in UTF-8 that can be read ({error})") from error
        if header is None:
            raise InputError(f"{path} is empty; expected a line with the names of its columns")
        _require_names(path, header)
        self.names = header

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """All rows, in some columns, as text; an empty field is null, except in the columns of ``words``.

        A quote that is never closed, or closed by a quote of another row, would swallow the rows in between. So of an unreadable
        row over several lines only the first line is set aside, and the others are read again.
        """
        places = [self.names.index(name) for name in columns]
        picked = itemgetter(*places) if len(places) > 1 else (lambda fields: (fields[places[0]],))
        most = max(1_000, VALUES_AT_ONCE // max(len(columns), 1))
        empty_is_null = [name for name in columns if name not in self._words]
        with self._opened() as file:
            lines = _Lines(file)
            reader = self._reader(lines)
            next(reader)
            width, row = len(self.names), 0
            rows: list[Any] = []
            broken: list[tuple[int, int, str]] = []
            while True:
                lines.row.clear()
                try:
                    fields, fault = next(reader), ""
                except StopIteration:
                    break
                except csv.Error as error:
                    fields, fault = [], f"the line can't be read as CSV: {error}"
                except UNREADABLE as error:
                    raise InputError(f"{self._path} can't be read after row {row}: {error}") from error
                if not fields and not fault:  # an empty line
                    continue
                row += 1
                if len(fields) == width:
                    rows.append((*picked(fields), row, lines.number - len(lines.row) + 1, lines.number))
                else:
                    if len(lines.row) > 1:
                        lines.take_back()
                        reader = self._reader(lines)
                        fault = (
                            fault or f"a quote is closed lines later, where {len(fields)} fields are read, expected {width}"
                        )
                    broken.append((row, lines.number, fault or f"{len(fields)} fields, expected {width}"))
                if len(rows) + len(broken) >= most:
                    yield _chunk(rows, broken, columns, empty_is_null)
                    rows, broken = [], []
            yield _chunk(rows, broken, columns, empty_is_null)

    def _opened(self) -> IO[str]:
        # Bytes that are not UTF-8 are kept as they are, so that only their own row is refused.
        if self._path.name.lower().endswith(".gz"):
            return gzip.open(self._path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
        return self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")

    def _reader(self, lines: Iterable[str]) -> Any:
        return csv.reader(lines, delimiter=self._separator, strict=True)


def _chunk(
    rows: list[Any], broken: list[tuple[int, int, str]], columns: Sequence[str], empty_is_null: Sequence[str]
) -> Chunk:
    places = (ROW, FIRST_LINE, LINE)
    names = [*columns, *places]
    schema = {**dict.fromkeys(columns, pl.String), **dict.fromkeys(places, pl.Int64)}
    transposed = list(zip(*rows, strict=True)) or [()] * len(names)
    try:
        frame = pl.DataFrame(dict(zip(names, transposed, strict=True)), schema=schema)
    except UnicodeEncodeError:
        legible = []
        for fields in rows:
            try:
                "".join(fields[: len(columns)]).encode()
                legible.append(fields)
            except UnicodeEncodeError:
                broken.append((fields[-len(places)], fields[-1], "the line is not UTF-8"))
        return _chunk(legible, sorted(broken), columns, empty_is_null)
    return Chunk(frame.with_columns(pl.col(name).replace("", None) for name in empty_is_null), broken)


class ParquetTable:
    """A Parquet file.

    Attributes:
        names: names of its columns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.names = list(pq.read_schema(path).names)
        except pa.ArrowException as error:
            raise InputError(f"{path} can't be read as Parquet ({error})") from error
        _require_names(path, self.names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """All rows, in some columns, with their own types."""
        most, row = max(1_000, VALUES_AT_ONCE // max(len(columns), 1)), 0
        try:
            with pq.ParquetFile(self._path, buffer_size=1 << 20) as file:
                # One group at a time: asked for all at once, pyarrow keeps memory of each.
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(
                        batch_size=most, row_groups=[group], columns=list(columns), use_threads=False
                    ):
                        frame = pl.DataFrame(pl.from_arrow(batch)).select(columns)
                        numbers = pl.int_range(row + 1, row + 1 + pl.len(), dtype=pl.Int64).alias(ROW)
                        yield Chunk(frame.with_columns(numbers))
                        row += frame.height
                if row == 0:
                    empty = pl.DataFrame(pl.from_arrow(file.schema_arrow.empty_table())).select(columns)
                    yield Chunk(empty.with_columns(pl.Series(ROW, [], dtype=pl.Int64)))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self._path} can't be read as Parquet after row {row} ({error})") from error
