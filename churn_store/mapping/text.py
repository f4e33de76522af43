"""A table as it was read, before interpretation: the text of its mapped columns, each row with its place.

Belongs here: what readers of files and of databases hand over. Does not belong here: reading (``csv_reader``,
``churn_assets.connectors.postgres.query``) and what the text means (``canonical``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from churn_store.model.words import DECIMALS, NORMALISATION, WHOLE_NUMBER

FILE, LINE = "\0file", "\0line"
"""Columns of a row's place: no table has columns of these names."""

CURRENCY = "\0currency"
"""Column with a payment's currency, if the table has one, mapped or not."""

EXACT = 2.0**53
"""Above it, a 64-bit float no longer holds every whole number."""

FIELDS, EXPECTED = "\0fields", "\0expected"

RAGGED: Mapping[str, type[pl.DataType]] = {FILE: pl.String, LINE: pl.Int64, FIELDS: pl.Int64, EXPECTED: pl.Int64}
"""Places of records whose number of fields is not their header's, with both numbers; none of their values. The number is null where a
quote has no end."""

YES, NO = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")
"""Words for true and false, in lower case."""

ISO_8601 = "%Y-%m-%dT%H:%M:%S%.6f"


@dataclass(frozen=True)
class MappedText:
    """The mapped columns of a table.

    Attributes:
        rows: text columns, ``plain``; rows of files also have their place, ``FILE`` and ``LINE``.
        times: columns that are times to their writer; their text is ISO 8601, whatever ``time_format`` says.
        numbers: columns that are numbers to their writer; their text has a decimal point, whatever ``decimal`` says.
        truths: columns that are yes or no to their writer; their text is ``true`` or ``false``.
        normalisation: version of how words are written (``churn_store.model.words``).
        counted: what ``LINE`` counts: lines or rows.
        ragged: records of CSV with too many or too few fields, in the columns of ``RAGGED``; ``rows`` has none of them.
        height: number of rows of the whole table, where ``rows`` may be a part of it.
        currency_column: name of the column that ``CURRENCY`` was read from; ``None`` without one.
        currencies: numbers of payments by currency in the whole table, where ``rows`` may be a part of it.
        notes: remarks about what was read, for people.
    """

    rows: pl.DataFrame
    times: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    truths: frozenset[str] = frozenset()
    normalisation: int = NORMALISATION
    counted: str = "line"
    ragged: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RAGGED))
    height: Callable[[], int] | None = field(default=None)
    currency_column: str | None = None
    currencies: Callable[[], dict[str, int]] | None = field(default=None)
    notes: tuple[str, ...] = ()

    def words(self, name: str) -> pl.Series:
        """The words of a column as the lake writes them."""
        if self.normalisation == 1:
            return self.rows[name]
        words = self.rows[name].str.replace(WHOLE_NUMBER, "$1")
        return words.replace("NaN", None) if name in self.numbers else words  # what is no number is missing

    def written(self, name: str, words: Sequence[str]) -> list[str]:
        """Somebody's words for values of a column, written as ``words`` are."""
        if self.normalisation == 1:
            return list(words)
        if name in self.truths:
            return [
                "true" if word.strip().lower() in YES else "false" if word.strip().lower() in NO else word for word in words
            ]
        said = pl.Series("words", words, dtype=pl.String).to_frame()
        column = plain(pl.col("words"), is_number=name in self.numbers)
        return said.select(column.str.replace(WHOLE_NUMBER, "$1")).to_series().to_list()

    def whole_height(self) -> int:
        """The number of rows of the whole table."""
        return self.rows.height if self.height is None else max(self.rows.height, self.height())

    def fields(self) -> pl.Expr:
        """Each row as a JSON object of its text, by the names that the table's owner knows."""
        return pl.struct(pl.exclude(FILE, LINE)).struct.json_encode()


def as_text(name: str, kind: pl.DataType, *, normalisation: int = NORMALISATION) -> pl.Expr:
    """A column of any type as text; times in ISO 8601, with a Z where they name a zone.

    Args:
        name: name of the column.
        kind: its type.
        normalisation: version of how words are written.
    """
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return column.dt.to_string(ISO_8601)
        return column.dt.convert_time_zone("UTC").dt.to_string(f"{ISO_8601}Z")
    if kind.is_integer() or normalisation == 1:
        return column.cast(pl.String)
    return plain(column.cast(pl.String), is_number=kind.is_numeric())


def plain(text: pl.Expr, *, is_number: bool) -> pl.Expr:
    """Text without blanks around it; a number as short as can be, so that 1, 1.0 and 1.00 are one word.

    Args:
        text: texts of a column.
        is_number: whether its writer holds it as numbers of any type.
    """
    if not is_number:
        return text.str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    is_whole = text.str.contains("[eE]") & (number.abs() <= EXACT) & (number == number.round())
    return (
        pl.when(is_whole)
        .then(pl.when(is_whole).then(number).cast(pl.Int64).cast(pl.String))
        .otherwise(text.str.strip_chars().str.replace(DECIMALS, "${1}${2}").str.replace("^-0$", "0"))
    )


def translated(text: MappedText, column: str, here: Mapping[str, str]) -> pl.Series:
    """A column's words as the company wants them.

    Args:
        text: texts of the table.
        column: name of the column.
        here: words of the table, and what stands for each of them here; others stay as they are.
    """
    words = text.words(column)
    return words.replace(dict(zip(text.written(column, list(here)), here.values(), strict=True))) if here else words
