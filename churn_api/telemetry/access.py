"""The access log: one JSON line a request on standard output, for errors always and for successes a share of them.

The default share is 1 %: counters and histograms carry the rest. A line names the route's template and the service's own
id of the request, never the path, the caller's id, or anything else that the caller chose.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

STDOUT = 1
ERRORS_FROM = 400


class AccessLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a line says."""

    ts: datetime
    event: str = "request"
    id: str
    route: str
    method: str
    status: int
    latency_ms: float
    release: str | None
    key_id: str | None


class AccessLog:
    """Writes lines.

    Args:
        share: of the requests that succeeded, between 0 and 1, evenly spread.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._owed = 0.0
        self._encode = msgspec.json.Encoder().encode

    def wants(self, status: int) -> bool:
        """Whether a line is due for a request that ended so."""
        if status >= ERRORS_FROM:
            return True
        self._owed += self._share
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True

    def write(
        self, *, id_: str, route: str, method: str, status: int, seconds: float, release: str | None,
        key_id: str | None,
    ) -> None:  # fmt: skip
        """Write a line; a standard output that is gone does not keep a request from being answered."""
        line = AccessLine(
            ts=datetime.now(UTC),
            id=id_,
            route=route,
            method=method,
            status=status,
            latency_ms=round(seconds * 1000, 3),
            release=release,
            key_id=key_id,
        )
        with suppress(OSError):
            os.write(STDOUT, self._encode(line) + b"\n")
