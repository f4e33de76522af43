"""Memory that the workers of a service share: who runs, and what each has counted.

It is made before the workers are, has no name and no file, and outlives each of them: what a killed worker had handed in is still there for
the others, and for the one that takes its place. Belongs here: the memory, and that a reader sees a whole text or none. Does not belong
here: what the text says (``monitoring.exposition``), and processes (``workers.supervisor``).
"""

import mmap
import os
import time
import zlib
from contextlib import suppress
from typing import Final

CAPACITY: Final = 4 * 1024 * 1024
"""Most bytes that a worker hands in; memory is taken only as far as it is written."""

_FIELDS: Final = 16
_PID, _READY, _RESTARTS, _STARTED_NS, _SEQUENCE, _WRITTEN_NS, _SIDE, _LENGTH, _SUM = 0, 1, 2, 3, 4, 5, 6, 7, 9
_HEADER: Final = _FIELDS * 8
_SLOT: Final = 4096 + 2 * CAPACITY


class Board:
    """One slot a worker, each with two sides: while one is written, the other is read.

    Args:
        workers: number of workers; they are numbered from 1.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, workers * _SLOT)
        self._fields = [
            memoryview(self._memory)[slot * _SLOT : slot * _SLOT + _HEADER].cast("q") for slot in range(workers)
        ]
        self._bells = [os.pipe() for _ in range(workers)]
        for read, write in self._bells:
            os.set_blocking(read, False)
            os.set_blocking(write, False)

    def started(self, number: int, pid: int) -> None:
        """Note that a process is this worker now."""
        fields = self._fields[number - 1]
        fields[_READY] = 0
        fields[_STARTED_NS] = time.monotonic_ns()
        fields[_PID] = pid

    def ended(self, number: int) -> None:
        """Note that no process is this worker; what it handed in stays."""
        fields = self._fields[number - 1]
        fields[_PID] = fields[_READY] = 0
        fields[_RESTARTS] += 1

    def ready(self, number: int) -> None:
        """Note that this worker answers."""
        self._fields[number - 1][_READY] = 1

    def is_ready(self, number: int) -> bool:
        """Whether this worker answers."""
        return bool(self._fields[number - 1][_READY])

    def pid(self, number: int) -> int:
        """Id of the process that is this worker; 0 while there is none."""
        return self._fields[number - 1][_PID]

    def restarts(self, number: int) -> int:
        """How often this worker has ended by itself."""
        return self._fields[number - 1][_RESTARTS]

    def silent_s(self, number: int) -> float:
        """Seconds since this worker last handed something in, or was started."""
        fields = self._fields[number - 1]
        return (time.monotonic_ns() - max(fields[_WRITTEN_NS], fields[_STARTED_NS])) / 1e9

    def sequence(self, number: int) -> int:
        """How often something was handed in for this worker."""
        return self._fields[number - 1][_SEQUENCE]

    def hand_in(self, number: int, text: bytes) -> bool:
        """Replace what this worker has handed in; only the worker itself may, one thread at a time.

        Returns:
            Whether it fitted.
        """
        if len(text) > CAPACITY:
            return False
        fields = self._fields[number - 1]
        side = 1 - fields[_SIDE]
        start = self._start(number, side)
        self._memory[start : start + len(text)] = text
        fields[_LENGTH + side] = len(text)
        fields[_SUM + side] = zlib.crc32(text)
        fields[_SIDE] = side
        fields[_WRITTEN_NS] = time.monotonic_ns()
        fields[_SEQUENCE] += 1
        return True

    def read(self, number: int) -> bytes:
        """What this worker, or the one before it, handed in last; empty if nothing yet."""
        fields = self._fields[number - 1]
        for _ in range(3):  # its writer may be faster than this reader, though not again and again
            side = fields[_SIDE]
            start = self._start(number, side)
            text = self._memory[start : start + fields[_LENGTH + side]]
            if zlib.crc32(text) == fields[_SUM + side]:
                return text
        return b""

    def bell(self, number: int) -> int:
        """File descriptor on which this worker hears that somebody asks for what it has counted."""
        return self._bells[number - 1][0]

    def ring(self, number: int) -> None:
        """Ask this worker to hand in what it has counted."""
        with suppress(BlockingIOError):  # it was asked often and has not looked; it will
            os.write(self._bells[number - 1][1], b"?")

    def _start(self, number: int, side: int) -> int:
        return (number - 1) * _SLOT + 4096 + side * CAPACITY
