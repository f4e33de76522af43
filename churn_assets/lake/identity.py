"""A lake's own id, by which it is recognized after its folder or bucket was moved.

Belongs here: the one small file that holds it. Does not belong here: whose lake it is (``orchestration.ownership``).
"""

import uuid
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from churn_store.storage.object_storage import away, in_object_store, open_store

NAME = "_lake_id"
"""The name of the file, beside the tables' folders; no table begins with an underscore."""


def lake_id(url: str) -> str | None:
    """The id of a lake; `None` for one that has none yet.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    if not in_object_store(url) and not Path(url).is_dir():
        return None
    try:
        return bytes(obstore.get(_store(url), NAME).bytes()).decode()
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        if in_object_store(url):
            raise away(url, error) from error
        raise


def ensure_lake_id(url: str) -> str:
    """The id of a lake, created if it has none; of two writers at once, both get the first one's id.

    Raises:
        StoreAwayError: if the object store does not answer.
    """
    if known := lake_id(url):
        return known
    made = str(uuid.uuid4())
    try:
        obstore.put(_store(url), NAME, made.encode(), mode="create")
    except AlreadyExistsError:
        return ensure_lake_id(url)
    except (BaseError, OSError) as error:
        if in_object_store(url):
            raise away(url, error) from error
        raise
    return made


def _store(url: str) -> Any:
    return open_store(url) if in_object_store(url) else LocalStore(url, mkdir=True)
