"""Folders whose names hold special characters: Delta's library names files in percent encoding, Polars opens them by plain names.

Polars also reads ``?`` and ``*`` in a path as a pattern, and ``=`` as the column of a partition. So it is given the files of such a folder
below an open handle of the folder, whose path is plain. Belongs here: from the one form to the other, and the few names that Delta's
library itself confuses. Does not belong here: what the files hold.
"""

import json
import os
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable

from churn_store.errors import InputError

CONFUSED = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]\\\x00-\x1f\x7f]")
"""Parts of a path that Delta's library takes for others: ``a%20b`` for ``a b``, a backslash for a slash, brackets for a host's address."""

PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")

HANDLES = Path("/proc/self/fd")
"""Open handles of this process as paths; a system that has none is given the folder's own path."""

_open_handles: dict[str, int] = {}
_opening = threading.Lock()


class _FolderTable(DeltaTable):
    """A table whose files are named as Polars and Spark open them."""

    def __init__(self, table: DeltaTable, folder: str) -> None:
        vars(self).update(vars(table))
        self._folder = folder

    def file_uris(self, *filters: Any, **named: Any) -> list[str]:
        """The paths of the files below a handle of the table's folder."""
        below = _plain_path(self._folder)
        return [below + unquote(path).removeprefix(self._folder) for path in super().file_uris(*filters, **named)]

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The commits, newest first, from the log's files: Delta's library finds none where a path has a ``#`` or a ``?``."""
        newest = self.version()
        oldest = 0 if limit is None else max(newest - limit + 1, 0)
        return [
            {**_commit(Path(self._folder, "_delta_log", f"{version:020}.json")), "version": version}
            for version in range(newest, oldest - 1, -1)
        ]


def readable(table: DeltaTable) -> DeltaTable:
    """A table as it can be used; the same one unless it lies in a folder with special characters."""
    scheme, _, path = table.table_uri.rpartition("file://")
    folder = unquote(path).rstrip("/")
    return table if scheme or "://" in path or PLAIN.fullmatch(folder) else _FolderTable(table, folder)


def refuse_confused_path(path: str) -> None:
    """Refuse a folder that Delta's library would take for another one.

    Raises:
        InputError: if its path has such a part; the message names it.
    """
    if confused := sorted(set(CONFUSED.findall(path))):
        raise InputError(
            f"the lake can't lie in {path}: Delta's library takes {', '.join(map(repr, confused))} in a path for something else; set "
            "`home` in churn.yaml, or `store.lake_url`, to a folder without it"
        )


def _plain_path(folder: str) -> str:
    """A path of the folder without special characters, good for the life of this process."""
    if not HANDLES.is_dir():
        return folder
    with _opening:
        handle = _open_handles.get(folder)
        if handle is None or not os.path.samestat(os.fstat(handle), os.stat(folder)):
            # The handle of a folder that was replaced stays open: a scan that was begun may still read below it.
            handle = _open_handles[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/{os.getpid()}/fd/{handle}"  # with its number, for other processes of this user


def _commit(file: Path) -> dict[str, Any]:
    """What a file of Delta's log says of its commit."""
    actions = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return next((dict(action["commitInfo"]) for action in actions if "commitInfo" in action), {})
