"""What the columns of a table hold: times and how they are written, numbers and their marks, words, ids.

Belongs here: findings from the values of one column, made by the code that reads them at ingest. Does not belong here: which column is
which (``roles``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from churn_assets.inspection.marks import marks, missing_words
from churn_assets.inspection.names import plain
from churn_assets.inspection.table import InspectedTable
from churn_assets.inspection.time_forms import ENOUGH, TimeForm, time_form
from churn_store.mapping.numbers import parse
from churn_store.mapping.text import MappedText


@dataclass(frozen=True)
class Column:
    """A column and what its values are.

    Attributes:
        name: its name in the table.
        values: its text, without missing words.
        is_number: whether its values are numbers, by the marks of its table.
        numbers: them as numbers.
        time: how its times are written; ``None`` if it holds none.
        typed: whether its writer holds it as numbers or truth values.
    """

    name: str
    values: pl.Series
    is_number: bool
    numbers: pl.Series
    time: TimeForm | None
    typed: bool = False
    is_truth: bool = False

    @cached_property
    def plain(self) -> str:
        """Its name as the patterns of ``names`` need it."""
        return plain(self.name)

    @cached_property
    def filled(self) -> int:
        """Number of its values that are not missing."""
        return self.values.len() - self.values.null_count()

    @cached_property
    def distinct(self) -> int:
        """Number of its different values."""
        return self.values.drop_nulls().n_unique()

    @cached_property
    def is_unique(self) -> bool:
        """Whether hardly any value comes twice, and hardly any is missing."""
        return self.filled > 1 and self.distinct >= ENOUGH * self.values.len()

    @cached_property
    def is_whole(self) -> bool:
        """Whether its numbers have no decimals."""
        there = self.numbers.drop_nulls()
        return self.is_number and there.len() > 0 and bool((there == there.round()).all())

    @cached_property
    def has_leading_zeros(self) -> bool:
        """Whether a number begins with a zero that says nothing, as in a code."""
        return bool(self.values.drop_nulls().str.contains(r"^0\d").any())

    def words(self, most: int) -> list[str]:
        """Its different values, the most frequent first, if there are at most so many; else none."""
        if self.distinct > most:
            return []
        counted = (
            self.values.drop_nulls().to_frame("word").group_by("word").len().sort(["len", "word"], descending=[True, False])
        )
        return counted["word"].to_list()


@dataclass(frozen=True)
class TableProfile:
    """The columns of a table, and how its numbers and missing values are written.

    Attributes:
        table: the table.
        columns: its columns by name.
        decimal: mark of decimals.
        thousands: mark between thousands.
        is_ambiguous: whether a mark may as well be the other one.
        missing: words for a missing value.
    """

    table: InspectedTable
    columns: Mapping[str, Column]
    decimal: str = "."
    thousands: str | None = None
    is_ambiguous: bool = False
    missing: tuple[str, ...] = field(default=("", "NA"))

    @property
    def plain(self) -> str:
        """The table's name as the patterns of ``names`` need it."""
        return plain(re.sub(r"\.(csv|tsv|txt|parquet|pq|gz|zst)\b", "", self.table.name))

    @property
    def height(self) -> int:
        """Its number of rows."""
        return self.table.text.rows.height

    @property
    def times(self) -> list[Column]:
        """Its columns of times."""
        return [column for column in self.columns.values() if column.time is not None]

    @property
    def numbers(self) -> list[Column]:
        """Its columns of numbers that are no times."""
        return [column for column in self.columns.values() if column.is_number and column.time is None]


def profile(table: InspectedTable) -> TableProfile:
    """Look at the values of all columns."""
    text = table.text
    is_csv = table.described.get("format", "csv") == "csv" and "path" in table.described
    raw = {name: text.words(name).str.strip_chars() for name in table.columns}
    missing = missing_words(raw) if is_csv else ()
    cleaned = {name: values.replace(list(missing), None) if missing else values for name, values in raw.items()}
    decimal, thousands, is_ambiguous = marks([cleaned[name] for name in table.columns if name not in text.numbers])
    columns = {name: _column(name, cleaned[name], text, decimal, thousands) for name in table.columns}
    return TableProfile(table, columns, decimal, thousands, is_ambiguous, ("", "NA", *missing))


def _column(name: str, values: pl.Series, text: MappedText, decimal: str, thousands: str | None) -> Column:
    typed_number = name in text.numbers
    numbers = values.cast(pl.Float64, strict=False) if typed_number else parse(values, decimal, thousands)
    numbers = numbers.zip_with(
        numbers.is_finite().fill_null(value=False), pl.Series([None], dtype=pl.Float64).new_from_index(0, numbers.len())
    )
    filled = values.len() - values.null_count()
    is_number = typed_number or (filled > 0 and numbers.len() - numbers.null_count() >= ENOUGH * filled)
    time = None if name in text.truths or filled == 0 else time_form(name, values, text, is_number=is_number)
    return Column(
        name,
        values,
        is_number and name not in text.truths,
        numbers,
        time,
        typed_number or name in text.truths,
        name in text.truths,
    )


def is_code(column: Column) -> bool:
    """Whether a column of digits is names rather than numbers."""
    return column.has_leading_zeros and not column.typed
