"""Requests that were refused without a usable key, counted by address and minute: one line a minute an address, not one each.

Anybody can send such requests without end; a line for each would fill the disk and hide the others. Behind a proxy the address is
the proxy's. Belongs here: the counts and their line. Does not belong here: which requests count (``http.middleware``,
``http.protocol``).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from churn_api.telemetry.line_writer import LineWriter

EVERY_S: Final = 60.0

MOST_ADDRESSES: Final = 1_000
"""Most addresses that are told apart within a minute."""

OTHERS: Final = "others"


class RefusalLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one address was refused: the number of requests by status, since ``since``."""

    ts: datetime
    event: str = "refused"
    address: str
    since: datetime
    requests: int
    statuses: dict[int, int]


class Refusals:
    """Counts refusals, and hands on one line for each address once a minute.

    Args:
        writer: writer of the lines.
        note: function called with each address, the beginning of its minute and its counts by status, as they are handed on.
    """

    def __init__(self, writer: LineWriter, note: Callable[[str, datetime, Counter[int]], None] = lambda *_: None) -> None:
        self._writer = writer
        self._note = note
        self._counts: dict[str, Counter[int]] = {}
        self._known: dict[str, Counter[int]] = {}
        self._since = datetime.now(UTC)
        self._encode = msgspec.json.Encoder().encode_lines

    def count(self, address: str, status: int, *, is_known: bool = False) -> None:
        """Count one request; called in the event loop.

        Args:
            address: address that it came from.
            status: status of its answer.
            is_known: whether its key is known, such as an expired one; then it is in the line, but not handed to ``note``.
        """
        counts = self._counts.get(address)
        if counts is None:
            if not self._counts:
                self._since = datetime.now(UTC)
                asyncio.get_running_loop().call_later(EVERY_S, self.flush)
            name = address if len(self._counts) < MOST_ADDRESSES else OTHERS
            counts = self._counts.setdefault(name, Counter())
        counts[status] += 1
        if is_known:
            name = address if address in self._counts else OTHERS
            self._known.setdefault(name, Counter())[status] += 1

    def flush(self) -> None:
        """Hand on the lines of this minute."""
        counted, self._counts = self._counts, {}
        known, self._known = self._known, {}
        for address, counts in counted.items():
            if strangers := counts - known.get(address, Counter()):
                self._note(address, self._since, strangers)
        now = datetime.now(UTC)
        lines = [
            RefusalLine(ts=now, address=address, since=self._since, requests=counts.total(), statuses=dict(counts))
            for address, counts in counted.items()
        ]
        if lines:
            self._writer.put(self._encode(lines))
