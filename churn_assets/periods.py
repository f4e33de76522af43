"""Periods and snapshots: the arithmetic of partition keys, without Dagster.

A key is the first day of a period. Key K of a raw table holds what arrived in [K, next K); key K of a feature table is the
snapshot at T = K, 00:00 UTC. Data without time has one key, ``all``.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

Cadence = Literal["monthly", "weekly", "daily"]

ALL = "all"
"""The one key of data without time."""

DECEMBER = 12


def epoch_s(day: date) -> int:
    """The first second of a day, in epoch seconds UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def day_of(second: int) -> date:
    """The day that an epoch second lies in, UTC."""
    return datetime.fromtimestamp(second, tz=UTC).date()


@dataclass(frozen=True)
class Calendar:
    """The periods of a company.

    Args:
        cadence: length of a period; weeks begin on Monday.
        start: a day of the first period.
    """

    cadence: Cadence
    start: date

    @property
    def first(self) -> date:
        """The first day of the first period."""
        return self.floor(self.start)

    def floor(self, day: date) -> date:
        """The first day of the period that a day lies in."""
        if self.cadence == "monthly":
            return day.replace(day=1)
        if self.cadence == "weekly":
            return day - timedelta(days=day.weekday())
        return day

    def next(self, key: date) -> date:
        """The first day of the period after."""
        if self.cadence == "monthly":
            return date(key.year + key.month // DECEMBER, key.month % DECEMBER + 1, 1)
        return key + timedelta(days=7 if self.cadence == "weekly" else 1)

    def keys(self, until: date, *, first: date | None = None) -> list[date]:
        """The first days of all periods that begin on or before ``until``."""
        keys, key = [], self.ceil(first) if first else self.first
        while key <= until:
            keys.append(key)
            key = self.next(key)
        return keys

    def ceil(self, day: date) -> date:
        """The first day of the first period that begins on or after a day."""
        floor = self.floor(day)
        return floor if floor == day else self.next(floor)

    def complete(self, as_of: date) -> list[date]:
        """Raw periods that have ended by ``as_of``, so that their last row can have arrived."""
        return [key for key in self.keys(as_of) if self.next(key) <= as_of]

    def bounds_s(self, key: str) -> tuple[int, int]:
        """First second of a period and first second after it."""
        day = date.fromisoformat(key)
        return epoch_s(day), epoch_s(self.next(day))


def text(key: date) -> str:
    """A period's partition key."""
    return key.isoformat()
