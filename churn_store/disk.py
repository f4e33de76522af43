"""A disk that is full, read-only, not ours or broken, as one sentence, whichever library met it.

Python, Delta's library, Polars and SQLite each have their own error for it. Belongs here: what the error of the operating system
means and what to do. Does not belong here: what was to be read or written.
"""

import errno
import re
import sqlite3
from collections.abc import Iterator

from churn_store.errors import DiskError

CANT_OPEN = -1
"""In place of a number of the operating system: SQLite says only that it can't open a file."""

REASONS = {
    CANT_OPEN: "a database file is missing, or this user may not open it; bring it back, or let this user read and write there",
    errno.ENOSPC: "no space is left on its disk; make room, then run this again. What was there before is unchanged",
    errno.EDQUOT: "the quota of its disk is used up; make room, then run this again. What was there before is unchanged",
    errno.EROFS: "it is on a disk that is read-only; mount it writable, then run this again",
    errno.EACCES: "this user may not; let this user read and write there, then run this again",
    errno.EPERM: "this user may not; let this user read and write there, then run this again",
    errno.EIO: "its disk fails; look at the machine's messages, and bring the files to another disk",
    errno.EMFILE: "this process has too many files open; raise `ulimit -n`, then run this again",
}
"""What the operating system's number says, and the way out."""

NUMBER = re.compile(r"os error (\d+)")

OF_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: CANT_OPEN,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


def disk_error(error: BaseException, what: str) -> DiskError | None:
    """The error of a disk as a sentence; `None` for any other error.

    Args:
        error: error of whichever library.
        what: what could not be done, with the file or folder, such as "the lake's table events in /lake/events can't be written".
    """
    for cause in _causes(error):
        if (number := _number(cause)) in REASONS:
            where = f" ({cause.filename})" if isinstance(cause, OSError) and cause.filename else ""
            return DiskError(f"{what}{where}: {REASONS[number]}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and the driver's own error that SQLAlchemy wraps."""
    met: BaseException | None = error
    while met is not None:
        yield met
        driver = getattr(met, "orig", None)
        if isinstance(driver, BaseException):
            yield driver
        met = met.__cause__


def _number(error: BaseException) -> int:
    """The operating system's number of an error; 0 if it has none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, sqlite3.Error):
        return OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, 0)
    found = NUMBER.search(str(error))
    return int(found.group(1)) if found else 0
