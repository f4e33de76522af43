"""The contracts of the raw tables."""

from collections.abc import Collection, Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.tables import LABEL
from churn_store.mapping.tables import EARLIEST_S, KEYS, OPTIONAL, QUARANTINE, SCHEMAS, STATUSES, VALUE, WHERE_MAPPED, Table
from churn_store.model.signature import Column

LARGEST_PAYMENT_CENTS = 10**11

SHORT = pa.Check.str_length(0, 100, error="at most 100 characters")
LIKELY = pa.Check.in_range(
    0, 1, include_min=False, error="above 0 and at most 1; who could not be treated is not on the list"
)
NAMED = pa.Check.str_length(1, 256, error="1 to 256 characters")
DATED = pa.Check.ge(EARLIEST_S, error="1900-01-01 or later, in seconds since 1970")
LARGEST_VALUE = 10**12

VALUED = pa.Check.in_range(0, LARGEST_VALUE, error=f"0 to {LARGEST_VALUE:,} of the smallest unit")
PRICED = pa.Check.in_range(0, LARGEST_PAYMENT_CENTS, error=f"0 to {LARGEST_PAYMENT_CENTS:,} cents")


def raw_contract(table: Table, attributes: Sequence[Column], given: Collection[str] = ()) -> pa.DataFrameSchema:
    """The contract of a raw table of a history.

    Args:
        table: name of the table.
        attributes: columns that the source adds to ``customers``.
        given: columns of the table that the source has, of those that it may leave out.
    """
    mapped = {name: kind for name, kind in WHERE_MAPPED[table].items() if name in given}
    times = {"occurred_s": [DATED], "known_s": [DATED]}
    if table == "customers":
        return contract(
            {**SCHEMAS[table], **column_types(attributes)},
            key=KEYS[table],
            checks={
                "customer_id": [NAMED],
                "signed_up_s": [DATED],
                **times,
                **column_checks(attributes),
            },
            nullable=[column.name for column in attributes if column.nullable],
        )
    own: dict[Table, dict[str, list[pa.Check]]] = {
        "events": {"event_id": [NAMED], "event_type": [NAMED], VALUE: [VALUED]},
        "payments": {
            "payment_id": [NAMED],
            "amount_cents": [PRICED],
            "status": [pa.Check.isin(STATUSES, error=f"one of {', '.join(STATUSES)}")],
            "due_s": [DATED],
            "list_cents": [PRICED],
        },
        "treatments": {"channel": [SHORT], "offer": [SHORT], "propensity": [LIKELY]},
    }
    return contract(
        {**SCHEMAS[table], **mapped},
        key=KEYS[table],
        checks={"customer_id": [NAMED], **times, **own[table]},
        nullable=[*OPTIONAL[table], *mapped],
    )


def labelled_contract(attributes: Sequence[Column]) -> pa.DataFrameSchema:
    """The contract of the one table of data without time: a row a customer, its attributes, and whether it churned.

    ``churned`` may be missing: today's customers have no label. Where ``label.unknown`` allows none, the mapping refuses such rows.
    """
    return contract(
        {"customer_id": pl.String, **column_types(attributes), LABEL: pl.Boolean},
        key=["customer_id"],
        checks={"customer_id": [NAMED], **column_checks(attributes)},
        nullable=[LABEL, *(column.name for column in attributes if column.nullable)],
    )


def quarantine_contract() -> pa.DataFrameSchema:
    """The contract of a quarantine: columns alone. It has no key, as the same wrong row may arrive twice."""
    return contract(QUARANTINE, key=(), nullable=("value", "known_s"))
