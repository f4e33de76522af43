"""The source of a company that has files: CSV or Parquet, with a mapping from its columns to the canonical ones.

Belongs here: when files are read, and how a change of them is noticed. Does not belong here: how a file is described
(``churn_store.mapping.file_settings``) and read (``churn_store.mapping.csv_reader``), and which rows a period gets
(``connectors.mapped_source``).
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from churn_assets.connectors.files.unread_files import unread_spans
from churn_assets.connectors.mapped_source import MappedSource, newest
from churn_assets.periods import epoch_s
from churn_store.disk import disk_error
from churn_store.errors import InputError
from churn_store.mapping.canonical import Rules, canonical
from churn_store.mapping.csv_reader import matching_files, read_text
from churn_store.mapping.file_settings import FilesSettings, FileTable
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.tables import Delivery, Table, Unread
from churn_store.mapping.text import FILE, MappedText

PLAIN = Rules()


class FilesSource(MappedSource):
    """Reads the files once, maps them, and cuts them by arrival.

    Args:
        settings: description of the files.
        folder: folder that paths are relative to.
        rules: limits that hold for all values.
        normalisation: function that returns the version of how words are written in the lake.
        in_parts: whether a file that can't be read stops only the periods that it may have rows of; by default it stops all.
    """

    def __init__(
        self,
        settings: FilesSettings,
        folder: Path,
        rules: Rules = PLAIN,
        *,
        normalisation: Callable[[], int] = newest,
        in_parts: bool = False,
    ) -> None:
        super().__init__(settings, rules, normalisation=normalisation)
        self._settings = settings
        self._folder = folder
        self._whole: dict[Table, Delivery] = {}
        self._unread: dict[Table, tuple[Unread, ...]] = {}
        self._in_parts = in_parts and settings.shape == "history"

    def fingerprint(self) -> str:
        """A digest of the description and of every byte of the files."""
        digest = hashlib.sha256(self._settings.model_dump_json().encode())
        for name in self._settings.raw_tables:
            if (table := self._file_table(name)) is None:
                continue
            for file in matching_files(table, self._folder, where=self._where(name)):
                try:
                    with open(file, "rb") as stream:
                        digest.update(hashlib.file_digest(stream, "sha256").digest())
                except OSError as error:
                    raise disk_error(error, f"{self._where(name)} can't be read") or error from error
        return digest.hexdigest()

    def _understood(self, table: Table, start_s: int, end_s: int) -> Delivery:
        if table not in self._whole:
            delivery = super()._understood(table, start_s, end_s)
            self._whole[table] = replace(delivery, unread=self._unread.get(table, ()))
        return self._whole[table]

    def _text(self, table: Table, description: MappedTable, start_s: int, end_s: int) -> MappedText:  # noqa: ARG002
        if not isinstance(description, FileTable):
            raise TypeError(f"{table} is not described as files")
        broken: dict[str, InputError] = {}
        text = read_text(
            description,
            self._folder,
            where=self._where(table),
            normalisation=self._normalisation(),
            set_aside=broken.__setitem__ if self._in_parts else None,
        )
        if broken and self._settings.start is not None:
            known = self._known_by_file(table, description, text)
            self._unread[table] = unread_spans(broken, known, start_s=epoch_s(self._settings.start))
        return text

    def _known_by_file(self, table: Table, description: FileTable, text: MappedText) -> dict[str, tuple[int, int]]:
        """When the first and the last row of each file that can be read became known."""
        spans = {}
        for (name,), rows in text.rows.group_by(FILE):
            part = replace(text, rows=rows, ragged=text.ragged.clear(), height=lambda: text.rows.height)
            times = canonical(table, part, description, where=self._where(table), rules=self._rules).rows["known_s"]
            if times.len() > times.null_count():
                spans[str(name)] = (int(times.min()), int(times.max()))  # type: ignore[arg-type]
        return spans

    def _of_read_customers(self, rows: pl.DataFrame) -> pl.DataFrame:
        unread = self._understood("customers", 0, 0).unread
        return rows.filter(pl.col("known_s") < min(span.start_s for span in unread)) if unread else rows

    def _customer_ids(self, *, again: bool = False) -> pl.Series:  # noqa: ARG002 - the files are read once
        return self._understood("customers", 0, 0).rows["customer_id"]

    def _where(self, table: Table) -> str:
        description = self._file_table(table)
        return f"source.{table}" + ("" if description is None else f" ({description.path})")

    def _file_table(self, table: Table) -> FileTable | None:
        description: FileTable | None = getattr(self._settings, table)
        return description
