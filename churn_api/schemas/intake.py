"""What the bodies of several intake routes share: idempotency keys and times.

Belongs here: their form and bounds. Does not belong here: how a body is read (``intake.bodies``).
"""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

LONGEST_KEY: Final = 200
LONGEST_TIME: Final = 40

KEY: Final = "^[!-~]+$(?!\\n)"
"""Idempotency keys: ASCII that can be shown, without blanks."""

SHOWN: Final = 200
"""Most versions in an answer about a customer."""

IdempotencyKey = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=KEY,
        description="your own name for this statement: sent again under it, it counts once",
    ),
]

Time = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST_TIME,
        description="a date or time in ISO 8601; UTC where it names no zone; not in the future",
        examples=["2026-01-31", "2026-01-31T12:00:00Z"],
    ),
]


def time_of(seconds: float) -> datetime:
    """Epoch seconds as an answer has them."""
    return datetime.fromtimestamp(seconds, UTC)
