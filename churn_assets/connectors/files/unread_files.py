"""The periods that a file which can't be read may have rows of, by the date in its name and by what the files beside it hold.

A file of a month may also have rows that became known a little earlier or later. By how much is measured on the table's other files:
what none of them does, this one is not taken to do either. Without a date in each name any period may be in it.

Belongs here: names and spans of time. Does not belong here: reading files (``churn_store.mapping.csv_reader``), and what happens to
the periods (``raw.arrivals``).
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from churn_assets.tables import EVER_S
from churn_store.errors import InputError
from churn_store.mapping.tables import Unread

DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?:[-_./]?W(?P<week>[0-5]\d)|(?P<mark>[-_./]?)(?P<month>0[1-9]|1[0-2])(?:(?P=mark)(?P<day>0[1-9]|[12]\d|3[01]))?)(?!\d)"
)
"""A month, an ISO week or a day in the name of a file or of its folders."""


def span_of(name: str) -> tuple[int, int] | None:
    """The time that a file's name says it is of, from the first to the last date in it, in epoch seconds.

    >>> span_of("data/events-2024-02.csv") == (1706745600, 1709251200)
    True
    >>> span_of("data/events.csv") is None
    True
    """
    spans = [span for found in DATE.finditer(name) if (span := _span(found)) is not None]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def unread_spans(
    broken: Mapping[str, InputError], known: Mapping[str, tuple[int, int]], *, start_s: int
) -> tuple[Unread, ...]:
    """The spans of time of which a table has rows that can't be read.

    Args:
        broken: files that can't be read, each with the reason.
        known: times of the first and the last row of each file that can be read, in epoch seconds.
        start_s: first day with data; whatever is older counts as of that day.
    """
    named = {name: span for name in {*broken, *known} if (span := span_of(name)) is not None}
    if not known or not set(known) <= set(named):
        named = {}
    starts = sorted({start for start, _ in named.values()})
    until_next = {
        name: (start, next((later for later in starts if later > start), EVER_S)) for name, (start, _) in named.items()
    }
    # A file may be named by the month that it is of, or by the first day of whatever it is of: the closer fit is taken.
    fits = [_measured(spans, known, start_s) for spans in (named, until_next)] if named else []
    found = []
    for name, error in sorted(broken.items()):
        if name in named:
            spans, earlier, later = min(fits, key=lambda fit: fit[2] - fit[1])
            found.append(Unread(spans[name][0] + earlier, min(spans[name][1] + later, EVER_S), error))
        else:
            found.append(Unread(-EVER_S, EVER_S, InputError(f"{error}. {NO_DATE}")))
    return tuple(found)


def _measured(
    spans: dict[str, tuple[int, int]], known: Mapping[str, tuple[int, int]], start_s: int
) -> tuple[dict[str, tuple[int, int]], int, int]:
    """The spans, and by how much rows are earlier (0 or less) and later (0 or more) than their file's span at most."""
    earlier = [max(first, start_s) - max(spans[name][0], start_s) for name, (first, _) in known.items()]
    later = [last + 1 - spans[name][1] for name, (_, last) in known.items()]
    return spans, min(0, *earlier), max(0, *later)


NO_DATE = "Any period may be in it, so none is ingested: where each file's name has its month, week or day, only that waits for it"


def _span(found: re.Match[str]) -> tuple[int, int] | None:
    try:
        year = int(found["year"])
        if found["week"]:
            first = date.fromisocalendar(year, int(found["week"]), 1)
            return _epoch_s(first), _epoch_s(first + timedelta(days=7))
        month = int(found["month"])
        if found["day"]:
            first = date(year, month, int(found["day"]))
            return _epoch_s(first), _epoch_s(first + timedelta(days=1))
        return _epoch_s(date(year, month, 1)), _epoch_s(date(year + month // 12, month % 12 + 1, 1))
    except ValueError:  # the 31st of February
        return None


def _epoch_s(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
