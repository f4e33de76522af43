"""The words of payments' status that the platform does not know, and what they may mean as they sound.

Belongs here: the line of churn.yaml that `churn validate` proposes; it is never taken by itself. Does not belong here: which words
there may be (``churn_store.mapping.tables``).
"""

import re
from collections.abc import Mapping

import polars as pl

from churn_store.mapping.tables import STATUSES
from churn_store.redaction import MAIL, in_yaml, shown

SHOWN = 8
"""Most words in a note."""

SOUNDS_LIKE: Mapping[str, re.Pattern[str]] = {
    "refunded": re.compile(r"refund|credit|chargeback|charge_back|revers|return|storno"),
    "failed": re.compile(r"fail|declin|bounc|reject|error|unpaid|denied|overdue|dishono|void|cancel"),
    "settled": re.compile(r"paid|settl|succe|complet|captur|clear|approv|^ok$|^done$|received"),
}
"""The words that a status of each kind may have in it; the first kind that fits is proposed."""


def note_of(words: pl.Series) -> str:
    """What to write into churn.yaml if some words of the status are not the platform's; empty if all are.

    Args:
        words: status of each payment.
    """
    strange = words.drop_nulls().filter(~words.drop_nulls().is_in(list(STATUSES)))
    if strange.len() == 0:
        return ""
    counts = list(strange.value_counts(sort=True).head(SHOWN).iter_rows())
    listed = ", ".join(f"{shown(word)} {count:,}" for word, count in counts)
    proposed = {word: kind for word, _ in counts if not MAIL.search(word) and (kind := kind_of(word))}
    if not proposed:
        return (
            f"words of status that mean nothing here: {listed}; expected {', '.join(STATUSES)}. Translate them by `values`"
        )
    line = ", ".join(f"{in_yaml(word)}: {kind}" for word, kind in proposed.items())
    return (
        f"words of status that mean nothing here: {listed}; if this is what they mean, write `values: {{status: {{{line}}}}}` under "
        "source.payments"
    )


def kind_of(word: str) -> str:
    """The status of the platform that a word sounds like; empty if it sounds like none."""
    low = word.lower().replace(" ", "_")
    return next((kind for kind, sounds in SOUNDS_LIKE.items() if sounds.search(low)), "")
