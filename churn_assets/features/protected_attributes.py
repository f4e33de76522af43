"""Attributes that can't be features: those that the law protects, and those that tell the label.

Belongs here: the words that identify such an attribute, in its name or in its column's name. Does not belong here: which
features a company has (``feature_sets``), and a leak that only the values show (``training.leakage``).
"""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

from churn_store.errors import InputError

PROTECTED = (
    "*birth*", "disab*", "dob", "*ethnic*", "*female*", "*gender*", "male", "marital*", "marriage", "married", "nationalit*",
    "orientation", "*pregnan*", "race", "racial", "*religio*", "sex", "sexual*", "unmarried",
)  # fmt: skip
"""Words for what the law of most countries protects from unequal treatment; ``*`` stands for any letters.

Words without a star must match whole, as they are part of harmless words too: `essex`, `trace`, `maleficent`.
"""

OUTCOME = ("attrition", "*churn*")
ENDING = ("cancel*", "ended", "exit", "leaving", "left", "terminated", "termination")
WHEN_OR_WHY = ("at", "cause", "date", "day", "month", "on", "reason", "time")
"""Words for the label itself (``OUTCOME``). A word for an ending together with one for when or why names a consequence of the label,
such as the reason of a cancellation."""

WORD = re.compile(r"[^\W\d_]+")
PATTERN = re.compile(r"(?:[^\W\d_]|\*)+")
INNER_CAPITAL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""The place where a capital begins a word inside a name: after a small letter, or where a run of capitals ends before a small one."""


def refuse_forbidden(name: str, column: str, protected: Collection[str]) -> None:
    """Refuse a feature that the law protects, or that tells the label.

    Args:
        name: name of the feature.
        column: name of its column in the source.
        protected: protected words in addition to the built-in ones, in any case, with ``*`` for any letters. Of a phrase such as
            `credit_score` all words must be in the name.

    Raises:
        InputError: if the name or the column has such a word.
    """
    read_from = "" if column == name else f" (read from {column})"
    if forbidden := sorted(_protected(words(name), protected) | _protected(words(column), protected)):
        raise InputError(
            f"the feature {name}{read_from} has the protected word {', '.join(forbidden)}, and no model may see such an attribute; "
            "take it out of the source's attributes, or name it in features.exclude"
        )
    all_words = words(name) | words(column)
    ending = _like(all_words, ENDING) if _like(all_words, WHEN_OR_WHY) else set()
    if tells := sorted(_like(all_words, OUTCOME) or ending):
        raise InputError(
            f"the feature {name}{read_from} has the word {', '.join(tells)}: it tells the label, or what follows it; take it out "
            "of the source's attributes, or name it in features.exclude"
        )


def words(name: str) -> set[str]:
    """The words of a name in lower case, split at anything but letters and where a capital begins a word."""
    return _lower(WORD, name)


def _protected(found: set[str], more: Collection[str]) -> set[str]:
    forbidden: set[str] = set()
    for phrase in (*PROTECTED, *more):
        each = [_like(found, (part, f"{part}s", f"{part}es")) for part in _lower(PATTERN, phrase)]
        if all(each):
            forbidden = forbidden.union(*each)
    return forbidden


def _like(found: set[str], patterns: Collection[str]) -> set[str]:
    return {word for word in found if any(fnmatchcase(word, pattern) for pattern in patterns)}


def _lower(parts: re.Pattern[str], text: str) -> set[str]:
    return {part.lower() for part in parts.findall(INNER_CAPITAL.sub(" ", text))}
