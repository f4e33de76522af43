"""Whether a file is an SQLite database that can be read, before somebody takes it for one, or for an empty one.

Does not belong here: which tables a database has (``migrate``).
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from churn_store.disk import disk_error
from churn_store.errors import LostError


def complaint(file: Path) -> str:
    """What is wrong with a file as an SQLite database; empty if it can be read, or is not there."""
    if not file.exists():
        return ""
    if not file.is_file():
        return "is a folder" if file.is_dir() else "is no ordinary file"
    try:
        connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error as error:
        return f"can't be opened ({error})"
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return "" if "lock" in str(error) else f"can't be read ({error})"
    except sqlite3.DatabaseError as error:
        return f"is no database that can be read ({error})"
    finally:
        connection.close()
    return ""


def require_sqlite(file: Path, what: str, otherwise: str) -> None:
    """Refuse a file that is not an SQLite database.

    Args:
        file: the file; one that is missing or empty is accepted.
        what: what it should be, such as "the serving database".
        otherwise: what to do without a backup, once the file was moved away.

    Raises:
        LostError: if it is something else; it names the file and the way back.
    """
    if said := complaint(file):
        raise LostError(
            f"{what} is lost: {file} {said}. Stop what writes it, and bring it back from a backup together with {file.name}-wal and "
            f"{file.name}-shm, or without those two if the backup has none; without a backup move all three away, and {otherwise}"
        )


def in_words(error: BaseException, files: list[Path], what: str, otherwise: str) -> Exception | None:
    """The error of a library that met a broken database, as a sentence that names the file; `None` if no file is broken.

    Args:
        error: error that the library raised.
        files: databases that it may have used.
        what: what they are.
        otherwise: what to do without a backup.
    """
    for file in files:
        try:
            require_sqlite(file, what, otherwise)
        except LostError as lost:
            return lost
    return disk_error(error, f"{what} can't be used")
