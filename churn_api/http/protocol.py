"""The service's HTTP/1.1 connection: uvicorn and httptools, with a bound on everything that a caller can make it hold.

uvicorn alone parses every request that has arrived before it has answered the first, keeps the trailers of a body without end,
waits for ever for a caller that does not read, and takes the body of a request that asks for an upgrade as the next request.
Belongs here: bounds and refusals of one connection. Does not belong here: what all connections may hold together
(``http.crowd``), and anything about a complete request.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from churn_api.http.crowd import Crowd
from churn_api.http.edge import ON_EVERY_ANSWER
from churn_api.http.head import LARGEST_HEAD, MOST_FIELDS, HeadRules
from churn_api.http.problems import MEDIA_TYPE, Problem
from churn_api.telemetry.prediction_log import new_prediction_id

PIECE: Final = 1024
"""Bytes that the parser gets at once; the requests that fit into it are all that is ever parsed ahead of their turn."""

LARGE_PIECE: Final = 64 * 1024
"""The same inside a body of announced length, where no other request can begin."""

HEAD: Final = b"HTTP/1.1 "
"""The beginning of an answer's head."""

LINGER_S: Final = 2.0
"""Time for which the rest of a refused request is read and dropped, so that its sender sees the refusal and not a reset."""

_BROKEN: Final = (
    400,
    "malformed-http",
    "This is not a request in HTTP/1.1 as RFC 9112 defines it; the connection is closed.",
)


