"""The source of a company that has files: CSV or Parquet, with a mapping from its columns to the canonical ones.

Belongs here: when files are read, and how a change of them is noticed. Does not belong here: how a file is described
(``churn_store.mapping.file_settings``) and read (``churn_store.mapping.csv_reader``), and which rows a period gets
(``connectors.mapped_source``).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from churn_assets.connectors.mapped_source import MappedSource, newest
from churn_store.mapping.canonical import Rules
from churn_store.mapping.csv_reader import matching_files, read_text
from churn_store.mapping.file_settings import FilesSettings, FileTable
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.tables import Delivery, Table
from churn_store.mapping.text import MappedText

PLAIN = Rules()


class FilesSource(MappedSource):
    """Reads the files once, maps them, and cuts them by arrival.

    Args:
        settings: description of the files.
        folder: folder that paths are relative to.
        rules: limits that hold for all values.
        normalisation: function that returns the version of how words are written in the lake.
    """

    def __init__(
        self, settings: FilesSettings, folder: Path, rules: Rules = PLAIN, *, normalisation: Callable[[], int] = newest
    ) -> None:
        super().__init__(settings, rules, normalisation=normalisation)
        self._settings = settings
        self._folder = folder
        self._whole: dict[Table, Delivery] = {}

    def fingerprint(self) -> str:
        """A digest of the description and of every byte of the files."""
        digest = hashlib.sha256(self._settings.model_dump_json().encode())
        for name in self._settings.tables:
            if (table := self._file_table(name)) is None:
                continue
            for file in matching_files(table, self._folder, where=self._where(name)):
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def _understood(self, table: Table, start_s: int, end_s: int) -> Delivery:
        if table not in self._whole:
            self._whole[table] = super()._understood(table, start_s, end_s)
        return self._whole[table]

    def _text(self, table: Table, description: MappedTable, start_s: int, end_s: int) -> MappedText:  # noqa: ARG002
        if not isinstance(description, FileTable):
            raise TypeError(f"{table} is not described as files")
        return read_text(description, self._folder, where=self._where(table), normalisation=self._normalisation())

    def _customer_ids(self, *, again: bool = False) -> pl.Series:  # noqa: ARG002 - the files are read once
        return self._understood("customers", 0, 0).rows["customer_id"]

    def _where(self, table: Table) -> str:
        description = self._file_table(table)
        return f"source.{table}" + ("" if description is None else f" ({description.path})")

    def _file_table(self, table: Table) -> FileTable | None:
        description: FileTable | None = getattr(self._settings, table)
        return description
