"""Immutable files stored under their own digest, in a folder or an object store.

Writing is idempotent and atomic: a reader sees a whole file or none. Reading trusts nothing: size and sha256 are checked before a
caller sees a byte. Files of which only the newest counts lie in a folder of their own (``below``), whose pointer names it.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from churn_store.errors import ReleaseError, StoreAwayError, UnsafeFileError
from churn_store.redaction import without_password
from churn_store.safe_read import MEBIBYTE, read_regular, too_large
from churn_store.storage.object_storage import away, in_object_store, open_store

PARTS_AT_ONCE = 2
"""Parts of a large file uploaded at once: few enough that each arrives in time on a slow line. The file exists once all have."""


POINTER = "current.json"
"""Name of a folder's pointer."""


class DigestStore:
    """Files by sha256.

    Args:
        url: folder, or object-store address (``s3://bucket/prefix``).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._below = ""
        self._store: Any
        if in_object_store(url):
            self._store = open_store(url)
        else:
            Path(url).mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(url)

    def below(self, folder: str) -> "DigestStore":
        """The files of a folder in this store, apart from all others. Nothing is made before it is written to.

        Args:
            folder: names with ``/`` between them, none of which comes from outside.
        """
        found = copy(self)
        found._below = f"{self._below}{folder}/"
        return found

    def put(self, content: bytes) -> str:
        """Store a file under its digest, and return the digest. A changed file of that name is replaced.

        Raises:
            StoreAwayError: if the object store does not answer, or has no such bucket.
        """
        digest = digest_of(content)
        self._write(self._below + _path(digest), content)
        return digest

    def point(self, content: bytes) -> None:
        """Replace the pointer of this folder, at once.

        Raises:
            StoreAwayError: as in ``put``.
        """
        self._write(self._below + POINTER, content)

    def get(self, digest: str, *, at_most: int) -> bytes:
        """Read a file and check it against its digest.

        Args:
            digest: sha256, 64 hexadecimal digits.
            at_most: size limit in bytes, checked before the file is read, and again during reading in case the store reports a
                wrong size.

        Raises:
            ReleaseError: if the file is missing, larger than ``at_most``, or changed.
            StoreAwayError: if the object store does not answer, or there are no release files at its address, which says nothing
                about the file.
        """
        try:
            content = self._read(self._below + _path(digest), at_most=at_most)
        except FileNotFoundError as error:
            raise ReleaseError(f"file {digest[:12]} is missing in {without_password(self.url)}") from error
        actual = digest_of(content)
        if actual != digest:
            raise ReleaseError(f"file {digest[:12]} was changed: its sha256 is now {actual[:12]}")
        return content

    def pointer(self, *, at_most: int) -> bytes | None:
        """The pointer of this folder; ``None`` where there is none.

        Raises:
            ReleaseError: if it is no ordinary file, or larger than ``at_most`` bytes.
            StoreAwayError: as in ``get``.
        """
        try:
            return self._read(self._below + POINTER, at_most=at_most)
        except FileNotFoundError:
            return None

    def folders(self) -> list[str]:
        """Names of the folders in this one, in their order; none before the first.

        Raises:
            StoreAwayError: if the object store does not answer.
            OSError: if the folder can't be read.
        """
        if not in_object_store(self.url):
            return _folders_in(Path(self.url) / self._below)
        with self._answering():
            found = obstore.list_with_delimiter(self._store, self._below.rstrip("/"))
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    def keep_only(self, digest: str) -> None:
        """Remove every file of this folder but one.

        Raises:
            StoreAwayError: if the object store does not answer.
        """
        kept = self._below + _path(digest)
        with self._answering():
            listed = [file["path"] for part in obstore.list(self._store, f"{self._below}sha256") for file in part]
            if replaced := [path for path in listed if path != kept]:
                obstore.delete(self._store, replaced)

    def is_empty(self) -> bool:
        """Whether no release file was ever stored here; what lies in folders below does not count.

        Raises:
            StoreAwayError: if the object store does not answer.
        """
        try:
            return not next(iter(obstore.list(self._store, "sha256", chunk_size=1)), [])
        except (BaseError, OSError) as error:
            raise away(self.url, error) from error

    def _write(self, path: str, content: bytes) -> None:
        with self._answering():
            obstore.put(self._store, path, content, max_concurrency=PARTS_AT_ONCE)

    def _read(self, path: str, *, at_most: int) -> bytes:
        try:
            return (
                self._read_object(path, at_most=at_most)
                if in_object_store(self.url)
                else read_regular(Path(self.url) / path, at_most=at_most, follow_link=False)
            )
        except UnsafeFileError as error:
            raise ReleaseError(str(error)) from error

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn an error of the object store into what is said of it; those of a folder stay."""
        try:
            yield
        except (BaseError, OSError) as error:
            if in_object_store(self.url):
                raise away(self.url, error) from error
            raise

    def _read_object(self, path: str, *, at_most: int) -> bytes:
        name = path.rpartition("/")[2]
        try:
            response = obstore.get(self._store, path)
            size = response.meta["size"]
            if size > at_most:
                raise ReleaseError(too_large(name, size, at_most))
            parts, read = [], 0
            for part in response.stream(min_chunk_size=MEBIBYTE):
                read += len(part)
                if read > at_most:
                    raise ReleaseError(too_large(name, read, at_most))
                parts.append(bytes(part))
        except FileNotFoundError:
            self._require_files()
            raise
        except (BaseError, OSError) as error:
            raise away(self.url, error) from error
        return b"".join(parts)

    def _require_files(self) -> None:
        """Tell a missing bucket, which answers like a missing file, from a missing file.

        Raises:
            StoreAwayError: if the address holds no release files, or does not answer.
        """
        if self.is_empty():
            raise StoreAwayError(f"{without_password(self.url)} holds no release files; look at the address")


def digest_of(content: bytes) -> str:
    """The digest under which a content is stored."""
    return hashlib.sha256(content).hexdigest()


def _folders_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []


def _path(digest: str) -> str:
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):  # noqa: PLR2004
        raise ReleaseError(f"{digest!r} is not a sha256 digest")
    return f"sha256/{digest[:2]}/{digest}"
