"""Unreadable values: sets a few rows aside, and refuses a table with too many of them.

Belongs here: which rows a table loses to its values, and the message when they are too many. Does not belong here: how
values are read (``times``, ``canonical``).
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.tables import PERSON, QUARANTINE
from churn_store.mapping.text import EXPECTED, FIELDS, FILE, LINE, MappedText
from churn_store.redaction import shown

SHOWN = 3
"""Most different unreadable values in a message, each with its first place."""


@dataclass(frozen=True)
class _Rule:
    column: str
    readable: pl.Series
    expected: str
    hint: Callable[[], str]


class Readability:
    """Which rows of a table can be read.

    Args:
        text: texts of the table.
        where: name of the table or file, with which every error message begins.
        limit: largest share of the table's rows that may be set aside.
        person: column of the customers' ids, whose values are never shown.

    Attributes:
        notes: remarks about what was read, for people.

    Raises:
        InputError: if too many records have another number of fields than their header.
    """

    def __init__(self, text: MappedText, *, where: str, limit: float, person: str) -> None:
        self._text = text
        self._person = person
        self._where = where
        self._limit = limit
        self._rules: list[_Rule] = []
        self.notes: list[str] = []
        if text.ragged.height > limit * (text.ragged.height + text.rows.height):
            raise InputError(self._of_ragged())

    @property
    def where(self) -> str:
        """Name of the table or file, with which every error message begins."""
        return self._where

    def require(self, column: str, readable: pl.Series, expected: str, *, hint: Callable[[], str] = str) -> None:
        """Set rows aside whose value can't be read.

        Args:
            column: name of the column in the table.
            readable: whether each row's value can be read; null counts as no.
            expected: description of a valid value, for people.
            hint: function that returns additional text for the message; it is called only if the table is refused.
        """
        self._rules.append(_Rule(column, readable.fill_null(value=False), expected, hint))

    def note(self, remark: str) -> None:
        """Record a remark about what was read, for people."""
        self.notes.append(remark)

    def readable(self) -> pl.Series:
        """Whether all values of each row can be read.

        Raises:
            InputError: if so many can't that the mapping must be wrong, not single rows.
        """
        good = pl.repeat(value=True, n=self._text.rows.height, dtype=pl.Boolean, eager=True)
        for rule in self._rules:
            good &= rule.readable
        ragged = self._text.ragged.height
        bad = good.len() - int(good.sum()) + ragged
        if bad > self._limit * (good.len() + ragged) and bad > self._limit * (self._text.whole_height() + ragged):
            worst = max(self._rules, key=lambda rule: int((~rule.readable).sum()))
            raise InputError(self._of_ragged() if ragged > int((~worst.readable).sum()) else self._sentence(worst))
        return good

    def set_aside(self, known_s: pl.Series) -> pl.DataFrame:
        """The rows that can't be read, in the columns of ``QUARANTINE``: the first of their values that is none.

        Of a record with another number of fields than the header only its place is told, and no time is known.

        Args:
            known_s: when each row became known; null where that can't be read.
        """
        left = pl.repeat(value=True, n=known_s.len(), dtype=pl.Boolean, eager=True)
        found = [pl.DataFrame(schema=QUARANTINE), _ragged_aside(self._text.ragged)]
        for rule in self._rules:
            here = left & ~rule.readable
            found.append(
                self._text.rows.filter(here).select(
                    pl.lit(rule.expected).alias("rule"),
                    pl.lit(PERSON if rule.column == self._person else rule.column).alias("column"),
                    pl.col(rule.column).alias("value"),
                    self._text.fields().alias("row"),
                    known_s.filter(here).alias("known_s"),
                )
            )
            left &= rule.readable
        return pl.concat(found).sort("row", "rule", "known_s")

    def reasons(self, *, with_values: bool) -> pl.Series:
        """Which values of each row can't be read, in words; null where all can.

        Args:
            with_values: whether a value that can't be read is shown, as far as it may be.
        """
        said = [""] * self._text.rows.height
        for rule in self._rules:
            bad = (~rule.readable).arg_true()
            for row, value in zip(bad, self._text.rows[rule.column].gather(bad), strict=True):
                found = "nothing" if value is None else self.told(rule.column, value)
                begin = f"column {rule.column} holds {found}" if with_values else f"column {rule.column} can't be read"
                said[row] += f"{'; ' if said[row] else ''}{begin}; expected {rule.expected}"
        return pl.Series("reason", said, dtype=pl.String).replace("", None)

    def told(self, column: str, value: str) -> str:
        """A value of a column as a sentence may tell it."""
        return "the id of a customer" if column == self._person else shown(value)

    def _sentence(self, rule: _Rule) -> str:
        bad = self._text.rows.filter(~rule.readable)
        found = ", ".join(
            f"{'nothing' if row[rule.column] is None else shown(row[rule.column])}{self._place(row)}"
            for row in bad.unique(rule.column, keep="first", maintain_order=True).head(SHOWN).iter_rows(named=True)
        )
        if rule.column == self._person:
            found = "the ids of customers"
        return (
            f"{self._where}: column {rule.column} holds {found}; expected {rule.expected}{rule.hint()}; "
            f"{bad.height} {'row is' if bad.height == 1 else 'rows are'} like that"
        )

    def _of_ragged(self) -> str:
        ragged = self._text.ragged
        found = ", ".join(
            f"{ragged_file}line {line} has {'a quote without an end' if fields is None else f'{fields} fields'}"
            for line, fields, ragged_file in ragged.head(SHOWN)
            .select(LINE, FIELDS, pl.format("{}, ", FILE) if self._has_several_files() else pl.lit(""))
            .iter_rows()
        )
        first = ragged.row(0, named=True)
        advice = (
            "Double the quotes that are letters, and put quotes around their field"
            if first[FIELDS] is None
            else "Put a field that holds the separator in double quotes, or take the separators out of thousands"
            if first[FIELDS] > first[EXPECTED]
            else "Write every field, also an empty one, and put a field that holds a line break in double quotes"
        )
        return (
            f"{self._where}: {found}; expected {first[EXPECTED]} fields, as many as the header. {advice}; "
            f"{ragged.height} {'line is' if ragged.height == 1 else 'lines are'} like that"
        )

    def _has_several_files(self) -> bool:
        return pl.concat([self._text.rows[FILE], self._text.ragged[FILE]]).n_unique() > 1

    def _place(self, row: dict[str, object]) -> str:
        if LINE not in row:
            return ""
        return f" ({f'{row[FILE]}, ' if self._has_several_files() else ''}{self._text.counted} {row[LINE]})"


def _ragged_aside(ragged: pl.DataFrame) -> pl.DataFrame:
    return ragged.select(
        pl.format("{} fields, as many as the header", EXPECTED).alias("rule"),
        pl.lit("the line").alias("column"),
        pl.coalesce(
            pl.format("line {}: {} fields", LINE, FIELDS), pl.format("line {}: a quote without an end", LINE)
        ).alias("value"),
        pl.struct(pl.col(FILE).alias("file"), pl.col(LINE).alias("line")).struct.json_encode().alias("row"),
        pl.lit(None, dtype=pl.Int64).alias("known_s"),
    )
