"""Which outcome tells of a window: what was said of a customer, against the time of the answer and the close of the window.

- Who is said to have stayed had not left when that was received. So it tells of the window from its close on, and nothing before.
- Who left after the close stayed in the window. Who left before the first request, or of whom that was known before it, counts in no arm.
- A time of exactly midnight is a date: the customer left in the course of that day, so that it is before a request only once the day is over.
- An outcome without a snapshot may be about any window of its customer. It tells of the window that it was received in, or within one horizon
  after its close. What changes later, or turns who stayed without saying when the customer left, is about a later window.

Belongs here: this choice. Does not belong here: which requests have a window (``exposures``), and the labels of the lake (``lake_labels``).
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from churn_store.outcomes.log import latest_s


class Said(NamedTuple):
    """A version of a posted outcome; times are epoch seconds, ``occurred_s`` is ``None`` where it is not known."""

    churned: bool
    occurred_s: float | None
    received_s: float


class Window(NamedTuple):
    """The window of a customer's request, in epoch seconds.

    Attributes:
        first_s: first request about the customer.
        answered_s: the request that counts.
        closes_s: end of the window.
        has_snapshot: whether the request used the features of a snapshot.
    """

    first_s: float
    answered_s: float
    closes_s: float
    has_snapshot: bool


class Fate(NamedTuple):
    """What became of a customer in a window.

    Attributes:
        left_s: when the customer left, in epoch seconds; ``None`` where that is not known.
        is_gone: whether the customer had left before the first request.
    """

    churned: bool
    left_s: float | None = None
    is_gone: bool = False


STAYED: Final = Fate(churned=False)


def fate_in(window: Window, versions: Sequence[Said]) -> Fate | None:
    """What the versions of an outcome, the oldest first, say of a window; ``None`` where they say nothing of it yet."""
    return _of_snapshot(window, versions[-1]) if window.has_snapshot else _of_customer(window, versions)


def _of_snapshot(window: Window, newest: Said) -> Fate | None:
    if not newest.churned:
        return STAYED if newest.received_s >= window.closes_s else None
    return _left(window, newest)


def _of_customer(window: Window, versions: Iterable[Said]) -> Fate | None:
    found: Fate | None = None
    until_s = window.closes_s + (window.closes_s - window.answered_s)
    for said in versions:
        is_late = said.received_s >= until_s
        if said.received_s < window.answered_s or (is_late and (said.occurred_s is None or found is not None)):
            continue
        if not said.churned:
            found = STAYED if said.received_s >= window.closes_s else None
        elif said.occurred_s is not None or said.received_s < window.closes_s or found != STAYED:
            found = _left(window, said)
    return found


def _left(window: Window, said: Said) -> Fate:
    if said.occurred_s is None:
        return Fate(churned=True, is_gone=said.received_s < window.first_s)
    if said.occurred_s >= window.closes_s:
        return STAYED
    return Fate(churned=True, left_s=said.occurred_s, is_gone=latest_s(said.occurred_s) < window.first_s)
