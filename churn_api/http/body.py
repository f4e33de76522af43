"""Raw request and response bodies, without a framework's layers in between.

Belongs here: reading a body within a limit, and answers that are bytes already. Does not belong here: what the bytes mean.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar.types import Receive, Scope, Send

from churn_api.http.problems import Problem
from churn_api.telemetry.json_log import say, where_raised

JSON: Final = (b"content-type", b"application/json")
OK: Final = 200


class RawResponse:
    """An encoded answer.

    Args:
        body: the whole body.
        headers: headers other than the length, which is added.
        status: HTTP status.
    """

    __slots__ = ("_body", "_headers", "status")

    def __init__(self, body: bytes, *headers: tuple[bytes, bytes], status: int = OK) -> None:
        self._body = body
        self._headers = headers
        self.status = status

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Send the answer, with additional headers."""
        length = (b"content-length", b"%d" % len(self._body))
        await send({"type": "http.response.start", "status": self.status, "headers": [*self._headers, *more, length]})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class StreamedResponse:
    """An answer that is made while it is sent, piece by piece.

    A caller that does not read stops the making; one that is gone ends it.

    Args:
        pieces: the pieces of the body.
        receive: ASGI channel, on which a caller that is gone is announced.
        headers: headers of the answer.
    """

    __slots__ = ("_headers", "_pieces", "_receive", "status")

    def __init__(self, pieces: AsyncIterator[bytes], receive: Receive, *headers: tuple[bytes, bytes]) -> None:
        self._pieces = pieces
        self._receive = receive
        self._headers = headers
        self.status = OK

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Send the answer, with additional headers. One that fails on the way ends without its last piece, which a caller sees."""
        await send({"type": "http.response.start", "status": self.status, "headers": [*self._headers, *more]})
        gone = asyncio.ensure_future(self._is_gone())
        try:
            async for piece in self._pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Exception as error:
            say("answer_broken_off", logging.ERROR, error=where_raised(error))
            return
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _is_gone(self) -> None:
        message: Any = None
        while message is None or message["type"] != "http.disconnect":
            message = await self._receive()


Sendable = RawResponse | StreamedResponse
"""What a route of the fast lane may answer."""


async def read_body(scope: Scope, receive: Receive, *, at_most: int) -> bytes:
    """The whole request body.

    Raises:
        Problem: if the body is larger than ``at_most`` bytes (413; an announced length above it is refused before reading), or
            the connection ended before the body was complete (400).
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > at_most:
            raise _too_large(at_most)
    message: Any = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        parts, size = [body], len(body)
        while message.get("more_body", False) and size <= at_most:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise Problem(400, "incomplete-request", "The request ended before its body was complete.")
    if len(body) > at_most:
        raise _too_large(at_most)
    return body


def _too_large(at_most: int) -> Problem:
    return Problem(
        413, "too-large", f"The body is larger than the {at_most:,} bytes allowed here; ask for fewer predictions at once."
    )
