"""Attacks that need no key, and what is measured meanwhile: the server's memory, and whether its health answers.

Belongs here: the attacks, each bounded in connections, bytes and time, and the measuring. Does not belong here: what a server must
withstand (``test_attacks``, ``benchmarks/attacks.py``).
"""

import contextlib
import http.client
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from tests.api.wire import connect, request

MEGABYTE = 1e6
SAMPLE_S = 0.25
HEALTH_WITHIN_S = 3.0


@dataclass
class Watched:
    """What was seen of a server during an attack.

    Attributes:
        before_mb: resident memory before it, in megabytes of 10^6 bytes.
        memory_mb: the same, every ``SAMPLE_S``.
        health_s: seconds to each answer of its health, one after the other; infinite if it did not come in time.
        stopped: whether the attack was cut short because of the memory.
    """

    before_mb: float
    memory_mb: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def grown_mb(self) -> float:
        """The most that it grew."""
        return max(self.memory_mb, default=self.before_mb) - self.before_mb


def resident_mb(pid: int) -> float:
    """Resident memory of a process; 0 if it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    return 0.0


@contextlib.contextmanager
def watching(pid: int, port: int, health: str, *, stop_at_mb: float = float("inf")) -> Iterator[Watched]:
    """Measure a server while the block attacks it; ``stopped`` is set above ``stop_at_mb``."""
    seen = Watched(resident_mb(pid))
    over = threading.Event()

    def measure() -> None:
        while not over.wait(SAMPLE_S):
            seen.memory_mb.append(resident_mb(pid))
            seen.stopped |= seen.memory_mb[-1] > stop_at_mb

    def ask() -> None:
        while not over.wait(SAMPLE_S):
            seen.health_s.append(seconds_to_answer(port, health))

    threads = [threading.Thread(target=work, daemon=True) for work in (measure, ask)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def seconds_to_answer(port: int, path: str) -> float:
    """Seconds to a good answer on a connection of its own; infinite if there is none in time."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_WITHIN_S)
    try:
        connection.request("GET", path)
        good = connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        good = False
    finally:
        connection.close()
    return time.monotonic() - begun if good else float("inf")


def read_nothing(
    port: int, seen: Watched, *, path: str, connections: int = 100, requests: int = 12_000, for_s: float = 8.0
) -> None:
    """Send pipelined requests on many connections and read no answer."""
    sent = request(path) * requests
    _push(port, seen, [sent] * connections, for_s)


def send_trailers(
    port: int, seen: Watched, *, path: str, connections: int = 4, megabytes: int = 60, for_s: float = 8.0
) -> None:
    """Send a chunked body whose trailers never end."""
    head = request(path, "Transfer-Encoding: chunked", method="POST") + b"1\r\n{\r\n0\r\n"
    trailers = b"".join(b"X-%07d: y\r\n" % i for i in range(megabytes * 70_000))
    _push(port, seen, [head + trailers] * connections, for_s)


def open_connections(port: int, first: bytes, *, connections: int) -> list[socket.socket]:
    """Connections that each have sent the same first bytes; the server may have closed some."""
    opened = []
    for _ in range(connections):
        with contextlib.suppress(OSError):
            wire = connect(port)
            opened.append(wire)
            wire.sendall(first)
    return opened


def _push(port: int, seen: Watched, streams: list[bytes], for_s: float) -> None:
    """Send each stream on a connection of its own as fast as it is taken, without reading, then wait for the rest of the time."""
    until = time.monotonic() + for_s
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as ready:
        left: dict[socket.socket, memoryview] = {}
        for stream in streams:
            wire = stack.enter_context(connect(port, receive_buffer=4_096))
            wire.setblocking(False)
            ready.register(wire, selectors.EVENT_WRITE)
            left[wire] = memoryview(stream)
        while time.monotonic() < until and not seen.stopped:
            for key, _ in ready.select(timeout=0.1):
                wire = cast("socket.socket", key.fileobj)
                try:
                    left[wire] = left[wire][wire.send(left[wire][:65_536]) :]
                except BlockingIOError:
                    continue
                except OSError:  # the server has ended it
                    left[wire] = memoryview(b"")
                if not left[wire]:
                    ready.unregister(wire)
            if not ready.get_map():
                time.sleep(0.1)


def flood_unread(port: int, seen: Watched, *, path: str, for_s: float = 8.0) -> None:
    """Ask again and again, so that each request writes a line of the log that nobody reads; end where an answer does not come."""
    until = time.monotonic() + for_s
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_WITHIN_S)
    try:
        while time.monotonic() < until and not seen.stopped:
            connection.request("GET", path)
            connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        connection.close()
