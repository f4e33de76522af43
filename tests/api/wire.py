"""Bytes to the service and back, without a client's good manners.

Belongs here: sending anything at all over a socket, and taking the answers apart. Does not belong here: what is right.
"""

import contextlib
import socket
import time
from dataclasses import dataclass

HOST = b"Host: x\r\n"


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(target: str = "/health/live", *fields: str, method: str = "GET", body: bytes = b"", host: str = "x") -> bytes:
    """A request in HTTP/1.1."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def connect(port: int, *, within_s: float = 10.0, receive_buffer: int | None = None) -> socket.socket:
    """A connection; with a small receive buffer, the kernel takes little of what nobody reads."""
    made = socket.socket()
    if receive_buffer is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(within_s)
    made.connect(("127.0.0.1", port))
    return made


def exchange(port: int, *parts: bytes, pause_s: float = 0.0, quiet_s: float = 0.5) -> tuple[list[Answer], bool]:
    """Send the parts, then read until the service closes the connection or is quiet.

    Returns:
        The answers, and whether the service closed the connection.
    """
    with connect(port, within_s=quiet_s) as wire:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before the end
            for part in parts:
                wire.sendall(part)
                time.sleep(pause_s)
        received, is_closed = b"", False
        try:
            while part := wire.recv(65_536):
                received += part
            is_closed = True
        except TimeoutError:
            pass
    return list(answers_in(received)), is_closed


def answers_in(received: bytes, *, to_head: bool = False) -> list[Answer]:
    """Take complete responses with a Content-Length apart; anything else that was received is a test's failure.

    Args:
        received: bytes of one connection.
        to_head: whether they answer HEAD, so that none has a body.
    """
    found = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, received
        first, *fields = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        assert len(headers) == len(fields), fields  # no header twice
        length = 0 if to_head else int(headers["content-length"])
        assert len(rest) >= length, received
        found.append(Answer(int(status), headers, rest[:length]))
        received = rest[length:]
    return found
