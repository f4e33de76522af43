"""The source of a company that has a PostgreSQL: a table or a query for each raw table.

Belongs here: which queries are sent when, and how new rows are noticed. Does not belong here: SQL (``query``), connections
(``connection``), and which rows a period gets (``connectors.mapped_source``).
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import polars as pl

from churn_assets.connectors.mapped_source import MappedSource, newest
from churn_assets.connectors.postgres.connection import reading, server
from churn_assets.connectors.postgres.query import counts, distinct, facts, height, read_text, times_of
from churn_assets.settings.postgres import PostgresSettings, PostgresTable
from churn_store.errors import InputError
from churn_store.mapping.canonical import Rules, canonical
from churn_store.mapping.ids import rewritten
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.tables import Delivery, Table
from churn_store.mapping.text import MappedText

PLAIN = Rules()

SAMPLE = 1000
"""The number of rows of a table that are inspected if a period has none."""


class PostgresSource(MappedSource):
    """Reads each period over a connection of its own.

    Args:
        settings: address of the server, and description of its tables.
        rules: limits that hold for all values.
        normalisation: function that returns the version of how words are written in the lake.
    """

    def __init__(
        self, settings: PostgresSettings, rules: Rules = PLAIN, *, normalisation: Callable[[], int] = newest
    ) -> None:
        super().__init__(settings, rules, normalisation=normalisation)
        self._settings = settings
        self._customers: pl.Series | None = None

    def fingerprint(self) -> str:
        """A digest of the description, and of each table's number of rows and newest times.

        It costs a count of each table, and misses a row that was changed without a newer time.

        Raises:
            InputError: if a table does not exist or does not fit its description.
            SourceAwayError: if the server does not answer.
        """
        digest = hashlib.sha256(f"{self._settings.model_dump_json()}{server(self._settings)}".encode())
        for name in self._settings.raw_tables:
            if (table := self._table(name)) is None:
                continue
            times = [] if self._settings.shape == "table" else [*times_of(table).occurred, times_of(table).known]
            with reading(self._settings, where=self._where(name)) as connection:
                digest.update(facts(connection, table, [time for time in times if time is not None]).encode())
        return digest.hexdigest()

    def _understood(self, table: Table, start_s: int, end_s: int) -> Delivery:
        delivery = super()._understood(table, start_s, end_s)
        if delivery.rows.height == delivery.unreadable.height == 0:
            self._refuse_odd_times(table)
        return delivery

    def _refuse_odd_times(self, table: Table) -> None:
        """After a stretch without rows, refuse a table that is empty or whose times are in another unit."""
        description, where = self._described(table), self._where(table)
        text = self._asked(description, where, bounds=None, limit=SAMPLE)
        if text.rows.height == 0:
            raise InputError(f"{where}: no rows; expected at least one. Fill the table or change `table` in churn.yaml")
        if self._settings.shape == "history":
            canonical(table, text, description, where=where, rules=self._rules)

    def _text(self, table: Table, description: MappedTable, start_s: int, end_s: int) -> MappedText:  # noqa: ARG002
        bounds = None if self._settings.shape == "table" else (start_s, end_s)
        return self._asked(self._described(table), self._where(table), bounds=bounds)

    def _asked(
        self, table: PostgresTable, where: str, *, bounds: tuple[int, int] | None, limit: int | None = None
    ) -> MappedText:
        def whole_height() -> int:
            with reading(self._settings, where=where) as connection:
                return height(connection, table)

        def whole_currencies() -> dict[str, int]:
            with reading(self._settings, where=where) as connection:
                return counts(connection, table, text.currency_column or "")

        with reading(self._settings, where=where) as connection:
            text = read_text(
                connection,
                table,
                where=where,
                bounds=bounds,
                batch_rows=self._settings.batch_rows,
                limit=limit,
                normalisation=self._normalisation(),
            )
        if bounds is None:
            return text
        return replace(text, height=whole_height, currencies=whole_currencies)

    def _customer_ids(self, *, again: bool = False) -> pl.Series:
        if self._customers is None or again:
            table = self._described("customers")
            with reading(self._settings, where=self._where("customers")) as connection:
                self._customers = rewritten(
                    distinct(connection, table, table.columns["customer_id"], normalisation=self._normalisation()), table
                )
        return self._customers

    def _where(self, table: Table) -> str:
        description = self._table(table)
        which = "" if description is None else f" ({description.table or 'its query'})"
        return f"source.{table}{which}"

    def _described(self, table: Table) -> PostgresTable:
        description = self._table(table)
        if description is None:
            raise ValueError(f"no table of {table} is described")
        return description

    def _table(self, table: Table) -> PostgresTable | None:
        description: PostgresTable | None = getattr(self._settings, table)
        return description
