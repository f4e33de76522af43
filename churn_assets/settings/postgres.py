"""The settings of a PostgreSQL source in ``churn.yaml``: the server, and the table or query of each raw table.

Belongs here: settings that only a database has. Does not belong here: the mapping of columns (``mapping``).
"""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from churn_store.mapping.settings import MappedTable, MappedTables


class PostgresTable(MappedTable):
    """One raw table in PostgreSQL; values that are times or numbers to the database are understood by their type."""

    table: str | None = Field(None, description="its name, like shop.orders", min_length=1)
    query: str | None = Field(None, description="instead of `table`: a SELECT whose columns are mapped", min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("expected either `table`, like shop.orders, or `query`, a SELECT; give one of them")
        return self


class PostgresSettings(MappedTables):
    """Raw tables in PostgreSQL."""

    kind: Literal["postgres"]
    url: SecretStr = Field(
        SecretStr(""),
        description="like postgresql://reader@db.example:5432/shop; with a password set CHURN_SOURCE__URL instead",
    )
    statement_timeout_s: int = Field(600, gt=0, description="a query, and each batch of it, may take so many seconds")
    batch_rows: int = Field(50_000, gt=0, description="so many rows are fetched at once")
    customers: PostgresTable | None = None
    events: PostgresTable | None = None
    payments: PostgresTable | None = None
    treatments: PostgresTable | None = Field(
        None,
        description="who was called or given an offer, and who was held out; of a company that sends them to `POST /treatments`, nothing",
        exclude_if=lambda table: table is None,  # so that the fingerprint of a source without it is what it was
    )
