"""The file of an embedded database: opened by its path for each piece of work, and known again at each commit.

A file that is replaced or removed under a process would take its writes and be gone with them. So no connection outlives its
transaction, and a commit counts only if the file and its write-ahead log are still those at the path. A replaced file's log must not
stay beside the new file either, which SQLite would take for the new file's own.

Belongs here: files and their identity. Does not belong here: what is written.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

PATIENCE_S = 10
"""Longest wait for another writer's lock."""

LOG, INDEX = "-wal", "-shm"
"""Ends of the names of the write-ahead log and its index."""

FileId = tuple[int, int]
"""Device and number of a file, as long as somebody has it open."""

OwnFiles = tuple[FileId | None, FileId | None]
"""The database and its log; ``None`` for a file that is not there."""


class GuardedConnection(sqlite3.Connection):
    """A connection whose commits fail if they went into a file that is no longer the database."""

    path = ""
    opened: OwnFiles = (None, None)
    index: FileId | None = None

    def commit(self) -> None:
        """Commit, and check that what was written can be found again.

        Raises:
            sqlite3.OperationalError: if the file or its log was replaced or removed in the meantime.
        """
        has_written = self.in_transaction
        super().commit()
        if has_written and self.opened != files_at(self.path):
            raise sqlite3.OperationalError(
                "the database file was replaced while it was written; nothing is known to be kept"
            )

    def close(self) -> None:
        """Close, and put the log of a file that was replaced out of the new file's way."""
        if self.path and self.opened[0] != file_id(self.path):
            with suppress(OSError), locked(self.path):
                self._put_log_aside()
        super().close()

    def _put_log_aside(self) -> None:
        if self.opened[1] is not None and file_id(self.path + LOG) == self.opened[1]:
            os.rename(self.path + LOG, f"{self.path}{LOG}.of-a-former-file-{time.time_ns()}")
        if self.index is not None and file_id(self.path + INDEX) == self.index:
            os.unlink(self.path + INDEX)


def open_file(path: str) -> GuardedConnection:
    """Open an existing database file, with a write-ahead log.

    Raises:
        sqlite3.OperationalError: if there is no such file, or it can't be opened.
    """
    connection = sqlite3.connect(
        f"file:{quote(path)}?mode=rw", uri=True, timeout=PATIENCE_S, check_same_thread=False, factory=GuardedConnection
    )
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # opens the log, if it was not yet
    except BaseException:
        connection.close()
        raise
    connection.path, connection.opened, connection.index = path, files_at(path), file_id(path + INDEX)
    return connection


def files_at(path: str) -> OwnFiles:
    """The database file at a path, and its log."""
    return file_id(path), file_id(path + LOG)


def file_id(path: str) -> FileId | None:
    """The identity of the file at a path; ``None`` if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep other processes from migrating the database, or from putting its log aside, at the same time."""
    with open(os.open(f"{path}.migrating", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class PinnedFile:
    """A file that is held open without being read, so that its identity is not given to another one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle: int | None = None

    def has_changed(self) -> bool:
        """Whether another file is at the path than at the last call; a file that is missing changes nothing yet.

        Raises:
            FileNotFoundError: if there is no file.
        """
        # A handle of this kind does not count as open: closing an ordinary one would drop SQLite's locks.
        handle = os.open(self._path, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
        former, self._handle = self._handle, handle
        if former is None:
            return False
        is_same = os.path.samestat(os.fstat(former), os.fstat(handle))
        os.close(former)
        return not is_same

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def make_file(path: Path) -> None:
    """Create an empty database file that only this user can read, unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
