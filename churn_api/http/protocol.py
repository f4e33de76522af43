"""Closes connections that do nothing, so that they can't crowd out the others.

uvicorn closes a connection that is idle after an answer. It closes neither one that never sends a request, nor one whose request
never ends. Belongs here: closing those. Does not belong here: anything about a complete request.
"""

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Largest head of a request (address and headers), in bytes."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 by uvicorn and httptools, with a time limit for incomplete requests.

    Each connection has one timer that checks it from time to time; a request costs no timer of its own.
    """

    request_s: float = 10.0
    """Seconds from the first byte of a request to its end, at most; for the first request, from the start of the connection."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._head = 0
        self._watch = self.loop.call_later(self.request_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer: the peer is gone."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on; refuse a head that never ends."""
        self._head += len(data)
        super().data_received(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Start the time limit at the first byte of a request."""
        self._waiting_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting the head's bytes: from here on the body's own limit holds."""
        self._head = -(1 << 62)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Count again: bytes after a complete request belong to the next head."""
        self._head = 0
        super().on_message_complete()

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        is_answering = cycle is not None and not cycle.more_body and not cycle.response_complete
        is_idle_after_an_answer = self.timeout_keep_alive_task is not None
        waited_s = self.loop.time() - self._waiting_since
        if waited_s >= self.request_s and not is_answering and not is_idle_after_an_answer:
            self.transport.close()
            return
        pause_s = self.request_s if is_answering or is_idle_after_an_answer else self.request_s - waited_s
        self._watch = self.loop.call_later(max(pause_s, 0.01), self._look)
