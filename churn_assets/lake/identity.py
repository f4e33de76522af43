"""A lake's own id, by which it is recognized after its folder or bucket was moved.

Belongs here: small files beside the tables, of which one holds it. Does not belong here: whose lake it is (``orchestration.ownership``).
"""

import uuid
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from churn_store.disk import disk_error
from churn_store.storage.object_storage import away, in_object_store, open_store

NAME = "_lake_id"
"""The name of the file, beside the tables' folders; no table begins with an underscore."""


def lake_id(url: str) -> str | None:
    """The id of a lake; `None` for one that has none yet.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    return read_mark(url, NAME)


def ensure_lake_id(url: str) -> str:
    """The id of a lake, created if it has none; of two writers at once, both get the first one's id.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    if known := lake_id(url):
        return known
    made = str(uuid.uuid4())
    try:
        write_mark(url, NAME, made, mode="create")
    except AlreadyExistsError:
        return ensure_lake_id(url)
    return made


def read_mark(url: str, name: str) -> str | None:
    """The content of a small file beside a lake's tables; `None` if there is none.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    if not in_object_store(url) and not Path(url).is_dir():
        return None
    try:
        return bytes(obstore.get(_store(url), name).bytes()).decode()
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        raise _unusable(url, name, error, "read") from error


def write_mark(url: str, name: str, content: str, *, mode: Literal["create", "overwrite"] = "overwrite") -> None:
    """Write a small file beside a lake's tables, as a whole or not at all.

    Raises:
        AlreadyExistsError: if it is to be created and exists.
        DiskError: if the disk is full or read-only.
        StoreAwayError: if the object store does not answer.
    """
    try:
        obstore.put(_store(url), name, content.encode(), mode=mode)
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:
        raise _unusable(url, name, error, "written") from error


def _unusable(url: str, name: str, error: Exception, done: str) -> Exception:
    """What is said if a lake's file can't be read or written."""
    if in_object_store(url):
        return away(url, error)
    return disk_error(error, f"the lake's file {url}/{name} can't be {done}") or error


def _store(url: str) -> Any:
    return open_store(url) if in_object_store(url) else LocalStore(url, mkdir=True)
