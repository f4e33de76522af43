"""Reads the label column of data without time: who churned, who stayed, and who is one of today's customers.

Belongs here: what the words of the column mean, and the advice where a row has none of them. Does not belong here: the other
columns (``canonical``), and who of these customers is at risk (``churn_assets.features.population``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.column_settings import LabelColumn
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.text import MappedText
from churn_store.redaction import LONGEST, MAIL

NOTHING = ""
"""The word for a missing value, and for text of blanks alone."""


def labels(text: MappedText, description: MappedTable, label: LabelColumn, readability: Readability) -> pl.Series:
    """Whether each customer churned; null for one without a label, where ``label.unknown`` says how those are written.

    Rows with another word can't be read.

    Args:
        text: texts of the table.
        description: its description.
        label: description of the label column.
        readability: the rows that can be read, told which of these can't.

    Raises:
        InputError: if two of the label's words are one word in this column.
    """
    given = {"churned": label.churned, "stayed": label.stayed}
    if label.unknown is not None:
        given["unknown"] = label.unknown
    missing = set(text.written(label.column, description.missing_words)) | {NOTHING}
    words = {
        name: NOTHING if word in missing else word
        for name, word in zip(given, map(str.strip, text.written(label.column, list(given.values()))), strict=True)
    }
    if len(set(words.values())) < len(words):
        raise InputError(
            f"{readability.where}: `label` names {_listed(given)}, of which two are one word in column {label.column}; expected "
            "words that differ. Change `label` in churn.yaml"
        )
    found = text.words(label.column).str.strip_chars().fill_null(NOTHING)
    if label.column in text.numbers:
        found = found.replace("NaN", NOTHING)
    known = found.is_in(list(words.values()))
    readability.require(label.column, known, _listed(given), hint=lambda: _hint(label, found, known))
    unknown = found == words["unknown"] if "unknown" in words else pl.repeat(value=False, n=found.len(), eager=True)
    return (found == words["churned"]).set(unknown, None)


CHURNED, STAYED = "churned", "stayed"


def known_labels(text: MappedText, label: LabelColumn) -> pl.Series:
    """What is known of each customer, for people: ``CHURNED``, ``STAYED`` or null.

    Args:
        text: texts of the table.
        label: description of the label column.
    """
    churned, stayed = text.written(label.column, [label.churned, label.stayed])
    found = text.words(label.column).str.strip_chars()
    return found.replace_strict({churned.strip(): CHURNED, stayed.strip(): STAYED}, default=None, return_dtype=pl.String)


def _listed(given: Mapping[str, str]) -> str:
    *first, last = (repr(word) if word else "nothing" for word in given.values())
    return f"{', '.join(first)} or {last}"


def _hint(label: LabelColumn, found: pl.Series, known: pl.Series) -> str:
    """What to do about words that the label does not know; where it is one word, it may mark the customers of today."""
    hint = "; change `label` in churn.yaml or the table"
    others = found.filter(~known).unique().to_list()
    if label.unknown is not None or len(others) != 1 or not known.any():
        return hint
    [word] = others
    if len(word) > LONGEST or MAIL.search(word):
        return hint
    who = f"with {word!r}" if word else "without a label"
    written = {"column": label.column, "churned": label.churned, "stayed": label.stayed, "unknown": word}
    line = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in written.items())
    return (
        f"{hint}. If a row {who} is a customer of today, of whom nobody knows yet, say so by label.unknown: such rows are scored and "
        f"not trained on. Write `label: {{{line}}}` under source.customers"
    )


@dataclass(frozen=True)
class LabelCounts:
    """The customers of data without time by what their label says."""

    churned: int
    stayed: int
    unlabelled: int

    @classmethod
    def of(cls, churned: pl.Series) -> Self:
        """Count a column ``churned``, which is null where a customer has no label."""
        left = int(churned.sum())
        return cls(left, churned.len() - churned.null_count() - left, churned.null_count())

    @property
    def labelled(self) -> int:
        """The number of customers with a label."""
        return self.churned + self.stayed

    @property
    def at_risk(self) -> int:
        """The number of customers at risk: those without a label, or, where every one has a label, those who stayed."""
        return self.unlabelled or self.stayed

    def __str__(self) -> str:
        """The counts for people."""
        today = " (today's customers)" if self.unlabelled else ""
        return f"{self.churned:,} churned, {self.stayed:,} stayed, {self.unlabelled:,} unlabelled{today}"
