"""Attributes that can't be features: those that the law protects, and those that tell the label.

Belongs here: what a name or its column's name says, and whether values are ages. Does not belong here: the words
(``protected_words``), which features a company has (``feature_sets``), who has trained on one before (``training.protection``), and a leak
that only the values show (``training.leakage``).
"""

import re
import unicodedata
from collections.abc import Collection
from fnmatch import fnmatchcase

import polars as pl

from churn_assets.features.protected_words import (
    ABOUT_A_PERSON,
    AGE,
    AGEING,
    ALONE,
    ANYWHERE,
    BEFORE,
    CLOSED,
    DEPARTURE,
    ENDING,
    OUTCOME,
    TOGETHER,
    TOGETHER_EXCEPT,
    WHEN_OR_WHY,
    WHO_LEFT,
)
from churn_store.errors import InputError

WORD = re.compile(r"[^\W\d_]+")
PATTERN = re.compile(r"(?:[^\W\d_]|\*)+")
INNER_CAPITAL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""The place where a capital begins a word inside a name: after a small letter, or where a run of capitals ends before a small one."""

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


def is_protected(*names: str, more: Collection[str] = ()) -> bool:
    """Whether some of the names, such as those of a feature and of its column, is one for a protected attribute."""
    return bool(protected_words(*names, more=more))


def protected_words(*names: str, more: Collection[str] = ()) -> list[str]:
    """The words by which names are those of protected attributes, in alphabetical order.

    Args:
        names: names of a feature and of its column.
        more: protected words in addition to the built-in ones.
    """
    return sorted({word for name in names for word in _protected(words(name), more)})


def label_words(*names: str) -> list[str]:
    """The words by which names tell the label, or what follows it, in alphabetical order."""
    every = {_plain(word) for name in names for word in words(name)}
    told = _like(every, OUTCOME)
    if _like(every, WHEN_OR_WHY):
        told |= _like(every, ENDING)
    for name in names:
        own = {_plain(word) for word in words(name)}
        ending = _like(own, (*ENDING, *CLOSED))
        if own - ending <= WHO_LEFT:
            told |= ending
        if _like(own, BEFORE):
            told |= _like(own, DEPARTURE)
    return sorted(told)


def words(name: str) -> set[str]:
    """The words of a name in lower case, split at anything but letters and where a capital begins a word."""
    return _lower(WORD, name)


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


def _protected(found: set[str], more: Collection[str]) -> set[str]:
    plain = {_plain(word): word for word in found}
    told = {plain[word] for word in _like(set(plain), _plurals(ANYWHERE))}
    for phrase in TOGETHER:
        if not found & set(TOGETHER_EXCEPT.get(phrase, ())):
            told |= {plain[word] for word in _all_of(set(plain), phrase.split())}
    if not set(plain) & AGEING:
        told |= {plain[word] for word in set(plain) & set(AGE)}
    alone = set(plain) & set(ALONE)
    if set(plain) - alone <= ABOUT_A_PERSON:
        told |= {plain[word] for word in alone}
    for phrase in more:
        told |= _all_of(found, sorted(_lower(PATTERN, phrase)))
    return told


def _all_of(found: set[str], phrase: Collection[str]) -> set[str]:
    """The words that a phrase of patterns matches; none if a part of it matches none."""
    each = [_like(found, _plurals((part,))) for part in phrase]
    return set().union(*each) if each and all(each) else set()


def _plurals(patterns: Collection[str]) -> list[str]:
    return [pattern for part in patterns for pattern in (part, f"{part}s", f"{part}es")]


def _plain(word: str) -> str:
    """A word without accents; a letter such as the German sharp s becomes two."""
    spelled = word.replace("ß", "ss").replace("ł", "l").replace("ø", "o").replace("æ", "ae")
    return "".join(letter for letter in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(letter))


def _like(found: Collection[str], patterns: Collection[str]) -> set[str]:
    return {word for word in found if any(fnmatchcase(word, pattern) for pattern in patterns)}


def _lower(parts: re.Pattern[str], text: str) -> set[str]:
    return {part.lower() for part in parts.findall(INNER_CAPITAL.sub(" ", text))}
