"""Turns text into amounts and numbers.

Belongs here: how a number is written, and the hint about decimal commas. Does not belong here: which numbers are allowed
in a canonical table (``contracts``).
"""

import polars as pl

from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.text import MappedText
from churn_store.model.signature import FLOAT32_MAX

LARGEST_CENTS = 2.0**53
"""Amount above which a 64-bit float no longer counts cents."""

WITH_COMMA = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?$"
"""A number with a decimal comma, perhaps with points between its thousands."""


def numbers(text: MappedText, name: str, description: MappedTable, readability: Readability) -> pl.Series:
    """A column's numbers that a 32-bit float can hold; null where they are missing or can't be read."""
    number = _parsed(text, name, description)
    example = _written(11.77, description)
    readable = text.rows[name].is_null() | (number.abs() <= FLOAT32_MAX)
    readability.require(
        name, readable, f"a number like {example}, or nothing", hint=_hint(text, name, description, readable)
    )
    return number


def cents(text: MappedText, name: str, description: MappedTable, readability: Readability) -> pl.Series:
    """A column's amounts in whole cents; null where they are missing or can't be read."""
    amount = _parsed(text, name, description)
    in_units = description.amount_unit == "units"
    in_cents = amount * 100 if in_units else amount
    counted = in_cents.abs() <= LARGEST_CENTS
    if not in_units:
        counted &= in_cents == in_cents.round()
    expected = (
        f"an amount like {_written(11.77, description)}"
        if in_units
        else "whole cents like 1177 (or `amount_unit: units` in churn.yaml)"
    )
    readable = text.rows[name].is_null() | counted
    readability.require(name, readable, expected, hint=_hint(text, name, description, readable))
    return in_cents.zip_with(counted.fill_null(value=False), _nothing(in_cents)).round().cast(pl.Int64)


def _parsed(text: MappedText, name: str, description: MappedTable) -> pl.Series:
    value = text.rows[name].str.strip_chars()
    if description.decimal == "," and name not in text.numbers:
        value = value.zip_with(value.str.contains(WITH_COMMA).fill_null(value=False), _nothing(value))
        value = value.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return value.cast(pl.Float64, strict=False)


def _nothing(like: pl.Series) -> pl.Series:
    return pl.Series(like.name, [None], dtype=like.dtype).new_from_index(0, like.len())


def _written(example: float, description: MappedTable) -> str:
    return str(example).replace(".", description.decimal)


def _hint(text: MappedText, name: str, description: MappedTable, readable: pl.Series) -> str:
    """A hint if the other decimal mark would make most unreadable values readable."""
    bad = text.rows[name].filter(~readable.fill_null(value=False)).drop_nulls().str.strip_chars()
    other = WITH_COMMA if description.decimal == "." else r"^[+-]?\d+(?:\.\d+)?$"
    if bad.len() == 0 or 2 * int(bad.str.contains(other).sum()) <= bad.len():
        return ""
    mark = "," if description.decimal == "." else "."
    return f'. If {"commas" if mark == "," else "points"} mark the decimals, write `decimal: "{mark}"` in churn.yaml'
