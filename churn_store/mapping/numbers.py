"""Turns text into amounts and numbers.

Belongs here: how a number is written, and the advice about its marks and about words for missing values. Does not belong here: which
numbers are allowed in a canonical table (``contracts``), currencies and refunds (``money``).
"""

import json
from functools import partial

import polars as pl

from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.text import MappedText
from churn_store.model.signature import FLOAT32_MAX

LARGEST_CENTS = 2.0**53
"""Amount above which a 64-bit float no longer counts cents."""

ROUNDING = 1e-9
"""How far a number may be from a whole one by the way in which floats are multiplied, of 1 or of itself."""

BLANKS = " \u00a0\u2009\u202f"

MARKS = {",": ",", ".": ".", " ": BLANKS, "'": "'\u2019"}
"""The letters that a mark between thousands stands for."""

ALTERNATIVES = ((".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"), (",", None), (".", None))
"""Pairs of marks, of decimals and between thousands, in the order in which they are proposed."""

NO_VALUES = frozenset(
    {"null", "nan", "none", "n/a", "na", "nil", "-", "--", "?", ".", r"\n", "#n/a", "<na>", "unknown", "missing"}
)
"""Words that often stand for a missing value, in lower case."""

TELLING_ROWS = 5


def numbers(text: MappedText, name: str, description: MappedTable, readability: Readability) -> pl.Series:
    """A column's numbers that a 32-bit float can hold; null where they are missing or can't be read."""
    number = _parsed(text, name, description)
    example = _written(11.77, description)
    readable = text.rows[name].is_null() | (number.abs() <= FLOAT32_MAX)
    readability.require(
        name, readable, f"a number like {example}, or nothing", hint=partial(_hint, text, name, description, readable)
    )
    _note_mills(text, name, description, readability)
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
    readability.require(name, readable, expected, hint=partial(_hint, text, name, description, readable))
    _note_mills(text, name, description, readability)
    return in_cents.zip_with(counted.fill_null(value=False), _nothing(in_cents)).round().cast(pl.Int64)


def values(text: MappedText, name: str, description: MappedTable, readability: Readability) -> pl.Series:
    """A column's values of events in whole smallest units; null where they are missing or can't be read."""
    decimals = description.value_decimals
    units = _parsed(text, name, description) * float(10**decimals)
    is_whole = (units - units.round()).abs() <= (units.abs() * ROUNDING).clip(ROUNDING)
    counted = is_whole & (units.abs() <= LARGEST_CENTS)
    example = _written(11.77, description) if decimals > 1 else _written(11.5, description) if decimals else "11"
    expected = (
        f"a number with at most {decimals} decimals like {example} (or another `value_decimals` in churn.yaml), or nothing"
    )
    readable = text.rows[name].is_null() | counted
    readability.require(name, readable, expected, hint=partial(_hint, text, name, description, readable))
    _note_mills(text, name, description, readability)
    return units.zip_with(counted.fill_null(value=False), _nothing(units)).round().cast(pl.Int64)


def missing_advice(words: pl.Series, description: MappedTable) -> str:
    """What to write into churn.yaml if words of a column seem to stand for a missing value; empty if none does.

    Args:
        words: texts of a column.
        description: description of the table; only that of files has words for missing values.
    """
    if not isinstance(description, FileTable) or description.format != "csv":
        return ""
    found = words.drop_nulls().unique().sort()
    found = found.filter(found.str.to_lowercase().is_in(list(NO_VALUES)))
    if found.len() == 0:
        return ""
    listed = ", ".join(json.dumps(word, ensure_ascii=False) for word in dict.fromkeys([*description.missing, *found]))
    return f"if {' and '.join(map(repr, found))} stand{'s' if found.len() == 1 else ''} for a missing value, write `missing: [{listed}]` in churn.yaml"


def _parsed(text: MappedText, name: str, description: MappedTable) -> pl.Series:
    value = text.rows[name].str.strip_chars()
    if name in text.numbers:
        return value.cast(pl.Float64, strict=False)
    return parse(value, description.decimal, description.thousands)


def parse(value: pl.Series, decimal: str, thousands: str | None) -> pl.Series:
    """Numbers in text; null where it is none. A number in brackets, or with a minus behind it, is negative.

    Args:
        value: texts without blanks around them.
        decimal: mark of decimals.
        thousands: mark between thousands; ``None`` for none, but points where commas mark the decimals.
    """
    value = value.str.replace("\u2212", "-", literal=True)
    value = value.str.replace(r"^\(\s*([^()+-]+?)\s*\)$", "-$1").str.replace(r"^([^+-]*\d)\s*-$", "-$1")
    if thousands is None and decimal == ",":
        thousands = "."
    if thousands is not None:
        mark = f"[{MARKS[thousands]}]"
        grouped = rf"^[+-]?(?:[1-9]\d{{0,2}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+)(?:[{decimal}]\d+)?$"
        value = value.zip_with(value.str.contains(grouped).fill_null(value=False), _nothing(value))
        value = value.str.replace_all(mark, "")
    return value.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)


def _nothing(like: pl.Series) -> pl.Series:
    return pl.Series(like.name, [None], dtype=like.dtype).new_from_index(0, like.len())


def _written(example: float, description: MappedTable) -> str:
    return str(example).replace(".", description.decimal)


def _hint(text: MappedText, name: str, description: MappedTable, readable: pl.Series) -> str:
    """Advice if other marks would make all values readable, or some words seem to stand for a missing value."""
    value = text.rows[name].str.strip_chars()
    bad = value.filter(~readable.fill_null(value=False)).drop_nulls()
    if bad.len() == 0 or name in text.numbers:
        return ""
    if advised := missing_advice(bad, description):
        return f"; {advised}"
    there = value.drop_nulls()
    for decimal, thousands in ALTERNATIVES:
        if parse(there, decimal, thousands).null_count() == 0:
            changed = [f'`decimal: "{decimal}"`'] if decimal != description.decimal else []
            if thousands != description.thousands and parse(there, decimal, None).null_count():
                changed.append(f'`thousands: "{thousands}"`')
            if thousands is None and description.thousands is not None:
                changed.append("no `thousands`")
            return f"; write {' and '.join(changed)} in churn.yaml, and they are read" if changed else ""
    return ""


def _note_mills(text: MappedText, name: str, description: MappedTable, readability: Readability) -> None:
    """Note a column whose decimals look like groups of thousands."""
    if name in text.numbers or description.thousands is not None:
        return
    value = text.rows[name].drop_nulls()
    value = value.str.strip_chars()
    marked = value.filter(value.str.contains(description.decimal, literal=True))
    is_group = marked.str.contains(rf"^[+-]?[1-9]\d{{0,2}}[{description.decimal}]\d{{3}}$")  # a number below 1 is none
    if marked.len() >= TELLING_ROWS and is_group.all():
        readability.note(
            f"every number in column {name} with a {description.decimal!r} has three digits after it; if it stands between thousands, "
            f'write `thousands: "{description.decimal}"` and `decimal: "{"." if description.decimal == "," else ","}"` in churn.yaml'
        )
