"""The access log: one JSON line per request, for the errors of those who have a key and for a share of the successes.

The default share is 1 %: counters and histograms cover the rest. What is refused without a key is counted (``refusals``). A line names the route's template and the service's own id of
the request, never the path, the caller's id, or anything else that the caller chose.
"""

import asyncio
from datetime import datetime

import msgspec

from churn_api.telemetry.line_writer import LineWriter

ERRORS_FROM = 400
WRITTEN_AFTER_S = 0.2
TOGETHER = 100


class AccessLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a line. ``id`` is ``Call.id``, which is also the prediction's id in the prediction log."""

    ts: datetime
    event: str = "request"
    id: str
    route: str
    method: str = ""
    status: int
    latency_ms: float = 0.0
    release: str | None = None
    key_id: str | None = None


class AccessLog:
    """Collects lines and hands them on together, several times a second.

    Args:
        writer: writer of the lines.
        share: share of the successful requests that are logged, between 0 and 1, evenly spread.
    """

    def __init__(self, writer: LineWriter, share: float) -> None:
        self._writer = writer
        self._share = share
        self._owed = 0.0
        self._lines: list[AccessLine] = []
        self._encode = msgspec.json.Encoder().encode_lines

    def wants(self, status: int) -> bool:
        """Whether a line is due for a request with this status; counts the successes for the share."""
        if status >= ERRORS_FROM:
            return True
        self._owed += self._share
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True

    def add(self, line: AccessLine) -> None:
        """Take a line; it is written within ``WRITTEN_AFTER_S``."""
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITTEN_AFTER_S, self.flush)
        self._lines.append(line)
        if len(self._lines) >= TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Hand on the collected lines."""
        lines, self._lines = self._lines, []
        if lines:
            self._writer.put(self._encode(lines))
