"""Separates the rows of a file that the service would accept from the others, and gives the reason of each refusal in words.

Belongs here: the rules of ``Signature.attributes`` for whole columns, and those of an id. Does not belong here: where rows come
from (``tables``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.text import as_text
from churn_store.model.signature import FLOAT32_MAX, Column, Signature

LONGEST_TEXT = 256
"""Longest category or id, in characters."""

REASON = "\0\0reason"
"""Column with the reason why a row is rejected. No column of a file has such a name."""

_SHOWN = 40


@dataclass(frozen=True)
class Sorted:
    """Rows, sorted by whether they can be scored.

    Attributes:
        rows: rows that can be scored: the signature's columns with the types that a model takes.
        found: the same rows as they are in the file, in the same order.
        rejected: rows that can't be scored, as they are in the file, with the column ``REASON``.
        unknown: number of ``rows`` with a category that training never saw, by column.
    """

    rows: pl.DataFrame
    found: pl.DataFrame
    rejected: pl.DataFrame
    unknown: dict[str, int]


def sort_rows(frame: pl.DataFrame, signature: Signature, *, id_column: str | None) -> Sorted:
    """Sort rows by whether they can be scored.

    Args:
        frame: rows with every column of the signature, as text that is read as numbers, or with its own type; a missing value is
            null.
        signature: signature of the release.
        id_column: column of ids, none of which may be missing; ``None`` without ids.

    Raises:
        InputError: if the type of a column does not fit the signature.
    """
    typed = frame.select(
        _typed(frame.schema[column.name], column).alias(_read(column.name)) for column in signature.columns
    )
    faults = [fault for column in signature.columns for fault in _faults(column)]
    if id_column is not None:
        faults += _id_faults(id_column, frame.schema[id_column])
    both = frame.hstack(typed)
    is_bad = pl.any_horizontal(when.fill_null(value=False) for when, _ in faults) if faults else pl.lit(value=False)
    bad = both.select(is_bad.alias(REASON)).to_series()
    reasons = pl.concat_str(
        [pl.when(when).then(said) for when, said in faults] or [pl.lit("")], separator="; ", ignore_nulls=True
    )
    rejected = both.filter(bad).with_columns(reasons.alias(REASON)).select(*frame.columns, REASON)
    rows = typed.filter(~bad).rename({_read(name): name for name in signature.names})
    known = {
        column.name: [*column.categories, *signature.trained_words.get(column.name, ())]
        for column in signature.columns
        if column.kind == "category"
    }
    unknown = {name: int((rows[name].is_not_null() & ~rows[name].is_in(words)).sum()) for name, words in known.items()}
    counts = {name: count for name, count in unknown.items() if count}
    return Sorted(rows, frame.filter(~bad), rejected, counts)


def _read(name: str) -> str:
    """The name of a column with the model's type, next to the same column as it is in the file."""
    return f"\0{name}"


def _typed(there: pl.DataType, column: Column) -> pl.Expr:
    """A column as the model takes it, of any type that ingest takes: whole numbers, days and yes or no are words, too."""
    if column.kind == "category":
        if there.is_nested() or isinstance(there, pl.Binary | pl.Object):
            raise InputError(f"column {column.name} is {there}; expected text, as the release knows words of it")
        return as_text(column.name, there)
    if isinstance(there, pl.Categorical | pl.Enum):
        return pl.col(column.name).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    if not (there.is_numeric() or isinstance(there, pl.String | pl.Null)):
        raise InputError(f"column {column.name} is {there}; expected numbers")
    return pl.col(column.name).cast(pl.Float64, strict=False)


def _faults(column: Column) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    """The possible faults of a column's values: the condition of each, and its message."""
    name = column.name
    raw, value = pl.col(name), pl.col(_read(name))
    shown = raw.cast(pl.String).str.slice(0, _SHOWN)
    if not column.nullable:
        yield raw.is_null(), pl.lit(f"{name} is missing")
    if column.kind == "category":
        length = value.str.len_chars()
        message = [pl.lit(f"{name} has "), length.cast(pl.String), pl.lit(f" characters, at most {LONGEST_TEXT} are read")]
        yield length > LONGEST_TEXT, pl.concat_str(message)
        return
    low = -FLOAT32_MAX if column.low is None else column.low
    high = FLOAT32_MAX if column.high is None else column.high
    no_number = raw.is_not_null() & (value.is_null() | value.is_nan())
    yield no_number, pl.concat_str(pl.lit(f"{name}: '"), shown, pl.lit("' is not a number"))
    yield value.is_infinite(), pl.lit(f"{name} is infinite")
    outside = value.is_finite() & ((value < low) | (value > high))
    yield outside, pl.concat_str(pl.lit(f"{name}: "), shown, pl.lit(f" is out of the range from {low:g} to {high:g}"))


def _id_faults(name: str, there: pl.DataType) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    if there.is_nested() or there == pl.Binary:
        raise InputError(f"column {name} is {there}; expected ids: text or whole numbers")
    text = pl.col(name).cast(pl.String)
    yield text.is_null() | (text == ""), pl.lit(f"the id {name} is missing")
    strange = (text.str.len_chars() > LONGEST_TEXT) | text.str.contains(r"[\x00-\x1f\x7f]")
    yield strange, pl.lit(f"the id {name} is longer than {LONGEST_TEXT} characters or has control characters")
