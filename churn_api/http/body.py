"""Raw request and response bodies, without a framework's layers in between.

Belongs here: reading a body within a limit, and answers that are bytes already. Does not belong here: what the bytes mean.
"""

from typing import Any, Final

from litestar.types import Receive, Scope, Send

from churn_api.http.problems import Problem

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
