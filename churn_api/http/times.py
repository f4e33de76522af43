"""Times in a body: ISO 8601, UTC where no zone is named, from 1970 on, and not in the future."""

from datetime import UTC, datetime
from typing import Final

_EXPECTED: Final = "expected a date or time like 2026-01-31 or 2026-01-31T12:00:00Z"


class BadTimeError(ValueError):
    """A text that is no such time; its message says what was found and expected, and repeats nothing of it."""


def past_seconds(text: str, now_s: float) -> int:
    """Epoch seconds of a time.

    Args:
        text: time as it was sent.
        now_s: present time by the platform's clock, in epoch seconds.

    Raises:
        BadTimeError: if it is none, before 1970 or in the future.
    """
    try:
        parsed = datetime.fromisoformat(text)
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        seconds = int(aware.timestamp())
    except (ValueError, OverflowError):
        raise BadTimeError(f"not a time; {_EXPECTED}") from None
    if seconds < 0:
        raise BadTimeError(f"a time before 1970; {_EXPECTED}")
    if seconds > now_s:
        now = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
        raise BadTimeError(f"a time in the future; it is {now} by the platform's clock (`churn clock show`)")
    return seconds
