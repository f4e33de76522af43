"""Which rows of a file can be scored: those that the service would accept, and for the others the reason in words.

Belongs here: the rules of ``Signature.attributes`` for whole columns, and those of an id. Does not belong here: where rows come
from (``tables``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from churn_store.errors import InputError
from churn_store.model.signature import FLOAT32_MAX, Column, Signature

LONGEST_TEXT = 256
"""Of a category and of an id, in characters."""

REASON = "\0\0reason"
"""Why a row is rejected. No column of a file has such a name."""

_SHOWN = 40


@dataclass(frozen=True)
class Sorted:
    """Rows, sorted by whether they can be scored.

    Attributes:
        rows: those that can, the signature's columns with the types that a model takes.
        found: the same rows as they were found, in the same order.
        rejected: those that can't, as they were found, with the column ``REASON``.
        unknown: by column, how many of ``rows`` have a word that training never saw.
    """

    rows: pl.DataFrame
    found: pl.DataFrame
    rejected: pl.DataFrame
    unknown: dict[str, int]


def sort_rows(frame: pl.DataFrame, signature: Signature, *, id_column: str | None) -> Sorted:
    """Sort out what can't be scored.

    Args:
        frame: every column of the signature, as text (then a number is what reads as one) or with its own type; missing is null.
        signature: signature of the release.
        id_column: may not be missing; None if there is no id.

    Raises:
        InputError: a column whose type can't be what the signature says.
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
    unknown = {
        column.name: int((rows[column.name].is_not_null() & ~rows[column.name].is_in(list(column.categories))).sum())
        for column in signature.columns
        if column.kind == "category"
    }
    found = {name: count for name, count in unknown.items() if count}
    return Sorted(rows, frame.filter(~bad), rejected, found)


def _read(name: str) -> str:
    """The name of a column as a model takes it, beside the column as it was found."""
    return f"\0{name}"


def _typed(there: pl.DataType, column: Column) -> pl.Expr:
    is_text = isinstance(there, pl.String | pl.Categorical | pl.Enum | pl.Null)
    if column.kind == "category":
        if not is_text:
            raise InputError(f"column {column.name} is {there}; expected text, as the release knows words of it")
        return pl.col(column.name).cast(pl.String).str.strip_chars()
    if not (there.is_numeric() or isinstance(there, pl.String | pl.Null)):
        raise InputError(f"column {column.name} is {there}; expected numbers")
    return pl.col(column.name).cast(pl.Float64, strict=False)


def _faults(column: Column) -> Iterator[tuple[pl.Expr, pl.Expr]]:
    """What may be wrong with a value of a column: when it is, and what is said then."""
    name = column.name
    found, value = pl.col(name), pl.col(_read(name))
    shown = found.cast(pl.String).str.slice(0, _SHOWN)
    if not column.nullable:
        yield found.is_null(), pl.lit(f"{name} is missing")
    if column.kind == "category":
        length = value.str.len_chars()
        said = [pl.lit(f"{name} has "), length.cast(pl.String), pl.lit(f" characters, at most {LONGEST_TEXT} are read")]
        yield length > LONGEST_TEXT, pl.concat_str(said)
        return
    low = -FLOAT32_MAX if column.low is None else column.low
    high = FLOAT32_MAX if column.high is None else column.high
    no_number = found.is_not_null() & (value.is_null() | value.is_nan())
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
