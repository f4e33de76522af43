"""The spool: predictions on local disk, from before they are answered until the database has them.

Every worker appends to a segment of its own and holds a lock (flock) on it. The kernel drops the lock when the worker dies,
however it dies. So an unlocked segment is complete and belongs to whoever locks it next. A line that ``append`` accepted survives
the death of the process, but not of the machine: nothing is synced.

While the disk takes nothing, predictions are answered and counted as not logged. The disk is tried again after a pause, which grows.

Belongs here: files, locks and the limit. Does not belong here: what a line says (``prediction_log``) and the database
(``shipper``).
"""

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from churn_store.clock import wall_s
from churn_store.errors import UnsafeFileError
from churn_store.safe_read import open_regular

Drop = Literal["full", "disk"]
"""Reason why lines were not taken: the spool is full, or the disk can't be written."""

SEGMENT_BYTES: Final = 16 * 1024 * 1024
"""Size above which a segment is complete, so that shipping one takes little memory also after a day without the database."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Pause after a write that failed, and after many in a row."""

REFUSED: Final = ".refused"
"""End of the name of a file with lines that no database takes."""

BEGUN, BEGUN_FOR_S = ".new", 60.0
"""End of the name of a segment that is being created, and the age after which its worker has died over it."""


@dataclass(frozen=True, slots=True)
class SpoolSegment:
    """A complete segment, locked by this process.

    Attributes:
        file: file of the segment.
        lines: its complete lines.
        torn: its last line if that is incomplete: a write that was cut short, so never acknowledged. Else empty.
    """

    file: Path
    lines: list[bytes]
    torn: bytes


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
        self._failures = 0
        self._not_before = 0.0
        self._no_room_for = 0
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
                self._no_room_for = len(lines)
                return False
            if self._failures and time.monotonic() < self._not_before:
                return False
            try:
                self._write(lines)
            except OSError:
                self.drop = "disk"
                self._abandon()
                self._failures += 1
                pause_s = min(SHORTEST_PAUSE_S * 2.0 ** min(self._failures - 1, 16), LONGEST_PAUSE_S)
                self._not_before = time.monotonic() + pause_s
                return False
            self.drop = None
            self._failures = 0
            if self._written > SEGMENT_BYTES:
                self._let_go()
            return True

    def complete(self) -> None:
        """Release the current segment, so that it can be shipped; the next line opens a new one. An empty one is kept."""
        with self._lock:
            if self._written:
                self._let_go()

    def measure(self) -> None:
        """Measure the size of the segments of all workers."""
        with self._lock:
            total = 0
            for file in self.segments():
                with suppress(OSError):
                    found = file.lstat()
                    total += found.st_size if stat.S_ISREG(found.st_mode) else 0
            self._others = max(total - self._written, 0)
            if self.drop == "full" and total + self._no_room_for <= self._limit:
                self.drop = None

    def segments(self) -> Iterator[Path]:
        """The existing segments of all workers, oldest first."""
        yield from sorted(self.folder.glob("*.jsonl"))

    def put_aside(self) -> list[Path]:
        """The files with lines that no database takes, which somebody has to look at."""
        return sorted(self.folder.glob(f"*{REFUSED}"))

    def sweep(self) -> None:
        """Remove segments without a line, and what was left by workers that died while they created one."""
        for file in self.segments():
            with suppress(OSError):
                if file.lstat().st_size == 0:
                    with self.adopt(file) as segment:
                        if segment is not None and not segment.lines and not segment.torn:
                            file.unlink()
        for file in self.folder.glob(f"*{BEGUN}"):
            with suppress(OSError):
                if wall_s() - file.lstat().st_mtime > BEGUN_FOR_S:
                    file.unlink()

    @contextmanager
    def adopt(self, file: Path) -> Iterator[SpoolSegment | None]:
        """Lock a segment for shipping; ``None`` if a living worker writes or ships it, or it is gone.

        Raises:
            OSError: if it can't be read, or is no ordinary file.
        """
        try:
            fd = open_regular(file, follow_link=False)
        except FileNotFoundError:
            yield None
            return
        except UnsafeFileError as error:
            raise OSError(errno.EINVAL, "not an ordinary file") from error
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
            yield SpoolSegment(file=file, lines=lines, torn=rest)
        finally:
            os.close(fd)

    def _write(self, lines: bytes) -> None:
        """Append to the segment; one that somebody removed under this worker is given up for a new one.

        Raises:
            OSError: if the disk takes nothing, or only a part.
        """
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            self._let_go()
        if self._fd is None:
            self._fd = self._new_segment()
        written = os.write(self._fd, lines)
        if written != len(lines):
            raise OSError(errno.ENOSPC, "the disk became full in the middle of a line")
        self._written += written

    def _let_go(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._others += self._written
            self._written = 0

    def _abandon(self) -> None:
        """Cut off the half line of a failed write, which no later line may follow. If that fails too, release the segment."""
        if self._fd is None:
            return
        try:
            os.ftruncate(self._fd, self._written)
        except OSError:
            self._let_go()

    def _new_segment(self) -> int:
        """Create a segment under a name that nobody ships, lock it, then rename it to its final name."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        beside = self.folder / f"{name}{BEGUN}"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            beside.rename(self.folder / f"{name}.jsonl")
        except OSError:
            os.close(fd)
            with suppress(OSError):
                beside.unlink()
            raise
        return fd
