"""Writes tables part by part, as CSV (also gzipped) or Parquet, by the ending of the name.

A written file appears under its name when it is complete. Belongs here: formats, and what a file of ids has for a spreadsheet. Does
not belong here: which rows are written (``score_file``), and which texts a spreadsheet runs (``churn_store.spreadsheet``).
"""

import gzip
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import polars as pl
import pyarrow.parquet as pq

from churn_store.batch.tables import format_of
from churn_store.errors import InputError
from churn_store.mapping.csv_records import blocks_of
from churn_store.spreadsheet import any_is_run, defused, defused_text

SHOWN = "_shown"
"""Ending of the name of a column that holds ids as a spreadsheet may show them."""

REWRITTEN_AT_ONCE = 1 << 23
"""Bytes of a file that are rewritten at once."""


class RowWriter:
    """A file that is written under a temporary name, and renamed when it is complete.

    CSV is opened by spreadsheets: its texts are defused. The ids stay as they are, because other tables are joined by them; if a
    spreadsheet may run any, a second column has them defused. It begins with the first such id, and the rows before get it, too.

    Args:
        path: path of the file.
        separator: field separator of a CSV file.
        ids: column of ids.

    Attributes:
        rows: number of rows written so far.
        shows_ids: whether the file has the second column of ids.
    """

    def __init__(self, path: Path, *, separator: str, ids: str | None = None) -> None:
        self._path, self._separator, self._ids = path, separator, ids
        self._beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: IO[bytes] | None = None
        self._parquet: Any = None
        self._has_header = False
        self.rows = 0
        self.shows_ids = False

    def __enter__(self) -> Self:
        try:
            self._open(self._beside)
        except OSError as error:
            raise InputError(f"{self._path} can't be written: {error.strerror}; choose another place") from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._close()
        self._beside.unlink(missing_ok=True)
        self._rewritten.unlink(missing_ok=True)

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows; the first call determines the columns."""
        try:
            if format_of(self._path) == "parquet":
                table = frame.to_arrow()
                if self._parquet is None:
                    self._parquet = pq.ParquetWriter(self._file, table.schema)
                if frame.height:
                    self._parquet.write_table(table.cast(self._parquet.schema))
            else:
                if not self.shows_ids and self._ids in frame.columns and any_is_run(frame[self._ids]):
                    self._show_ids()
                self._write_csv(self._with_shown(defused(frame, exact=self._ids)))
        except OSError as error:
            raise InputError(f"{self._path} can't be written: {error.strerror}; nothing was left there") from error
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"{self._path} can't hold these columns: {error}; name a Parquet file or keep others"
            ) from error
        self.rows += frame.height

    def put_in_place(self) -> None:
        """Sync the file and give it its name."""
        self._close()
        with self._beside.open("rb") as written:
            os.fsync(written.fileno())
        self._beside.replace(self._path)

    def _write_csv(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self._file, include_header=not self._has_header, separator=self._separator)
        self._has_header = True

    def _with_shown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with the second column of ids right of the first, if the file has it."""
        if not self.shows_ids or self._ids is None:
            return frame
        shown = frame.select(defused_text(pl.col(self._ids).cast(pl.String)).alias(f"{self._ids}{SHOWN}")).to_series()
        return frame.insert_column(frame.get_column_index(self._ids) + 1, shown)

    def _show_ids(self) -> None:
        """Give the rows that were written already the second column of ids."""
        self.shows_ids = True
        if not self._has_header:
            return
        self._close()
        self._open(self._rewritten)
        self._has_header = False
        header = b""
        with gzip.open(self._beside) if self._is_gzip else self._beside.open("rb") as written:
            for block in blocks_of(written, self._separator, size=REWRITTEN_AT_ONCE):  # type: ignore[arg-type]
                rows = pl.read_csv(header + block, separator=self._separator, infer_schema=False)
                header = header or rows.clear().write_csv(separator=self._separator).encode()
                self._write_csv(self._with_shown(rows))
        self._rewritten.replace(self._beside)

    @property
    def _is_gzip(self) -> bool:
        return self._path.name.lower().endswith(".gz")

    @property
    def _rewritten(self) -> Path:
        return self._beside.with_name(f"{self._beside.name}.2")

    def _open(self, path: Path) -> None:
        opened = path.open("wb")
        self._raw = opened
        self._file = gzip.GzipFile("", "wb", fileobj=opened, mtime=0) if self._is_gzip else opened  # type: ignore[assignment]

    def _close(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        if self._file is not None:
            self._file.close()
            self._raw.close()
            self._file = None
