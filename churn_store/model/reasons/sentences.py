"""A reason in plain words: the customer's own value, and the usual one.

Belongs here: how values are written. Does not belong here: the phrases (``plan``, and the graph's catalogue of features).
"""

import math
from typing import Final

from churn_store.model.reasons.plan import Phrase, Value
from churn_store.model.signature import Column

CENTS: Final = "cents"
SHARE: Final = "share"
YES_OR_NO: Final = "yes or no"

_MOST_DIGITS: Final = 6
_MANY: Final = 10
"""From here on a number is written without decimals."""

_LONGEST: Final = 80
"""Longest word that is written out."""


def sentence(column: Column, phrase: Phrase, value: Value, usual: Value) -> str:
    """A value in words, and the usual one behind it: ``no session for 23 days; usual here: 3``.

    Args:
        column: input of the model.
        phrase: words for its value.
        value: value of the customer; ``None`` where it is missing.
        usual: value of the reference row.
    """
    own, other = _shown_apart(column, value, usual)
    said = phrase.missing if own is None else phrase.given.replace("{}", own)
    unknown = isinstance(value, str) and column.kind == "category" and value not in column.categories
    usually = other if other is not None else phrase.missing if own is not None else "also missing"
    return f"{said}{' (a word that training never saw)' if unknown else ''}; usual here: {usually}"


def _shown_apart(column: Column, value: Value, usual: Value) -> tuple[str | None, str | None]:
    """Both values, with as many digits as tell them apart."""
    for digits in range(_MOST_DIGITS + 1):
        own, other = shown(column, value, more=digits), shown(column, usual, more=digits)
        if own != other or value == usual:
            break
    return own, other


def shown(column: Column, value: Value, *, more: int = 0) -> str | None:
    """A value for people: amounts with decimals, shares as per cent; ``None`` where it is missing.

    Args:
        column: input of the model.
        value: its value.
        more: digits in addition to the usual ones.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
    if column.unit == CENTS:
        return f"{value / 100:,.2f}"
    if column.unit == SHARE:
        return f"{value * 100:,.{more}f} %"
    if column.unit == YES_OR_NO and value in (0.0, 1.0):
        return "yes" if value else "no"
    return _number(value, more)


def _number(value: float, more: int) -> str:
    if value == math.floor(value) and not more:
        return f"{value:,.0f}"
    decimals = more + (0 if abs(value) >= _MANY else 1 if abs(value) >= 1 else 2)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
