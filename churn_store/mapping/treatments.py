"""Reads what a company's own table of campaigns says besides customer and time: channel, offer, who was held out, and how likely that was.

Belongs here: the words for yes and no, and which propensities can be. Does not belong here: customers and times (``canonical``), and what a
treatment does to a label (the graph's ``treatments.weights``).
"""

from typing import Final

import polars as pl

from churn_store.mapping.numbers import numbers
from churn_store.mapping.parse_errors import Readability
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.text import MappedText, translated

TRUTH: Final = {
    "true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True,
    "false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False,
}  # fmt: skip
"""The words for yes and no; capitals don't matter, and ``values.treated`` translates others."""


def treatment_columns(text: MappedText, description: MappedTable, readability: Readability) -> dict[str, pl.Series]:
    """``channel``, ``offer``, ``treated`` and ``propensity``.

    Without a column for it, everybody was treated. Rows with another word, or with a propensity that can't be, can't be read.
    """
    treated = _treated(text, description, readability)
    return {
        "channel": _words(text, "channel", description),
        "offer": _words(text, "offer", description),
        "treated": treated,
        "propensity": _propensity(text, description, readability, treated),
    }


def _words(text: MappedText, name: str, description: MappedTable) -> pl.Series:
    if name in description.columns:
        return translated(text, description.columns[name], description.values.get(name, {})).fill_null("")
    word = dict(description.constants).get(name, "")  # type: ignore[call-overload]
    return pl.repeat(word, n=text.rows.height, dtype=pl.String, eager=True)


def _treated(text: MappedText, description: MappedTable, readability: Readability) -> pl.Series:
    column = description.columns.get("treated")
    if column is None:
        return pl.repeat(value=True, n=text.rows.height, dtype=pl.Boolean, eager=True)
    words = translated(text, column, description.values.get("treated", {})).str.strip_chars().str.to_lowercase()
    found = words.replace_strict(TRUTH, default=None, return_dtype=pl.Boolean)
    readability.require(
        column,
        found.is_not_null(),
        "true or false, yes or no, 1 or 0",
        hint=lambda: "; translate other words in `values.treated`",
    )
    return found


def _propensity(text: MappedText, description: MappedTable, readability: Readability, treated: pl.Series) -> pl.Series:
    column = description.columns.get("propensity")
    if column is None:
        return pl.repeat(None, n=text.rows.height, dtype=pl.Float64, eager=True)
    e = numbers(text, column, description, readability).cast(pl.Float64)
    can_be = e.is_null() | ((e > 0) & ((e < 1) | ((e == 1) & treated.fill_null(value=True))))
    readability.require(
        column,
        can_be,
        "the probability of being treated, above 0 and at most 1, and below 1 for who was held out; who could not be treated is not on the list",
    )
    return e
