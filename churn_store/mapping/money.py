"""Currencies and refunds of payments: amounts of several currencies are never added up, and a refund is no income.

Belongs here: which payments count, and as what. Does not belong here: how an amount is written (``numbers``).
"""

import re
from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.numbers import cents
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.text import CURRENCY, NO, YES, MappedText
from churn_store.redaction import in_yaml, shown

SHOWN = 5
"""Most currencies in a message."""

CURRENCY_NAMES = frozenset(
    {"currency", "currency_code", "currencycode", "currency_iso", "iso_currency", "ccy", "curr", "amount_currency", "payment_currency",
     "waehrung", "währung", "devise", "moneda", "valuta", "valuta_code"}
)  # fmt: skip
"""Names of columns, in lower case, that hold a currency."""

CODE = r"[A-Za-z]{3}|[€$£¥₹₽₺]|[A-Za-z]{1,2}\$"
"""How currencies are written."""

REFUNDED = "\0refunded"
"""Column with the refunded cents of a payment: no table has a column of this name."""


def currency_column(has: Iterable[str], description: MappedTable) -> str | None:
    """The column with the payments' currency, mapped or by its name; ``None`` if there is none."""
    if "amount" not in description.columns:
        return None
    if description.currency is not None:
        return description.currency.column
    return next(
        (
            name
            for name in has
            if re.sub(r"[\s_-]+", "_", name.strip().lower()) in CURRENCY_NAMES and name not in description.mapped
        ),
        None,
    )


def in_one_currency(text: MappedText, description: MappedTable, *, where: str) -> MappedText:
    """The payments of one currency.

    Args:
        text: texts of the payments.
        description: description of the table.
        where: name of the table or file, with which every error message begins.

    Raises:
        InputError: if there are several currencies, and none of them is chosen, or the chosen one is not among them.
    """
    chosen = description.currency
    column = text.currency_column
    if column is None or (chosen is not None and chosen.is_converted):
        return replace(text, rows=text.rows.drop(CURRENCY, strict=False))
    codes = text.rows[CURRENCY].str.strip_chars().str.to_uppercase()
    rows = text.rows.drop(CURRENCY)
    counts = _counted(codes) if text.currencies is None else text.currencies()
    listed = ", ".join(f"{shown(code)} {count:,}" for code, count in list(counts.items())[:SHOWN])
    if chosen is None or chosen.keep is None:
        codes_told = [code for code in counts if re.fullmatch(CODE, code)]
        is_told = chosen is not None or bool(codes_told)  # not by its name alone
        if len(counts) > 1 and is_told:
            raise InputError(
                f"{where}: column {column} holds several currencies ({listed}); expected one, as amounts are added up. "
                f"Write `currency: {{column: {in_yaml(column)}, keep: {in_yaml((codes_told or ['EUR'])[0])}}}` in churn.yaml to read the "
                f"payments in one of them, or `currency: {{column: {in_yaml(column)}, is_converted: true}}` if the amounts are all in one "
                "currency already"
            )
        return replace(text, rows=rows)
    keep = chosen.keep.strip().upper()
    if counts and keep not in counts:
        raise InputError(
            f"{where}: no payment is in {keep}; column {column} holds {listed}. Change `currency` in churn.yaml"
        )
    left_out = sum(count for code, count in counts.items() if code != keep)
    notes = (f"{left_out:,} payments in other currencies than {keep} are left out ({listed})",) if left_out else ()
    return replace(text, rows=rows.filter((codes == keep) | codes.is_null()), notes=(*text.notes, *notes))


def _counted(codes: pl.Series) -> dict[str, int]:
    counts = codes.drop_nulls().value_counts(name="count")
    return dict(counts.sort(pl.col("count"), pl.col(codes.name), descending=[True, False]).iter_rows())


def refunded_cents(
    text: MappedText, name: str, amount_cents: pl.Series, description: MappedTable, readability: Readability
) -> pl.Series:
    """How much of each payment was refunded, in whole cents, from a column of amounts or of yes and no.

    Args:
        text: texts of the payments.
        name: name of the column.
        amount_cents: amounts of the payments.
        description: description of the table.
        readability: record of the rows that can't be read.
    """
    words = text.rows[name].str.strip_chars().str.to_lowercase()
    if words.drop_nulls().is_in([*YES, *NO]).all():
        if words.drop_nulls().is_in(["0", "1"]).all() and words.drop_nulls().len():
            readability.note(f"column {name} holds 0 and 1 alone and is taken for no and yes, not for amounts")
        nothing = pl.Series([0], dtype=pl.Int64).new_from_index(0, words.len())
        return amount_cents.zip_with(words.is_in(list(YES)).fill_null(value=False), nothing).alias(REFUNDED)
    return cents(text, name, description, readability).fill_null(0).alias(REFUNDED)


def with_refunds(payments: pl.DataFrame, *, key: str | None) -> pl.DataFrame:
    """Payments whose refunds are payments with the status ``refunded``, and whose amounts are not negative.

    A negative amount is a refund. A payment that was refunded as a whole is one too, and one that was refunded in part becomes
    two: what stayed, and the refund.

    Args:
        payments: ``amount_cents``, ``status``, ``list_cents`` and perhaps ``REFUNDED``.
        key: column with the ids of payments; ``None`` where they get theirs later.
    """
    is_negative = (pl.col("amount_cents") < 0) & pl.col("status").is_in(["settled", "refunded"])
    payments = payments.with_columns(
        pl.when(is_negative).then(-pl.col("amount_cents")).otherwise("amount_cents").alias("amount_cents"),
        pl.when(is_negative).then(pl.col("list_cents").abs()).otherwise("list_cents").alias("list_cents"),
        pl.when(is_negative).then(pl.lit("refunded")).otherwise("status").alias("status"),
    )
    if REFUNDED not in payments.columns:
        return payments
    back = pl.col(REFUNDED).abs()
    is_settled = pl.col("status") == "settled"
    whole = payments.with_columns(
        pl.when(is_settled & (back > 0) & (back >= pl.col("amount_cents")))
        .then(pl.lit("refunded"))
        .otherwise("status")
        .alias("status")
    )
    in_part = whole.filter(is_settled & (back > 0))
    refunds = in_part.with_columns(
        pl.lit("refunded").alias("status"),
        back.alias("amount_cents"),
        pl.lit(None, dtype=pl.Int64).alias("list_cents"),
        *([pl.format("{}:refund", key).alias(key)] if key is not None else []),
    )
    stayed = pl.when(is_settled & (back > 0)).then(pl.col("amount_cents") - back).otherwise("amount_cents")
    return pl.concat([whole.with_columns(stayed.alias("amount_cents")), refunds]).drop(REFUNDED)