class PatientProtocol(HttpToolsProtocol):
    """One connection: requests in turn, each within its time and size.

    Bytes are given to the parser in pieces, and only while the caller's former request is answered; what arrives meanwhile is held
    unread. Each connection has one timer that checks it from time to time; a request costs no timer of its own.
    """

    request_s: ClassVar[float] = 10.0
    """Seconds from the first byte of a request to its end, at most; for the first request, from the start of the connection."""

    write_s: ClassVar[float] = 30.0
    """Seconds within which a caller must take what is written for it."""

    crowd: ClassVar[Crowd] = Crowd()
    """Bounds for all connections of the server together."""

    # Notes

    def note_refusal(self, address: str, status: int) -> None:
        """Called with the caller's address and the status of a request that never reached the application."""

    def note_cut(self, reason: str) -> None:
        """Called with the reason why a connection was ended from here."""

    # The connection

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the timer; make room if there are too many connections."""
        super().connection_made(transport)
        self.transport = _WritableTransport(transport, self.loop)  # type: ignore[assignment]
        self.flow = _HeldFlow(transport, self)
        self.waiting_since = self.loop.time()
        self._held, self._at = b"", 0
        self._unsettled = 0
        self._in_head = True
        self._head = HeadRules()
        self._content_left = 0
        self._is_upgrade = self._is_replayed = False
        self._owed = 0
        self._refusal: Problem | None = None
        self._is_lingering = False
        self.stalled: TimerHandle | None = None
        self._watch = self.loop.call_later(self.request_s, self._look)
        for other in self.crowd.too_many(self.connections, self):
            other.cut("crowded")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers and drop what is held: the peer is gone."""
        self._watch.cancel()
        self._let_go()
        self._held, self._at = b"", 0
        self.pipeline.clear()
        super().connection_lost(exc)

    def cut(self, reason: str) -> None:
        """End the connection at once, with what waits to be written."""
        if self.parser is not None:  # not yet lost
            self.note_cut(reason)
            self.transport.abort()

    @property
    def address(self) -> str:
        """The caller's address; behind a proxy the proxy's."""
        return self.client[0] if self.client else ""

    @property
    def is_answering(self) -> bool:
        """Whether a complete request waits for its answer."""
        cycle: Any = self.cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.more_body and not cycle.response_complete)

    @property
    def holds(self) -> int:
        """Bytes in memory for this connection: unread, of a body, and not yet taken by the caller."""
        body = 0 if self.cycle is None else len(self.cycle.body)
        return len(self._held) - self._at + body + self.transport.get_write_buffer_size()

    def _look(self) -> None:
        if self.transport.is_closing():  # answered, but the caller does not take the answer
            self._watch = self.loop.call_later(self.write_s, self.cut, "slow reader")
            return
        is_idle_after_an_answer = self.timeout_keep_alive_task is not None
        waited_s = self.loop.time() - self.waiting_since
        if waited_s >= self.request_s and not self.is_answering and not is_idle_after_an_answer:
            self.note_cut("slow request")
            self.transport.close()
            waited_s = 0.0
        pause_s = self.request_s if self.is_answering or is_idle_after_an_answer else self.request_s - waited_s
        self._watch = self.loop.call_later(max(pause_s, 0.01), self._look)

    # What is written

    def pause_writing(self) -> None:
        """The caller does not read: give it some time, and bound what all slow callers hold together."""
        super().pause_writing()
        if self.stalled is None:
            self.stalled = self.loop.call_later(self.write_s, self.cut, "slow reader")
        self._bound()

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._let_go()
        super().resume_writing()

    def _let_go(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _bound(self) -> None:
        for other in self.crowd.over_budget(self.connections):
            other.cut("over budget")

    # What is read

    def data_received(self, data: bytes) -> None:
        """Parse what may be parsed now, hold the rest."""
        self._unset_keepalive_if_required()
        if self._is_lingering or self._refusal is not None:
            return
        self._held, self._at = (self._held[self._at :] + data if self._held else data), 0
        self.feed()
        if self._held:
            self._bound()

    def feed(self) -> None:
        """Give the parser what is held, until a request is complete that has to be answered first."""
        if self.transport.is_closing():
            self._held, self._at = b"", 0
        while self._at < len(self._held):
            if not self._may_feed():
                self.flow.pause_reading()
                return
            size = min(self._content_left, LARGE_PIECE) if self._content_left > PIECE else PIECE
            piece = self._held[self._at : self._at + size]
            self._at += len(piece)
            self._parse(piece)
        if self._held:
            self._held, self._at = b"", 0
            if self._may_feed():
                self.flow.resume_reading()

    @property
    def is_holding(self) -> bool:
        """Whether bytes have arrived that the parser has not got yet."""
        return self._at < len(self._held)

    def _may_feed(self) -> bool:
        if self.parser is None or self._refusal is not None or self.transport.is_closing():
            return False
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        return cycle.more_body and len(cycle.body) <= HIGH_WATER_LIMIT

    def _parse(self, piece: bytes) -> None:
        self._unsettled += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(piece[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(self._head.refusal or Problem(*_BROKEN))
            return
        if self._unsettled > LARGEST_HEAD or (self._in_head and self._head.fields > MOST_FIELDS):
            self._refuse(self._head.too_large())

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as if no upgrade had been asked for (RFC 9110, section 7.8).

        The parser takes such a request as ended with its head. A new one is told only how the body is framed, and reads it.
        """
        self._is_upgrade = False
        self._is_replayed = True
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(self._head.framing())
        self._is_replayed = False
        if rest:
            self._parse(rest)

    # What the parser found

    def on_message_begin(self) -> None:
        """Start the time limit at the first byte of a request."""
        if self._is_replayed:
            return
        self.waiting_since = self.loop.time()
        self._in_head = True
        self._head = HeadRules()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        if not self._is_replayed:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; drop one of the trailer, which nobody here reads."""
        if self._in_head and not self._is_replayed:
            name = name.lower()
            self._head.note(name, value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse a head that is not served here; from here on the body's own limit holds."""
        if not self._is_replayed:
            self.url = self._head.checked(self.parser, self.url)
            self._is_upgrade = self.parser.should_upgrade()
            super().on_headers_complete()
            self._owed += 1
        self._unsettled = 0
        self._in_head = False
        self._content_left = self._head.content_length

    def on_body(self, body: bytes) -> None:
        """Take content. What a body holds beside it (sizes and extensions of chunks, trailers) counts as head."""
        self._unsettled = 0
        self._content_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count again: bytes after a complete request belong to the next head."""
        if self._is_upgrade:
            return
        self._unsettled = 0
        self._content_left = 0
        self._in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The next request may be parsed."""
        self.waiting_since = self.loop.time()
        self._owed -= 1
        super().on_response_complete()
        if self._refusal is not None and not self._owed:
            self._send_refusal(self._refusal)

    # Refusals

    def _refuse(self, problem: Problem) -> None:
        """Answer what can't be parsed, after the answers that are owed before it, and end the connection."""
        self._refusal = problem
        self._held, self._at = b"", 0
        cycle = self.cycle
        if not self._in_head and cycle is not None:  # in the body of the newest request
            if cycle.response_complete:  # it has its one answer already
                self.transport.close()
                return
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            cycle.disconnected = True
            cycle.more_body = False
            cycle.message_event.set()
            if cycle.response_started:
                self.cut("malformed body")
                return
            cycle.response_complete = True
            self._owed -= 1
        if not self._owed:
            self._send_refusal(problem)

    def _send_refusal(self, problem: Problem) -> None:
        if self.transport.is_closing() or self._is_lingering:
            return
        self._is_lingering = True
        self.note_refusal(self.address, problem.status)
        self._unset_keepalive_if_required()
        body = problem.body(new_prediction_id())
        length = len(body)
        if self._head.is_head:
            body = b""
        fields = [
            *ON_EVERY_ANSWER,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % length),
            (b"connection", b"close"),
        ]
        head = f"HTTP/1.1 {problem.status} {problem.details.title}\r\n".encode()
        self.transport.write(head + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" + body)
        self.transport.write_eof()
        FlowControl.resume_reading(self.flow)
        self.loop.call_later(LINGER_S, self.transport.abort)


class _WritableTransport:
    """A transport that sends the head of an answer together with what follows it, and drops what is written after the peer is gone.

    uvicorn writes a head and a body apart, and uvloop makes a system call of each. A head waits for the next write, or for the end of the
    event loop's turn. A closing transport of uvloop raises where it is written to, until it has told the protocol.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write, unless the connection is closing; a head a little later."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        if not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> None:
        """Write nothing more."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close after what is written."""
        self._flush()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait to be written."""
        return self._transport.get_write_buffer_size() + len(self._head)

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _HeldFlow(FlowControl):
    """uvicorn's control of the flow, which reads what is held before it reads from the network again."""

    def __init__(self, transport: Transport, protocol: PatientProtocol) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        """Go on with what is held, else with the network."""
        if self._protocol.is_holding:
            self._protocol.loop.call_soon(self._protocol.feed)
        else:
            super().resume_reading()
