"""Immutable files kept under their own digest, in a folder or an object store.

Writing is idempotent and atomic (a reader sees a whole file or none); reading trusts nothing: size and sha256 are checked
before a caller sees a byte.
"""

import hashlib
from pathlib import Path
from typing import Any

import obstore
from obstore.store import LocalStore, from_url

from churn_store.errors import ReleaseError

MEBIBYTE = 1024 * 1024


class DigestStore:
    """Files by sha256.

    Args:
        url: a folder, or an object-store address (``s3://bucket/prefix``).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: Any
        if "://" in url:
            self._store = from_url(url)
        else:
            Path(url).mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(url)

    def put(self, content: bytes) -> str:
        """Keep a file; its digest is its name."""
        digest = hashlib.sha256(content).hexdigest()
        obstore.put(self._store, _path(digest), content)
        return digest

    def get(self, digest: str, *, at_most: int) -> bytes:
        """A file that is what its name says.

        Args:
            digest: sha256, 64 hexadecimal digits.
            at_most: size limit in bytes, checked before the file is read.

        Raises:
            ReleaseError: missing, larger than ``at_most``, or changed.
        """
        try:
            size = obstore.head(self._store, _path(digest))["size"]
            if size > at_most:
                raise ReleaseError(f"file {digest[:12]} has {size} bytes, more than the limit of {at_most}")
            content = bytes(obstore.get(self._store, _path(digest)).bytes())
        except FileNotFoundError as error:
            raise ReleaseError(f"file {digest[:12]} is missing in {self.url}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise ReleaseError(f"file {digest[:12]} was changed: its sha256 is now {found[:12]}")
        return content


def _path(digest: str) -> str:
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):  # noqa: PLR2004
        raise ReleaseError(f"{digest!r} is not a sha256 digest")
    return f"sha256/{digest[:2]}/{digest}"
