"""Chooses the attributes of customers: which columns become features, of which kind and with which bounds, and which stay out and why.

Belongs here: one column at a time. Does not belong here: ids, times and the label (``customers``).
"""

import re
from collections.abc import Collection
from typing import Any

from churn_assets.features.protected_attributes import looks_like_age, refuse_forbidden
from churn_assets.inspection import names
from churn_assets.inspection.columns import Column, TableProfile, is_code
from churn_assets.inspection.draft import Draft, TableDraft
from churn_assets.inspection.label_guess import guesses
from churn_assets.inspection.series import least, most
from churn_store.errors import InputError

MOST_CATEGORIES = 60
"""A column with more words is of names or texts."""

MOST_ROWS_A_WORD = 0.5
NO_AGE = re.compile(
    r"tenure|month|day|score|amount|price|charge|balance|count|number|minutes|hours|usage|rate|percent|_dau|laufzeit|monat|tage"
)


def map_attributes(
    draft: Draft, profile: TableProfile, table: TableDraft, *, besides: Collection[str], has_time: bool
) -> None:
    """Fill ``attributes`` and the reasons of the columns that are left out."""
    told = {guess.column for guess in guesses(profile) if guess.is_sure}
    rows = profile.height
    is_of_today = has_time and not {"occurred", "known"} & set(table.columns)
    for column in profile.columns.values():
        if column.name in besides or column.name in table.left_out:
            continue
        name = names.attribute_name(column.name, set(table.attributes))
        reason = _why_not(column, name, rows, tells=column.name in told, has_time=has_time)
        if not reason and is_of_today and _is_number(column) and names.OF_TODAY.search(column.plain):
            reason = "a figure of today, which tells what happened since; nothing says what it was at earlier times"
        if reason:
            table.left_out[column.name] = reason
            continue
        table.attributes[name] = described(column)
        if _looks_like_age(column):
            draft.ask(
                f"{profile.table.name}: {column.name} looks like an age ({least(column.numbers):g} to {most(column.numbers):g}), which the law of many "
                "countries protects; models see it unless it is excluded",
                f"features: {{exclude: [{name}]}}",
            )


def described(column: Column) -> dict[str, Any]:
    """The kind of an attribute and its bounds."""
    attribute: dict[str, Any] = {"column": column.name, "kind": "number" if _is_number(column) else "category"}
    if attribute["kind"] == "number":
        there = column.numbers.drop_nulls()
        low, high = float(there.min()), float(there.max())  # type: ignore[arg-type]
        if low >= 0:
            attribute["low"] = 0
        if low >= 0 and high == 1 and column.is_whole:
            attribute["high"] = 1
    if column.values.null_count():
        attribute["nullable"] = True
    return attribute


def _looks_like_age(column: Column) -> bool:
    return _is_number(column) and looks_like_age(column.numbers) and not NO_AGE.search(column.plain)


def _is_number(column: Column) -> bool:
    return column.is_number and not is_code(column) and not names.CODE.search(column.plain)


def why_forbidden(name: str, column: str) -> str:
    """Why no model may see a column, by its name; empty if it may."""
    try:
        refuse_forbidden(name, column, ())
    except InputError as error:
        said = str(error)
        return (
            "protected: the law of many countries forbids to treat people by it"
            if "protected" in said
            else "its name says that it tells the label, or what follows it"
        )
    return ""


def _why_not(column: Column, name: str, rows: int, *, tells: bool, has_time: bool) -> str:
    """Why a column is no attribute; empty if it is one. The first reason counts."""
    if forbidden := why_forbidden(name, column.name):
        return forbidden
    is_id = any(
        pattern.search(column.plain) for pattern in (names.ANY_ID, names.ROW_NUMBER, names.CUSTOMER_ID, names.ROW_ID)
    )
    is_number = _is_number(column)
    reasons: list[tuple[bool, str]] = [
        (column.filled == 0, "it is empty"),
        (tells, "it says who left, as of today" if has_time else "it says who left, as the label does"),
        (
            column.time is not None and names.ENDED.search(column.plain) is not None,
            "a time that follows the label: when the customer left",
        ),
        (column.time is not None, "a time; an attribute is a number or a word"),
        (column.distinct == 1 and column.filled == rows, "it is the same in all rows"),
        (not is_number and names.FREE_TEXT.search(column.plain) is not None, "personal or free text"),
        (is_id and column.is_unique, "an id, or the number of a row"),
        (
            not is_number and bool(column.values.drop_nulls().str.starts_with("{").any()),
            "details in JSON; an attribute is a number or a word",
        ),
        (
            not is_number
            and (column.distinct > MOST_CATEGORIES or column.distinct > max(2, MOST_ROWS_A_WORD * column.filled)),
            f"{column.distinct:,} different words: names or texts rather than categories",
        ),
    ]
    return next((reason for applies, reason in reasons if applies), "")
