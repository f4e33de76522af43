"""Writes log lines in a thread of its own, so that nobody waits for whoever reads them.

A pipe whose reader has stopped takes 64 KB and then blocks its writer for ever. Belongs here: the queue, its bound, and the count of
what did not fit. Does not belong here: what a line says (``json_log``, ``access_log``, ``refusals``).
"""

import os
import select
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

STDOUT: Final = 1

LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Most bytes that wait to be written; about 15,000 lines."""

FLUSH_S: Final = 2.0
"""Time for the last lines at the end of the process."""

_WAIT_S: Final = 1.0


class LineWriter:
    """Writes lines to a file descriptor, in order, without ever keeping a caller waiting.

    Args:
        descriptor: where to write.
        limit_bytes: with more than this waiting, lines are dropped and counted.
        is_shared: whether other processes write to it too; then no more is written at once than the kernel keeps together.
    """

    def __init__(self, descriptor: int = STDOUT, *, limit_bytes: int = LIMIT_BYTES, is_shared: bool = False) -> None:
        self._descriptor = descriptor
        self._together_bytes = select.PIPE_BUF if is_shared else limit_bytes
        self._limit_bytes = limit_bytes
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._untold = 0
        self.waiting_bytes = 0
        self.dropped = 0
        self.is_dropping = False

    def put(self, lines: bytes) -> None:
        """Take whole lines, each with its end. Called from any thread; never blocks on the reader."""
        with self._changed:
            if self._is_closed or self.waiting_bytes + len(lines) > self._limit_bytes:
                self._drop(lines)
                return
            self.is_dropping = False
            self._waiting.append(lines)
            self.waiting_bytes += len(lines)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log lines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, within_s: float = FLUSH_S) -> None:
        """Write what waits, for a limited time, and take nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(within_s)

    def _drop(self, lines: bytes) -> None:
        number = lines.count(b"\n")
        self.dropped += number
        self._untold += number
        self.is_dropping = True

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._is_closed:
                        return
                    self._changed.wait()
                lines = self._waiting.popleft()
                told, self._untold = self._untold, 0
            was_told = not told or not self._write(_dropped_line(told))
            left = self._write(lines)
            with self._changed:
                self.waiting_bytes -= len(lines)
                self._untold += 0 if was_told else told
                if left:
                    self._drop(left)

    def _write(self, lines: bytes) -> bytes:
        """Write as far as possible; what could not be written."""
        at = 0
        while at < len(lines):
            end = at + self._together_bytes
            if end < len(lines):
                end = lines.rfind(b"\n", at, end) + 1 or end  # a line that is longer is written in parts
            try:
                at += os.write(self._descriptor, lines[at:end])
            except BlockingIOError:  # somebody made it non-blocking
                select.select([], [self._descriptor], [], _WAIT_S)
            except OSError:  # closed, or its disk is full
                return lines[at:]
        return b""


class PromptWriter:
    """Writes the few lines of a process that may have no thread; what the descriptor does not take at once is dropped."""

    def put(self, lines: bytes) -> None:
        """Take whole lines, each with its end."""
        with suppress(OSError):
            if select.select([], [STDOUT], [], 0)[1]:
                os.write(STDOUT, lines)


def _dropped_line(number: int) -> bytes:
    line = {"ts": datetime.now(UTC), "level": "warning", "event": "log_lines_dropped", "lines": number}
    return msgspec.json.encode(line) + b"\n"
