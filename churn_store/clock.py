"""The one clock: wall time, or a fixed ``as_of`` that a running daemon and service see without a restart.

Nothing else reads the wall clock for anything that a period, a snapshot, a maturity or an age depends on. Security goes by wall time
alone: a key expires also where the platform's clock stands still. Durations are measured with ``time.monotonic`` where they
happen, not here.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from churn_store.errors import InputError, UnsafeFileError
from churn_store.safe_read import read_regular

LONGEST = 1_000
"""Most bytes of the file ``as_of``."""


class Clock:
    """Time as the platform sees it.

    While the file ``as_of`` exists, its one line is the time: an ISO 8601 date or time, in UTC where no zone is named. Otherwise
    the wall clock counts. The file is read at every call, so every process sees a change at once. Anything but an ordinary file is
    refused, so that a pipe in its place stops nobody.
    """

    def __init__(self, as_of: Path) -> None:
        self._as_of = as_of

    def now(self) -> datetime:
        """The current time in UTC.

        Raises:
            InputError: if the file ``as_of`` holds no ISO 8601 time.
        """
        try:
            text = read_regular(self._as_of, at_most=LONGEST).decode().strip()
        except FileNotFoundError:
            return datetime.now(UTC)
        except (UnsafeFileError, UnicodeDecodeError) as error:
            raise InputError(f"{self._as_of} holds no time: {error}") from error
        return parse_time(text, where=str(self._as_of))

    def now_s(self) -> int:
        """The current time in whole epoch seconds."""
        return int(self.now().timestamp())

    @property
    def is_fixed(self) -> bool:
        """Whether the time is fixed by ``as_of``."""
        return self._as_of.exists()

    def fix(self, as_of: datetime) -> None:
        """Fix the time from now on, for every process that uses the same file."""
        self._as_of.parent.mkdir(parents=True, exist_ok=True)
        beside = self._as_of.with_name(f"{self._as_of.name}.{os.getpid()}.new")
        beside.write_text(as_of.astimezone(UTC).isoformat() + "\n", encoding="utf-8")
        beside.replace(self._as_of)

    def follow_wall_time(self) -> None:
        """Go back to the wall clock."""
        self._as_of.unlink(missing_ok=True)


def wall_s() -> float:
    """The wall clock in epoch seconds, whatever the platform's clock says: for the age of keys and of files on disk."""
    return time.time()


def parse_time(text: str, *, where: str) -> datetime:
    """An ISO 8601 date or time as UTC.

    Raises:
        InputError: if it is not one; the message names the place ``where``.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{where}: {text!r} is not a time; expected a date or time like 2026-01-01 or 2026-01-01T06:00:00+00:00"
        ) from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


DAY_S = 86_400
