"""Which names are those of attributes that the law protects: of a column, or of an attribute of a company.

Belongs here: how a name is taken apart and matched. Does not belong here: the words (``protected_words``), and what a company
may do with such an attribute (``churn_assets.features.protected_attributes``).
"""

import re
import unicodedata
from collections.abc import Collection
from fnmatch import translate
from functools import cache

from churn_store.model.protected_words import (
    ABOUT_A_PERSON,
    AGE,
    AGEING,
    ALONE,
    ANYWHERE,
    TOGETHER,
    TOGETHER_EXCEPT,
)

WORD = re.compile(r"[^\W\d_]+")
PATTERN = re.compile(r"(?:[^\W\d_]|\*)+")
INNER_CAPITAL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""The place where a capital begins a word inside a name: after a small letter, or where a run of capitals ends before a small one."""

NOTHING = "(?!)"
"""An expression that matches no word."""


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


def words(name: str) -> set[str]:
    """The words of a name in lower case, split at anything but letters and where a capital begins a word."""
    return _lower(WORD, name)


def _protected(found: set[str], more: Collection[str]) -> set[str]:
    spelled = {plain(word): word for word in found}
    told = {spelled[word] for word in like(set(spelled), _plurals(ANYWHERE))}
    for phrase in TOGETHER:
        if not found & set(TOGETHER_EXCEPT.get(phrase, ())):
            told |= {spelled[word] for word in _all_of(set(spelled), phrase.split())}
    if not set(spelled) & AGEING:
        told |= {spelled[word] for word in set(spelled) & set(AGE)}
    alone = set(spelled) & set(ALONE)
    if set(spelled) - alone <= ABOUT_A_PERSON:
        told |= {spelled[word] for word in alone}
    for phrase in more:
        told |= _all_of(found, sorted(_lower(PATTERN, phrase)))
    return told


def _all_of(found: set[str], phrase: Collection[str]) -> set[str]:
    """The words that a phrase of patterns matches; none if a part of it matches none."""
    each = [like(found, _plurals((part,))) for part in phrase]
    return set().union(*each) if each and all(each) else set()


def _plurals(patterns: Collection[str]) -> list[str]:
    return [pattern for part in patterns for pattern in (part, f"{part}s", f"{part}es")]


def plain(word: str) -> str:
    """A word without accents; a letter such as the German sharp s becomes two."""
    spelled = word.replace("ß", "ss").replace("ł", "l").replace("ø", "o").replace("æ", "ae")
    return "".join(letter for letter in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(letter))


def like(found: Collection[str], patterns: Collection[str]) -> set[str]:
    """The words that some pattern matches as a whole; ``*`` stands for any letters."""
    matches = _matcher(tuple(patterns)).match
    return {word for word in found if matches(word)}


@cache
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all patterns: tried one by one they cost each load of the definitions most of a second."""
    return re.compile("|".join(map(translate, patterns)) or NOTHING)


def _lower(parts: re.Pattern[str], text: str) -> set[str]:
    return {part.lower() for part in parts.findall(INNER_CAPITAL.sub(" ", text))}
