"""The spool: predictions on local disk, from before they are answered until the database has them.

Every worker appends to a segment of its own and holds a lock (flock) on it. The kernel drops the lock when the worker dies,
however it dies. So an unlocked segment is complete and belongs to whoever locks it next. A line that ``append`` accepted survives
the death of the process, but not of the machine: nothing is synced.

Belongs here: files, locks and the limit. Does not belong here: what a line says (``prediction_log``) and the database
(``shipper``).
"""

import errno
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Drop = Literal["full", "disk"]
"""Reason why lines were not taken: the spool is full, or the disk can't be written."""


@dataclass(frozen=True, slots=True)
class SpoolSegment:
    """A complete segment, locked by this process.

    Attributes:
        file: file of the segment.
        lines: its complete lines.
        torn: whether its last line was incomplete: a write that was cut short, so never acknowledged.
    """

    file: Path
    lines: list[bytes]
    torn: bool


class Spool:
    """A folder of segments, shared by all workers of this machine.

    Args:
        folder: folder of the segments.
        limit_bytes: size of all segments together above which no line is taken.
    """

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self.folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._written = 0
        self._others = 0
        self.drop: Drop | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.measure()

    @property
    def waiting_bytes(self) -> int:
        """Bytes in all segments, as far as this worker knows."""
        return self._others + self._written

    def append(self, lines: bytes) -> bool:
        """Write whole lines with one system call.

        Returns:
            Whether the lines were taken; if not, ``drop`` says why.
        """
        with self._lock:
            if self._others + self._written + len(lines) > self._limit:
                self.drop = "full"
                return False
            try:
                if self._fd is None:
                    self._fd = self._new_segment()
                written = os.write(self._fd, lines)
                if written != len(lines):
                    raise OSError(errno.ENOSPC, "the disk became full in the middle of a line")
            except OSError:
                self.drop = "disk"
                self._abandon()
                return False
            self._written += written
            self.drop = None
            return True

    def complete(self) -> None:
        """Release the current segment, so that it can be shipped; the next line opens a new one."""
        with self._lock:
            self._let_go()

    def measure(self) -> None:
        """Measure the size of the segments of all workers."""
        with self._lock:
            total = 0
            for file in self.folder.glob("*.jsonl"):
                with suppress(FileNotFoundError):
                    total += file.stat().st_size
            self._others = max(total - self._written, 0)
            if self.drop == "full" and total < self._limit:
                self.drop = None

    def segments(self) -> Iterator[Path]:
        """The existing segments of all workers, oldest first."""
        yield from sorted(self.folder.glob("*.jsonl"))

    @contextmanager
    def adopt(self, file: Path) -> Iterator[SpoolSegment | None]:
        """Lock a segment for shipping; ``None`` if a living worker writes or ships it, or it is gone."""
        try:
            fd = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            if os.fstat(fd).st_nlink == 0:  # shipped by another worker between open and lock
                yield None
                return
            with open(fd, "rb", closefd=False) as opened:
                content = opened.read()
            *lines, rest = content.split(b"\n")
            yield SpoolSegment(file=file, lines=lines, torn=bool(rest))
        finally:
            os.close(fd)

    def _let_go(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._others += self._written
            self._written = 0

    def _abandon(self) -> None:
        """Cut off the half line of a failed write, which no later line may follow, and release the segment."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, self._written)
            self._let_go()

    def _new_segment(self) -> int:
        """Create a segment under a name that nobody ships, lock it, then rename it to its final name."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        beside = self.folder / f"{name}.new"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            beside.rename(self.folder / f"{name}.jsonl")
        except OSError:
            os.close(fd)
            raise
        return fd
