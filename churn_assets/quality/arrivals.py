"""When rows came: periods without rows, feeds that stop early, types of events that vanish.

A count is compared with the least that earlier periods would lead one to expect, halved: seasons, growth and chance stay far above it.

Belongs here: rules on how many rows came, and when. Does not belong here: what they hold (``shares``, ``units``).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from churn_assets.quality.chance import too_few
from churn_assets.quality.fault import Fault
from churn_assets.quality.findings import ABSENT, LATE, VANISHED
from churn_assets.quality.profile import EVENT_TYPE, SLICES, Category, Profile
from churn_assets.settings.quality import Quality

NEWEST: Final = 3
"""The number of newest earlier periods whose rows are counted on."""

SEASON_DAYS: Final = frozenset({7, 14, 21, 28, 364, 365, 366})
"""Days after which a period is like one before: weeks, and a year."""

REAL_MOVEMENT: Final = 0.5
"""The part of what is expected that is counted on: a real change may take the rest."""

FEW, GONE, FEWER = 0.1, 0.25, 0.5
"""The parts of what is expected below which rows are taken for missing, a type for vanished, and a type is reported."""

LEAST_TAIL: Final = 2
"""Slices at the end of a period that must be empty before a feed has stopped early."""


def absent_rows(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:  # noqa: ARG001 - as all rules
    """A period with no rows, or with next to none."""
    least = min(one.rows for one in [*before[-NEWEST:], *_of_the_season(now, before)])
    if now.rows < FEW * least and too_few(now.rows, REAL_MOVEMENT * least):
        yield Fault(ABSENT, f"{now.rows:,} rows arrived" if now.rows else "no rows arrived", f"about {least:,} or more")


def _of_the_season(now: Profile, before: Sequence[Profile]) -> Iterator[Profile]:
    """The earlier periods of the same weekday, and those of a year ago: weekends are quiet, and some companies close for a season."""
    day = date.fromisoformat(now.period)
    return (one for one in before if (day - date.fromisoformat(one.period)).days in SEASON_DAYS)


def late_feed(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:  # noqa: ARG001 - as all rules
    """A table whose newest rows came well before the period's end, though earlier periods went on."""
    stopped = stops_after(now.arrivals, [one.arrivals for one in before])
    if stopped is not None:
        yield Fault(
            LATE,
            f"after {stopped / SLICES:.0%} of the period next to no rows arrived",
            "rows up to its end, as in earlier periods",
        )


def vanished_types(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:
    """Types of events that every earlier period had, and that no longer come, or hardly."""
    if EVENT_TYPE not in now.columns or not all(EVENT_TYPE in one.columns for one in before):
        return
    words = now.columns[EVENT_TYPE].categories
    all_stopped = any(late_feed(now, before, rules))
    known = [one.columns[EVENT_TYPE].categories for one in before]
    for word in known[-1]:
        since = next(number for number, one in enumerate(known) if word in one)
        if any(word not in one for one in known[since:]) or len(known) - since < NEWEST:
            continue
        yield from _vanished(word, words, now, before[since:], all_stopped=all_stopped)


def _vanished(
    word: str, words: Mapping[str, Category], now: Profile, before: Sequence[Profile], *, all_stopped: bool
) -> Iterator[Fault]:
    earlier = [one.columns[EVENT_TYPE].categories[word] for one in before]
    rows = words[word].rows if word in words else 0
    share = min(one.rows / of.rows for one, of in zip(earlier, before, strict=True))
    # By share and by number, so that neither a type that comes twice nor a company that shrinks makes another type vanish.
    expected = min(now.rows * share, *(one.rows for one in earlier[-NEWEST:]))
    as_before = f"about {expected:,.0f} or more, as in {len(earlier)} earlier periods"
    for part, counted_on, blocking in ((GONE, REAL_MOVEMENT, True), (FEWER, 1.0, False)):
        if rows < part * expected and too_few(rows, counted_on * expected):
            yield Fault(
                VANISHED,
                f"{rows:,} of {now.rows:,} rows have the {EVENT_TYPE} {word}"
                if rows
                else f"no row has the {EVENT_TYPE} {word}",
                as_before,
                column=EVENT_TYPE,
                blocking=blocking,
            )
            return
    if all_stopped or word not in words:
        return
    stopped = stops_after(words[word].arrivals, [one.arrivals for one in earlier])
    if stopped is not None:
        yield Fault(
            VANISHED,
            f"after {stopped / SLICES:.0%} of the period next to no row has the {EVENT_TYPE} {word}",
            "rows up to its end, as in earlier periods",
            column=EVENT_TYPE,
        )


def stops_after(arrivals: Sequence[int], earlier: Sequence[Sequence[int]]) -> int | None:
    """The slice after which rows stop coming, though those of earlier periods went on; `None` where they do not stop.

    Args:
        arrivals: rows by slice of the period.
        earlier: those of earlier periods.
    """
    for cut in range(1, SLICES - LEAST_TAIL + 1):
        head, tail = sum(arrivals[:cut]), sum(arrivals[cut:])
        expected = head * min(sum(one[cut:]) / max(1, sum(one[:cut])) for one in earlier)
        if tail < FEW * expected and too_few(tail, REAL_MOVEMENT * expected):
            return cut
    return None
