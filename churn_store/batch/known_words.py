"""Counts the words of categories that a release knows: a file of which it knows none is read wrong.

Belongs here: the counts of a whole file, and the refusal. Does not belong here: what a word of a row is (``rows``).
"""

from collections import Counter
from pathlib import Path

from churn_store.batch.rows import Sorted
from churn_store.errors import InputError
from churn_store.model.signature import MISSING_CATEGORY, Signature
from churn_store.redaction import shown

SHOWN_WORDS = 5
"""Most known words of a column in a message."""


class KnownWords:
    """The words of a file, column by column.

    Args:
        signature: signature of the release.
    """

    def __init__(self, signature: Signature) -> None:
        self._known = {
            column.name: column.categories
            for column in signature.columns
            if column.kind == "category" and column.categories
        }
        self._words: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()

    def add(self, rows: Sorted) -> None:
        """Count the words of rows that can be scored."""
        self._unknown.update(rows.unknown)
        self._words.update({name: rows.rows[name].len() - rows.rows[name].null_count() for name in self._known})

    @property
    def unknown(self) -> dict[str, int]:
        """Number of rows with a word that training never saw, by column."""
        return dict(self._unknown)

    def require_some(self, *, source: Path, release: str) -> None:
        """Refuse a file with a column of words of which the release knows none.

        Raises:
            InputError: if there is one; the message has none of the file's words.
        """
        for name, known in self._known.items():
            if self._words[name] and self._unknown[name] == self._words[name]:
                words = [word for word in known if word != MISSING_CATEGORY]
                listed = ", ".join(map(shown, words[:SHOWN_WORDS])) + (", ..." if len(words) > SHOWN_WORDS else "")
                raise InputError(
                    f"{source}: release {release} knows no word of the column {name}: none of its {self._words[name]:,} words "
                    f"is one of {listed}; expected these. Is it another column, or does churn.yaml lack `values` for it?"
                )
