"""A source whose tables are described by a mapping: the rows of each period, and customers derived from their activity.

Belongs here: what files and a database have in common. Does not belong here: how they are read (``churn_store.mapping.csv_reader``,
``connectors.postgres.query``) and what their values mean (``churn_store.mapping.canonical``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import polars as pl

from churn_assets.periods import epoch_s
from churn_assets.tables import EVER_S
from churn_store.mapping.canonical import Rules, canonical, labelled, optional_columns
from churn_store.mapping.foreign_keys import require_known, unknown_of
from churn_store.mapping.settings import MappedTable, MappedTables
from churn_store.mapping.tables import SCHEMAS, Delivery, Table, Unread
from churn_store.mapping.text import MappedText
from churn_store.model.signature import Column
from churn_store.model.words import NORMALISATION


def newest() -> int:
    """The version of how words are written in a lake that is made today."""
    return NORMALISATION


class MappedSource(ABC):
    """Rows of described tables, as they arrive.

    Args:
        settings: description of the tables.
        rules: limits that hold for all values.
        normalisation: function that returns the version of how words are written in the lake.
    """

    def __init__(self, settings: MappedTables, rules: Rules, *, normalisation: Callable[[], int]) -> None:
        self._mapping = settings
        self._rules = rules
        self._normalisation = normalisation
        self.attributes = _attributes(settings.described("customers"))

    @abstractmethod
    def _text(self, table: Table, description: MappedTable, start_s: int, end_s: int) -> MappedText:
        """At least the rows that became known in ``[start_s, end_s)``, and those without a readable time.

        Raises:
            InputError: if the table does not exist, or does not fit its description.
        """

    @abstractmethod
    def _customer_ids(self, *, again: bool = False) -> pl.Series:
        """The ids in the table of customers; ``again`` reads them anew instead of using those read before."""

    @abstractmethod
    def _where(self, table: Table) -> str:
        """The table's name in messages."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A digest that changes whenever other rows could come out."""

    def numeric_words(self, table: Table) -> frozenset[str]:
        """Which canonical columns of words are numbers to their writer.

        Raises:
            InputError: if the table does not exist, or does not fit its description.
        """
        description = self._mapping.described(table)
        if description is None:
            return frozenset()
        columns = {**description.columns, **{name: attribute.column for name, attribute in description.attributes.items()}}
        numbers = self._text(table, description, -EVER_S, EVER_S).numbers
        return frozenset(name for name, column in columns.items() if column in numbers)

    def given(self, table: Table) -> frozenset[str]:
        """Which of a table's optional columns are mapped."""
        description = self._mapping.described(table)
        return frozenset() if description is None else optional_columns(description, table)

    def says_when_known(self, table: Table) -> bool:
        """Whether a column says when a row became known; for derived customers, whether every table has such a column."""
        description = self._mapping.described(table)
        if description is None:
            return all(self.says_when_known(other) for other in self._mapping.tables if other != table)
        return "known" in description.columns

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """Rows that became known in ``[start_s, end_s)``; data without time gives all its rows.

        Rows known before the first day with data come with the first period, so that a history that begins last year still has
        its customers of ten years. Without arrival timestamps it gives all rows that happened before ``end_s``. Unreadable rows
        come with their period; those without a readable time come with every period.

        Raises:
            InputError: if the table does not exist, or does not fit its description.
        """
        start = self._mapping.start
        if self._mapping.shape == "table" or start is None:
            return self._understood(table, -EVER_S, EVER_S)
        if not self.says_when_known(table) or start_s <= epoch_s(start) < end_s:
            start_s = -EVER_S
        delivery = self._derived_customers() if self._is_derived(table) else self._understood(table, start_s, end_s)
        return Delivery(
            delivery.rows.filter(pl.col("known_s") >= start_s, pl.col("known_s") < end_s),
            delivery.unreadable.filter(
                pl.col("known_s").is_null() | ((pl.col("known_s") >= start_s) & (pl.col("known_s") < end_s))
            ),
            delivery.notes,
            tuple(span for span in delivery.unread if span.start_s < end_s and span.end_s > start_s),
        )

    def _of_read_customers(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose customers could be read."""
        return rows

    def _is_derived(self, table: Table) -> bool:
        return self._mapping.described(table) is None

    def _understood(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """At least the rows that became known in ``[start_s, end_s)``, in the canonical columns."""
        description = self._mapping.described(table)
        if description is None:
            raise ValueError(f"no table of {table} is described")
        where = self._where(table)
        text = self._text(table, description, start_s, end_s)
        if self._mapping.shape == "table":
            return labelled(text, description, where=where, rules=self._rules)
        delivery = canonical(table, text, description, where=where, rules=self._rules)
        # Treatments of unknown customers are kept, so that whoever judges labels by them can say so.
        if table not in ("customers", "treatments") and not self._is_derived("customers"):
            ids, limit = self._of_read_customers(delivery.rows)["customer_id"], self._rules.limit
            if unknown_of(ids, self._customer_ids()).len() > limit * ids.drop_nulls().len():
                require_known(ids, self._customer_ids(again=True), where=where, limit=limit)
        return delivery

    def _derived_customers(self) -> Delivery:
        """Customers derived from their activity: their sign-up is the earliest activity known at each time.

        A late row that is older than all before it makes a new version of the record, known when that row became known.
        """
        read = [self._understood(table, -EVER_S, EVER_S) for table in self._mapping.tables if table != "customers"]
        return Delivery(
            pl.concat(delivery.rows.select("customer_id", "occurred_s", "known_s") for delivery in read)
            .drop_nulls("customer_id")
            .group_by("customer_id", "known_s")
            .agg(pl.col("occurred_s").min())
            .sort("customer_id", "known_s")
            .with_columns(signed_up_s=pl.col("occurred_s").cum_min().over("customer_id"))
            .filter((pl.col("signed_up_s") < pl.col("signed_up_s").shift().over("customer_id")).fill_null(value=True))
            .with_columns(occurred_s=pl.col("known_s"))
            .select(list(SCHEMAS["customers"])),
            # Who is new later may have been there already in what can't be read.
            unread=tuple(Unread(span.start_s, EVER_S, span.reason) for delivery in read for span in delivery.unread),
        )


def _attributes(customers: MappedTable | None) -> tuple[Column, ...]:
    if customers is None:
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
        for name, attribute in customers.attributes.items()
    )
