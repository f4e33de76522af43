"""Attributes that can't be features: those that the law protects, and those that tell the label.

Belongs here: what may be a feature by its name, and whether values are ages. Does not belong here: which names are protected
(``churn_store.model.protected_names``), which features a company has (``feature_sets``), who has trained on one before (``training.protection``), and a leak
that only the values show (``training.leakage``).
"""

from collections.abc import Collection

import polars as pl

from churn_store.errors import InputError
from churn_store.model.protected_names import is_protected, like, plain, protected_words, words
from churn_store.model.protected_words import BEFORE, CLOSED, DEPARTURE, ENDING, OUTCOME, WHEN_OR_WHY, WHO_LEFT

__all__ = ["forbidden", "is_protected", "label_words", "looks_like_age", "protected_words", "refuse_forbidden", "words"]

LEAST_AGES = 50
"""Of fewer values nothing is said."""

ADULT, OLDEST = 16, 110
BIRTH_YEARS = (1900, 2012)
DIFFERENT = 25
"""At least so many different values ages of customers have."""

MIDDLE, SPREAD = (22.0, 70.0), (6.0, 25.0)
"""Bounds of the median of customers' ages and of their standard deviation, in years."""

MOST_EQUAL = 0.2
"""A greater share of one value is no distribution of ages."""


def refuse_forbidden(name: str, column: str, protected: Collection[str], *, allowed: Collection[str] = ()) -> None:
    """Refuse a feature that the law protects, or that tells the label.

    Args:
        name: name of the feature.
        column: name of its column in the source.
        protected: protected words in addition to the built-in ones, in any case, with ``*`` for any letters. Of a phrase such as
            `credit_score` all words must be in the name.
        allowed: names of features that may be used although they are protected; what tells the label never may.

    Raises:
        InputError: if the name or the column has such a word.
    """
    if sentence := forbidden(name, column, protected, allowed=allowed):
        raise InputError(sentence)


def forbidden(
    name: str,
    column: str,
    protected: Collection[str],
    *,
    allowed: Collection[str] = (),
    listed_in: str = "the source's attributes",
) -> str:
    """Why a feature can't be one; empty if it can. See ``refuse_forbidden``.

    Args:
        name: name of the feature.
        column: name of its column in the source.
        protected: protected words in addition to the built-in ones.
        allowed: names of features that may be used although they are protected.
        listed_in: where churn.yaml lists what the feature is made of.
    """
    read_from = "" if column == name else f" (read from {column})"
    if name not in allowed and (found := protected_words(name, column, more=protected)):
        return (
            f"the feature {name}{read_from} has the protected word {', '.join(found)}, and no model may see such an attribute; "
            f"take it out of {listed_in}, name it in features.exclude, or say why it must be used: "
            f'`features: {{allow_protected: {{{name}: "why, by whom"}}}}`'
        )
    if tells := label_words(name, column):
        return (
            f"the feature {name}{read_from} has the word {', '.join(tells)}: it tells the label, or what follows it; take it out "
            f"of {listed_in}, or name it in features.exclude"
        )
    return ""


def label_words(*names: str) -> list[str]:
    """The words by which names tell the label, or what follows it, in alphabetical order."""
    every = {plain(word) for name in names for word in words(name)}
    told = like(every, OUTCOME)
    if like(every, WHEN_OR_WHY):
        told |= like(every, ENDING)
    for name in names:
        own = {plain(word) for word in words(name)}
        ending = like(own, (*ENDING, *CLOSED))
        if own - ending <= WHO_LEFT:
            told |= ending
        if like(own, BEFORE):
            told |= like(own, DEPARTURE)
    return sorted(told)


def looks_like_age(values: pl.Series) -> bool:
    """Whether values are distributed as customers' ages or years of birth are: a question to a person, and no answer.

    Args:
        values: values of an attribute, numbers or texts; missing ones are left out.
    """
    numbers = values.cast(pl.Float64, strict=False).fill_nan(None).drop_nulls()
    if numbers.len() < max(LEAST_AGES, 0.5 * values.drop_nulls().len()) or not bool((numbers == numbers.floor()).all()):
        return False
    low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    if BIRTH_YEARS[0] <= low and high <= BIRTH_YEARS[1]:
        numbers = BIRTH_YEARS[1] + ADULT - numbers
        low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    if low < ADULT or high > OLDEST + ADULT or high - low < DIFFERENT:
        return False
    often = float(numbers.value_counts()["count"].max()) / numbers.len()  # type: ignore[arg-type]
    middle, spread = float(numbers.median()), float(numbers.std() or 0.0)  # type: ignore[arg-type]
    return (
        numbers.n_unique() >= DIFFERENT
        and often <= MOST_EQUAL
        and MIDDLE[0] <= middle <= MIDDLE[1]
        and SPREAD[0] <= spread <= SPREAD[1]
    )
