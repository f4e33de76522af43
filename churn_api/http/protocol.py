"""Connections that do nothing are closed, so that they can't crowd out the others.

uvicorn closes a connection that is idle after an answer, but not one that never sends a request, nor one whose request never
ends. Belongs here: closing those. Does not belong here: anything about a whole request.
"""

from asyncio import Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head (address and headers), at most."""


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 by uvicorn and httptools, with an end to patience.

    One timer a connection looks from time to time; a request costs no timer of its own.
    """

    request_s: float = 10.0
    """A request must be complete so many seconds after its first byte, the first one after the connection was made."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._head = 0
        self._watch = self.loop.call_later(self.request_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; a head that never ends is not collected."""
        self._head += len(data)
        super().data_received(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._waiting_since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete; from here on the body's own limit holds."""
        self._head = -(1 << 62)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete; bytes from now on belong to the next head."""
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
