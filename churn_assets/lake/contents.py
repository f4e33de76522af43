"""Which files hold a table's periods, and whether they lie in the store as they were written.

Belongs here: names, sizes and numbers of rows, from Delta's log and from the store. Does not belong here: what Dagster recorded of
them (``orchestration.lost_periods``), and the rows themselves (``orchestration.lake_records``).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import obstore
import polars as pl
from deltalake import DeltaTable

from churn_store.storage.object_storage import in_object_store, open_store

PERIOD = "period"
"""The partition column of every table."""

NO_FILES = "none"
"""The digest of a period without rows."""

DIGEST_LENGTH = 32


@dataclass(frozen=True)
class StoredFile:
    """A file of a table: its path within the table's folder, and the size and number of rows that Delta's log says."""

    path: str
    size_bytes: int
    rows: int


def files_of(table: DeltaTable) -> dict[str, list[StoredFile]]:
    """The files of each period that has rows, by path."""
    files: dict[str, list[StoredFile]] = {}
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.height:
        found = actions.select(f"partition.{PERIOD}", "path", "size_bytes", "num_records")
        for period, path, size_bytes, rows in sorted(found.iter_rows()):
            files.setdefault(str(period), []).append(StoredFile(str(path), int(size_bytes), int(rows or 0)))
    return files


def digest_of_files(files: list[StoredFile]) -> str:
    """A digest of a period's files: equal as long as no file comes, goes, or is replaced by another one."""
    if not files:
        return NO_FILES
    written = repr([(file.path, file.size_bytes, file.rows) for file in files])
    return hashlib.sha256(written.encode()).hexdigest()[:DIGEST_LENGTH]


def damaged(uri: str, files: dict[str, list[StoredFile]]) -> dict[str, str]:
    """The periods of which a file is missing in the store or has another size than Delta's log says, with the first such file.

    Args:
        uri: address of the table.
        files: files by period, from ``files_of``.
    """
    sizes = _sizes(uri)
    found: dict[str, str] = {}
    for period, stored in files.items():
        for file in stored:
            size_bytes = sizes(file.path)
            if size_bytes != file.size_bytes:
                is_there = (
                    f"has {size_bytes:,} bytes instead of {file.size_bytes:,}" if size_bytes is not None else "is missing"
                )
                found[period] = f"its file {file.path} {is_there}"
                break
    return found


def _sizes(uri: str) -> Callable[[str], int | None]:
    """Looks up the size of a file of a table; `None` for one that is missing."""
    if in_object_store(uri):  # all are listed at once, as each request takes its time
        listed = {file["path"]: file["size"] for batch in obstore.list(open_store(uri)) for file in batch}
        return lambda path: listed.get(unquote(path))

    def in_folder(path: str) -> int | None:
        file = Path(uri) / unquote(path)
        return file.stat().st_size if file.is_file() else None

    return in_folder
