"""The source of a company that has files: CSV or Parquet, with a mapping from its columns to the canonical ones.

Belongs here: which rows a period gets, and customers who are known only by what they did. Does not belong here: how a file is
described (``file_settings``), read (``file_text``) and understood (``file_values``).
"""

import hashlib
from pathlib import Path

import polars as pl

from churn_assets.periods import epoch_s
from churn_assets.raw.file_settings import FilesSettings, FileTable
from churn_assets.raw.file_text import matching_files, read_text
from churn_assets.raw.file_values import canonical, labelled
from churn_assets.raw.source import SCHEMAS, Delivery, Table
from churn_store.signature import Column

EVER = 2**62


class FilesSource:
    """Reads the files once, maps them, and cuts them by arrival.

    Args:
        settings: their description.
        folder: that paths are relative to.
    """

    def __init__(self, settings: FilesSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._mapped: dict[str, pl.DataFrame] = {}
        self.attributes = _attributes(settings)

    def given(self, table: Table) -> frozenset[str]:  # noqa: ARG002
        """Which of a table's optional columns the files have."""
        return frozenset()

    def says_when_known(self, table: Table) -> bool:
        """Whether the column that says when a row became known is mapped."""
        description: FileTable | None = getattr(self._settings, table)
        return description is not None and "known" in description.columns

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """Rows that became known in ``[start_s, end_s)``; the rows of data without time have no time and all come.

        What was known before the first day with data comes with the first period: a customer of ten years is not lost to a
        history that begins last year.
        """
        if table not in self._mapped:
            self._mapped[table] = self._map(table)
        frame = self._mapped[table]
        if self._settings.shape == "table":
            return Delivery(frame)
        begins_here = self._settings.start is not None and start_s <= epoch_s(self._settings.start) < end_s
        return Delivery(frame.filter(pl.col("known_s") >= (-EVER if begins_here else start_s), pl.col("known_s") < end_s))

    def fingerprint(self) -> str:
        """A digest of the description and of every byte of the files."""
        digest = hashlib.sha256(self._settings.model_dump_json().encode())
        for description in (self._settings.customers, self._settings.events, self._settings.payments):
            for file in [] if description is None else matching_files(description, self._folder):
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def _map(self, table: Table) -> pl.DataFrame:
        description: FileTable | None = getattr(self._settings, table)
        if description is None:
            return self._derived_customers()
        where = f"source.{table} ({description.path})"
        text = read_text(description, self._folder, where=where)
        if self._settings.shape == "table":
            return labelled(text, description, where=where)
        return canonical(table, text, description, self.attributes, where=where)

    def _derived_customers(self) -> pl.DataFrame:
        """Customers who are known only by what they did: signed up when they were first seen, as known at each time.

        A row that turns up later and is older than all before it makes a new version of the record, known when that row was.
        """
        rows = [
            self.read(table, -EVER, EVER).rows.select("customer_id", "occurred_s", "known_s")
            for table in self._settings.tables
            if table != "customers"
        ]
        return (
            pl.concat(rows)
            .group_by("customer_id", "known_s")
            .agg(pl.col("occurred_s").min())
            .sort("customer_id", "known_s")
            .with_columns(signed_up_s=pl.col("occurred_s").cum_min().over("customer_id"))
            .filter((pl.col("signed_up_s") < pl.col("signed_up_s").shift().over("customer_id")).fill_null(value=True))
            .with_columns(occurred_s=pl.col("known_s"))
            .select(list(SCHEMAS["customers"]))
        )


def _attributes(settings: FilesSettings) -> tuple[Column, ...]:
    if settings.customers is None:
        return ()
    return tuple(
        Column(
            name=name,
            kind=attribute.kind,
            nullable=attribute.nullable,
            low=attribute.low,
            high=attribute.high,
            unit=attribute.unit,
            description=attribute.description or f"{attribute.column} as the source says",
        )
        for name, attribute in settings.customers.attributes.items()
    )
