"""The contracts of the raw tables."""

from collections.abc import Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.raw.source import KEYS, OPTIONAL, QUARANTINE, SCHEMAS, STATUSES, Table
from churn_store.signature import Column

EARLIEST_S = -2_208_988_800
"""1900-01-01: an earlier time is a mistake of units."""

LARGEST_PAYMENT_CENTS = 10**11


def raw_contract(table: Table, attributes: Sequence[Column]) -> pa.DataFrameSchema:
    """What a raw table of a history must keep.

    Args:
        table: which one.
        attributes: the columns that the source adds to ``customers``.
    """
    named = [pa.Check.str_length(1, 256)]
    times = {"occurred_s": [pa.Check.ge(EARLIEST_S)], "known_s": [pa.Check.ge(EARLIEST_S)]}
    if table == "customers":
        return contract(
            {**SCHEMAS[table], **column_types(attributes)},
            key=KEYS[table],
            checks={
                "customer_id": named,
                "signed_up_s": [pa.Check.ge(EARLIEST_S)],
                **times,
                **column_checks(attributes),
            },
            nullable=[column.name for column in attributes if column.nullable],
        )
    own = (
        {"event_id": named, "event_type": named}
        if table == "events"
        else {
            "payment_id": named,
            "amount_cents": [pa.Check.in_range(0, LARGEST_PAYMENT_CENTS)],
            "status": [pa.Check.isin(STATUSES)],
            "due_s": [pa.Check.ge(EARLIEST_S)],
            "list_cents": [pa.Check.in_range(0, LARGEST_PAYMENT_CENTS)],
        }
    )
    return contract(
        SCHEMAS[table], key=KEYS[table], checks={"customer_id": named, **times, **own}, nullable=OPTIONAL[table]
    )


def labelled_contract(attributes: Sequence[Column]) -> pa.DataFrameSchema:
    """What the one table of data without time must keep: a row a customer, its attributes, and whether it churned."""
    return contract(
        {"customer_id": pl.String, **column_types(attributes), "churned": pl.Boolean},
        key=["customer_id"],
        checks={"customer_id": [pa.Check.str_length(1, 256)], **column_checks(attributes)},
        nullable=[column.name for column in attributes if column.nullable],
    )


def quarantine_contract() -> pa.DataFrameSchema:
    """The columns of a quarantine; rows that are wrong may come twice, so it has no key."""
    return contract(QUARANTINE, key=(), nullable=("value", "known_s"))
