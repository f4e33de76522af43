"""Which heads of requests are served: version, Host, framing, size.

Belongs here: rules about a head that hold for every address. Does not belong here: when a head is complete (``http.protocol``).
"""

from typing import Any, Final

import httptools

from churn_api.http.problems import Problem

LARGEST_HEAD: Final = 64 * 1024
"""Largest head of a request (target and fields), and most that a chunked body may hold between two pieces of content, in bytes."""

MOST_FIELDS: Final = 128
"""Most fields of a head: a field of four bytes takes a hundred in memory."""

LONGEST_TARGET: Final = 8 * 1024
"""Longest target in bytes; an id of 256 characters has at most 3,072 in an address."""

_SERVED: Final = frozenset({"1.0", "1.1"})
_BESIDE_VALUES: Final = 4  # colon, space and the end of the line


class HeadRules:
    """What is noted of one head while it arrives.

    Attributes:
        fields: number of fields so far.
        content_length: announced length of the body; 0 without one.
        is_head: whether the request is a HEAD, whose answer has no body.
        refusal: reason why the head was refused, once ``checked`` has raised.
    """

    __slots__ = ("_bytes", "_coding", "_hosts", "content_length", "fields", "is_head", "refusal")

    def __init__(self) -> None:
        self.fields = self.content_length = self._bytes = self._hosts = 0
        self._coding: bytes | None = None
        self.is_head = False
        self.refusal: Problem | None = None

    def note(self, name: bytes, value: bytes) -> None:
        """Take a field, its name in lower case."""
        self.fields += 1
        self._bytes += len(name) + len(value) + _BESIDE_VALUES
        if name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            self.content_length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            # Two lines are one list (RFC 9110, section 5.3): whoever stands before us may frame the body by either.
            self._coding = value.lower() if self._coding is None else self._coding + b"," + value.lower()

    def checked(self, parser: Any, target: bytes) -> bytes:
        """The path and query of a complete head's target.

        Raises:
            Problem: if the head is not served here; the connection can't go on after it.
        """
        self.is_head = parser.get_method() == b"HEAD"
        try:
            self._check(parser.get_http_version(), parser.get_method(), target)
        except Problem as problem:
            self.refusal = problem
            raise
        if target.startswith(b"/"):
            return target
        url = httptools.parse_url(target)  # the absolute form of a proxy's request
        path = url.path or b"/"
        return path if url.query is None else path + b"?" + url.query

    def too_large(self) -> Problem:
        """The problem of a head beyond its bounds."""
        return Problem(
            431,
            "head-too-large",
            f"The head of the request is too large; expected at most {LARGEST_HEAD:,} bytes and {MOST_FIELDS} fields.",
        )

    def framing(self) -> bytes:
        """A head that says of the body what this one says, and nothing else."""
        if self._coding is not None:
            return b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
        return b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % self.content_length

    def _check(self, version: str, method: bytes, target: bytes) -> None:
        if version not in _SERVED:
            raise Problem(505, "http-version", f"HTTP/{version} is not served here; expected HTTP/1.1.")
        if len(target) + self._bytes > LARGEST_HEAD or self.fields > MOST_FIELDS:
            raise self.too_large()
        if self._hosts != 1 and (version == "1.1" or self._hosts):
            raise Problem(400, "host", f"The request has {self._hosts or 'no'} fields Host; expected one.")
        if method == b"CONNECT":
            raise Problem(405, "method", "This service is no proxy; expected another method than CONNECT.")
        if len(target) > LONGEST_TARGET:
            raise Problem(414, "target-too-long", f"The address is too long; expected at most {LONGEST_TARGET:,} bytes.")
        if self._coding is not None and version == "1.0":
            raise Problem(
                400, "framing", "A request in HTTP/1.0 has no Transfer-Encoding; send Content-Length, or HTTP/1.1."
            )
        if self._coding is not None and self._coding.strip() != b"chunked":
            raise Problem(501, "transfer-coding", "This transfer coding is not read here; expected chunked alone.")
