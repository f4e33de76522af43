"""Coverage: which periods must be stored before a table can be written from them.

Belongs here: preconditions on periods, as plain arithmetic. Does not belong here: which periods are due
(``automation.due``), and whether the rows of a period are right (``contracts``).
"""

from collections.abc import Collection
from datetime import date

from churn_assets.periods import Calendar, text
from churn_assets.settings.label import Label, matures_on
from churn_store.errors import InputError


def arrivals_until(calendar: Calendar, label: Label, snapshot: date, *, raw: Collection[str]) -> date:
    """The day up to which arrivals count for the labels of a snapshot: all that are stored, at least up to maturity."""
    matured = matures_on(snapshot, label)
    return max(matured, date.fromisoformat(unbroken_until(calendar, raw)))


def require_ended(calendar: Calendar, as_of: date, keys: Collection[str]) -> None:
    """Refuse to ingest a period that has not ended: it would be written once, and incomplete.

    Raises:
        InputError: if some periods have not ended; it names them, and when the last of them ends.
    """
    ended = {text(key) for key in calendar.complete(as_of)}
    if early := sorted(set(keys) - ended):
        ends = calendar.next(date.fromisoformat(early[-1]))
        raise InputError(
            f"{', '.join(early)}: by the clock it is {as_of}; a period is ingested once it has ended, here on {ends}"
        )


def require_history(calendar: Calendar, as_of: date, keys: Collection[str], *, raw: Collection[str]) -> None:
    """Refuse to build a snapshot that is in the future or lacks a raw period: customers would look inactive.

    Raises:
        InputError: if there are such snapshots; it names them, and the first raw period that is missing.
    """
    until = unbroken_until(calendar, raw)
    if early := sorted(key for key in keys if key > min(until, text(as_of))):
        raise InputError(
            f"{', '.join(early)}: by the clock it is {as_of}, and the raw periods are there up to {until}; "
            "ingest the missing ones first"
        )


def require_arrivals(calendar: Calendar, label: Label, snapshot: date, *, raw: Collection[str]) -> None:
    """Refuse to label a snapshot while a raw period up to its maturity is missing: active customers would look gone.

    Raises:
        InputError: if a period is missing; it names the snapshot, and the period up to which it needs arrivals.
    """
    until = text(calendar.ceil(matures_on(snapshot, label)))
    available = unbroken_until(calendar, raw)
    if until > available:
        raise InputError(
            f"the labels of {snapshot} need the raw periods before {until}, which are there up to {available}; ingest the missing ones"
        )


def unbroken_until(calendar: Calendar, raw: Collection[str]) -> str:
    """The end of the unbroken stretch of raw periods from the first one: no snapshot up to it lacks a period."""
    key = calendar.first
    while text(key) in raw:
        key = calendar.next(key)
    return text(key)
