"""Reads a file from a folder that others may write to: never a device, a pipe or a link, and never more than asked for.

A pipe with a file's name would hang its reader, and a link to a device would fill its memory, before any digest is compared.
"""

import os
import stat
from pathlib import Path

from churn_store.errors import ReleaseError


def read_regular(file: Path, *, at_most: int) -> bytes:
    """The content of an ordinary file.

    Raises:
        ReleaseError: if it is a link, a folder, a device or a pipe, or larger than ``at_most`` bytes.
        FileNotFoundError: if there is no file.
        OSError: if the file can't be read.
    """
    if file.is_symlink():
        raise ReleaseError(f"file {file.name[:12]} is a link; expected an ordinary file")
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise ReleaseError(f"file {file.name[:12]} is not an ordinary file")
    with os.fdopen(handle, "rb") as opened:
        if found.st_size > at_most:
            raise too_large(file.name, found.st_size, at_most)
        content = opened.read(at_most + 1)  # it may have grown since
    if len(content) > at_most:
        raise too_large(file.name, len(content), at_most)
    return content


def too_large(name: str, size: int, at_most: int) -> ReleaseError:
    """A file that is refused for its size, in bytes."""
    return ReleaseError(f"file {name[:12]} has {size} bytes, more than the limit of {at_most}")
