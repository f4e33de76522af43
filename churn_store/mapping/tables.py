"""The canonical raw tables: their names, keys, columns and types, as every source of rows is mapped to them.

Belongs here: what the columns are called and mean. Does not belong here: which values a row may have (``churn_assets.raw``), and
how a company's columns become these (``canonical``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from churn_store.errors import InputError

Table = Literal["customers", "events", "payments", "treatments"]
"""The raw tables. ``treatments`` says who was called or given an offer, and is read by whoever judges labels; no feature is made of it."""


KEYS: dict[Table, tuple[str, ...]] = {
    "customers": ("customer_id", "occurred_s"),
    "events": ("event_id",),
    "payments": ("payment_id",),
    "treatments": ("customer_id", "occurred_s", "channel", "offer"),
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
        "due_s": pl.Int64,
        "list_cents": pl.Int64,
        **TIMES,
    },
    "treatments": {
        "customer_id": pl.String,
        "channel": pl.String,
        "offer": pl.String,
        "treated": pl.Boolean,
        "propensity": pl.Float64,
        **TIMES,
    },
}
"""The canonical columns; ``customers`` has the source's attributes besides.

Of a treatment, ``treated`` is false for who was on the list and was held out on purpose, and ``propensity`` is the probability of being
treated. Channel and offer are empty where they are not known. Of a payment, ``due_s`` is when it should have come and ``list_cents`` the list price of what it paid for.
"""


OPTIONAL: Mapping[Table, tuple[str, ...]] = {
    "customers": (),
    "events": (),
    "payments": ("due_s", "list_cents"),
    "treatments": ("propensity",),
}
"""Canonical columns that a source may leave out; then they are null."""


VALUE = "event_value"
"""How much of something an event was, in the smallest unit that the company's values have: seconds, items, tenths of a star."""


WHERE_MAPPED: Mapping[Table, Mapping[str, type[pl.DataType]]] = {
    "customers": {},
    "events": {VALUE: pl.Int64},
    "payments": {},
    "treatments": {},
}
"""Further canonical columns, which only the tables of those sources have that map them; null where a row has none."""


QUARANTINE: Mapping[str, type[pl.DataType]] = {
    "rule": pl.String, "column": pl.String, "value": pl.String, "row": pl.String, "known_s": pl.Int64,
}  # fmt: skip
"""A row that was set aside: what it broke, the column and the value that broke it, the rest of the row as a JSON object, and when
it became known; null where that can't be told."""


STATUSES = ("settled", "failed", "refunded")
"""Outcomes of a payment."""


@dataclass(frozen=True)
class Unread:
    """A span of time of which a source has rows that can't be read, as a file is cut off.

    Attributes:
        start_s: beginning of the span, in epoch seconds.
        end_s: end of the span, which does not belong to it.
        reason: what is wrong, and the way out.
    """

    start_s: int
    end_s: int
    reason: InputError


@dataclass(frozen=True)
class Delivery:
    """The rows of a table that a source has for a period of time.

    Attributes:
        rows: rows in the canonical columns.
        unreadable: rows with a value that can't be read, in the columns of ``QUARANTINE``.
        notes: remarks about what was read, for people.
        unread: spans of time that ``rows`` may lack rows of.
    """

    rows: pl.DataFrame
    unreadable: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    notes: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()


PERSON = "customer_id"
"""The column that names people; its values are never shown."""


EARLIEST_S = -2_208_988_800
"""1900-01-01: an earlier time is a mistake of units."""


LATEST_S = 253_402_214_400
"""9999-12-31, which stands for no end: later times count as this one."""
