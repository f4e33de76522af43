"""What a source of raw tables is: rows of the canonical tables by when they arrived.

Belongs here: the contract between a source and the assets that ingest it, and the names of the canonical columns. Does not
belong here: where the rows come from (``synthetic``, ``files``).
"""

from typing import Literal, Protocol

import polars as pl

from churn_store.signature import Column

Table = Literal["customers", "events", "payments"]

KEYS: dict[Table, tuple[str, ...]] = {
    "customers": ("customer_id", "occurred_s"),
    "events": ("event_id",),
    "payments": ("payment_id",),
}
"""What names a row: of a customer's record there is one row a version, by when it became true."""

TIMES: dict[str, type[pl.DataType]] = {"occurred_s": pl.Int64, "known_s": pl.Int64}
"""When a row happened and when it became known, in whole epoch seconds UTC."""

SCHEMAS: dict[Table, dict[str, type[pl.DataType]]] = {
    "customers": {"customer_id": pl.String, **TIMES, "signed_up_s": pl.Int64},
    "events": {"event_id": pl.String, "customer_id": pl.String, "event_type": pl.String, **TIMES},
    "payments": {
        "payment_id": pl.String,
        "customer_id": pl.String,
        "amount_cents": pl.Int64,
        "status": pl.String,
        **TIMES,
    },
}
"""The canonical columns; ``customers`` has the source's attributes besides."""

RESERVED = frozenset(
    {
        *(name for schema in SCHEMAS.values() for name in schema),
        "age_s", "churned", "newest_known_s", "newest_occurred_s", "period", "role", "score", "signed_up_age_s", "snapshot_s",
    }
)  # fmt: skip
"""Names that tables made from the raw ones use, so that no attribute can have them."""

STATUSES = ("settled", "failed", "refunded")
"""What became of a payment."""


class Source(Protocol):
    """Rows of the canonical tables, by arrival."""

    @property
    def attributes(self) -> tuple[Column, ...]:
        """What the source says of a customer besides the canonical columns."""

    def read(self, table: Table, start_s: int, end_s: int) -> pl.DataFrame:
        """Rows that became known in ``[start_s, end_s)``; data without time gives all its rows.

        Raises:
            InputError: the source does not fit its description in ``churn.yaml``.
        """

    def fingerprint(self) -> str:
        """A digest that changes whenever other rows could come out."""
