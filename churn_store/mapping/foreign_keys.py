"""Checks that rows belong to known customers: ids that are written differently in two tables match nobody.

Belongs here: what the ids of two tables look like beside each other. Does not belong here: rows of a few unknown
customers, which are ingested as all others are; ``churn validate`` counts them (``churn_assets.preflight.company``).
"""

import re
from collections import Counter

import polars as pl

from churn_store.errors import InputError

SAMPLE = 1000
"""Most ids whose forms are counted."""

FORMS = 2
PARTS = 4
"""Most forms of ids in a message, and most parts of each."""

PART = re.compile(r"(?P<digits>\d+)|(?P<letters>[^\W\d_]+)|(?P<mark>.)", re.DOTALL)

WRITTEN_OTHERWISE = {
    'without leading zeros: write `ids: {strip: "0"}` under both tables in churn.yaml': pl.col("id").str.replace(
        r"^0+(\d)", "$1"
    ),
    "in lower case": pl.col("id").str.to_lowercase(),
}
"""Common variants of the same id."""


def unknown_of(ids: pl.Series, customers: pl.Series) -> pl.Series:
    """Ids that belong to no customer."""
    there = ids.drop_nulls()
    return there.filter(~there.is_in(customers.drop_nulls().unique().implode()))


def require_known(ids: pl.Series, customers: pl.Series, *, where: str, limit: float) -> None:
    """Refuse a table whose customers are not those of the customers' table.

    Args:
        ids: id of each row; missing ones are ignored.
        customers: ids of the customers.
        where: name of the table or file, with which the error message begins.
        limit: largest share of rows that may belong to others.

    Raises:
        InputError: if more rows do; the message holds no whole id.
    """
    rows, unknown = ids.drop_nulls().len(), unknown_of(ids, customers)
    if unknown.len() <= limit * rows:
        return
    strangers, known = unknown.unique().sort(), customers.drop_nulls().unique().sort()
    advice = would_match(strangers, known)
    advised = f" ({advice})" if advice else ""
    raise InputError(
        f"{where}: {unknown.len()} of {rows} rows ({unknown.len() / rows:.1%}) are of customers who are not in `customers`, "
        f"more than raw.quarantine_limit {limit:.1%} allows; their ids are {forms(strangers)}, those in `customers` are "
        f"{forms(known)}; expected the same{f' ({advised})' if advised else ''}. Write the ids the same way in both tables, or "
        "map the columns that hold the same ids"
    )


def forms(ids: pl.Series) -> str:
    """The forms of ids in words, most frequent first; letters of names are not shown."""
    if ids.len() == 0:
        return "none"
    sample = ids.gather_every(max(1, ids.len() // SAMPLE)).head(SAMPLE).to_list()
    common = _common_letters(sample)
    found = Counter(_form(word, common) for word in sample)
    return " or ".join(form for form, _ in found.most_common(FORMS))


def _form(word: str, common: str) -> str:
    parts = [common] if common else []
    for part in PART.finditer(word, len(common)):
        kind, run = part.lastgroup, part.group()
        if kind == "digits":
            zeros = " with leading zeros" if run[0] == "0" and len(run) > 1 else ""
            parts.append(f"digits of length {len(run)}{zeros}")
        else:
            parts.append(f"letters of length {len(run)}" if kind == "letters" else run)
    return " + ".join(parts[:PARTS]) + (" + more" if len(parts) > PARTS else "")


def _common_letters(words: list[str]) -> str:
    """Letters that all of several ids begin with before a digit: a prefix, and nobody's name."""
    begins = {re.match(r"[^\W\d_]{0,4}(?=[\d_-])", word) for word in words}
    texts = {match.group() if match else "" for match in begins}
    return texts.pop() if len(words) > 1 and len(texts) == 1 else ""


def would_match(strangers: pl.Series, known: pl.Series) -> str:
    """How most of some ids would match known ones, and what to write for it; empty if they would not.

    Args:
        strangers: ids that match nobody.
        known: ids of the customers.
    """
    for words, rewritten in WRITTEN_OTHERWISE.items():
        ours, theirs = (ids.to_frame("id").select(rewritten).to_series() for ids in (strangers, known))
        matched = int(ours.is_in(theirs.implode()).sum())
        if 2 * matched > ours.len():
            return f"they would match {words}"
    return ""
