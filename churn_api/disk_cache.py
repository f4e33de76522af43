"""A cache on the service's own disk, so that the service can start while the database or the store is away.

Belongs here: writing one small value whole or not at all, with the time it was last known to be right, and reading it back
while it is young enough. Does not belong here: what is cached (``releases.last_good``, ``security.key_ring``).
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from churn_store.errors import UnsafeFileError
from churn_store.safe_read import MEBIBYTE, read_regular

T = TypeVar("T")

LARGEST = 64 * MEBIBYTE
"""Largest file that is read: some 200,000 keys."""

CONFIRMED_EVERY_S = 60.0
"""Shortest time after which an unchanged value is written again, to record that it was still right."""


class _Confirmed(msgspec.Struct, Generic[T]):
    confirmed_s: float
    value: T


class CachedValue(Generic[T]):
    """One value in one file, readable by this user only.

    Args:
        file: file of the value.
        type_: type that the value is decoded as.
        max_age_s: age above which a value is not returned.
        now_s: the clock that ages are measured by.
    """

    def __init__(self, file: Path, type_: type[T], *, max_age_s: float, now_s: Callable[[], float]) -> None:
        self._file = file
        self._decoder = msgspec.json.Decoder(_Confirmed[type_])  # type: ignore[valid-type]
        self._max_age_s = max_age_s
        self._now_s = now_s
        self._written: tuple[float, T] | None = None

    def keep(self, value: T) -> None:
        """Write the value, unless the same one was written within ``CONFIRMED_EVERY_S``.

        Raises:
            OSError: if the disk is full or the folder can't be written.
        """
        now_s = self._now_s()
        if self._written is not None:
            confirmed_s, former = self._written
            if former == value and abs(now_s - confirmed_s) < CONFIRMED_EVERY_S:
                return
        self.write(value)

    def write(self, value: T) -> None:
        """Write the value, whatever was written before.

        Raises:
            OSError: if the disk is full or the folder can't be written.
        """
        now_s = self._now_s()
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, beside = tempfile.mkstemp(prefix=f".{self._file.name}.", dir=self._file.parent)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(_Confirmed(confirmed_s=now_s, value=value)))
            os.replace(beside, self._file)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        self._written = now_s, value

    def read(self) -> T | None:
        """The value; ``None`` if there is none, it is too old, or the file is none or can't be decoded."""
        kept = self.read_dated()
        return None if kept is None else kept[0]

    def read_dated(self) -> tuple[T, float] | None:
        """The value, and when it was last known to be right. A time to come is as wrong as one that is too old."""
        kept = self._decoded()
        return kept if kept is not None and abs(self._now_s() - kept[1]) <= self._max_age_s else None

    def holds(self, value: T) -> bool:
        """Whether the file has this value, however old."""
        kept = self._decoded()
        return kept is not None and kept[0] == value

    def _decoded(self) -> tuple[T, float] | None:
        try:
            kept = self._decoder.decode(read_regular(self._file, at_most=LARGEST))
        except (OSError, UnsafeFileError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return kept.value, kept.confirmed_s
