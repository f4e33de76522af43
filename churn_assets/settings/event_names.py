"""The types of events that get features of their own, and the word of a type made safe as a part of a feature's name.

Belongs here: what is safe, and which types can't be told apart by it. Does not belong here: what is counted of a type
(``features.catalogue_types``).
"""

import re
import unicodedata
from collections.abc import Sequence

MOST_TYPES = 20
"""At most so many types have features of their own: each adds columns to every row, and a model with more looks for rare chances."""

LONGEST_WORD = 40
"""The longest safe word; the longest name around it still fits the 63 characters of a column of PostgreSQL."""

LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "œ": "oe"})
INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def safe_word(word: str) -> str:
    """A word in lower case: without accents, with ``_`` at capitals and in place of all that is no letter a to z and no digit.

    Returns:
        The safe word; empty if nothing of it is left, as of a word in another script.
    """
    split = INNER_CAPITAL.sub("_", word)
    bare = unicodedata.normalize("NFKD", split.lower().translate(LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")


def refused_types(types: Sequence[str]) -> str:
    """Why some types of events can't have features of their own together; empty if they can.

    Args:
        types: types of events as they stand in the data.
    """
    if len(types) > MOST_TYPES:
        return (
            f"names {len(types)} types of events; expected at most {MOST_TYPES}, as each adds features to every customer. Name those "
            "that `churn validate` proposes; all others count as events of any kind"
        )
    seen: dict[str, str] = {}
    for word in types:
        safe = safe_word(word)
        if not safe:
            return (
                f"names {word!r}, of which no letter a to z and no digit is left for a feature's name; {_translate(word)}"
            )
        if len(safe) > LONGEST_WORD:
            return f"names {word!r}, which makes a feature's name too long; expected at most {LONGEST_WORD} characters. Or {_translate(word)}"
        if safe in seen:
            return (
                f"names {seen[safe]!r} and {word!r}, which would both be {safe!r} in a feature's name; expected types that differ in "
                f"letters or digits. Keep one, or {_translate(word)}"
            )
        seen[safe] = word
    return ""


def _translate(word: str) -> str:
    return f"translate it by `values: {{event_type: {{{word}: another_word}}}}` of source.events, and name that word here"
