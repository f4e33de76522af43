"""Opens and reads files that others may put something else in place of: never a device, pipe, socket or folder, never more than asked.

A pipe with a file's name would hang its reader for ever, and a link to a device would fill its memory. So a file is opened without
waiting, looked at through the opened handle, and read to its limit. Does not belong here: what a file holds, and reading away from the
event loop, which is its caller's.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from churn_store.errors import UnsafeFileError

MEBIBYTE: Final = 1024 * 1024


def open_regular(file: Path, *, follow_link: bool = True) -> int:
    """A handle on an ordinary file, for reading. It is the caller's to close.

    Args:
        file: path of the file.
        follow_link: whether a link to an ordinary file will do, as those that Kubernetes mounts.

    Raises:
        UnsafeFileError: if there is a folder, device, pipe or socket in its place; or a link, unless it is followed.
        FileNotFoundError: if there is no file.
        OSError: if it can't be opened.
    """
    if not follow_link and file.is_symlink():
        raise UnsafeFileError(f"file {file.name[:12]} is a link; expected an ordinary file")
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        handle = os.open(file, flags if follow_link else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP):  # a socket, or a device that is not there
            raise _not_ordinary(file) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _not_ordinary(file)
    return handle


def read_regular(file: Path, *, at_most: int, follow_link: bool = True) -> bytes:
    """The content of an ordinary file.

    Args:
        file: path of the file.
        at_most: size limit in bytes.
        follow_link: whether a link to an ordinary file will do.

    Raises:
        UnsafeFileError: if it is no ordinary file (``open_regular``), or larger than ``at_most`` bytes.
        FileNotFoundError: if there is no file.
        OSError: if the file can't be read.
    """
    with os.fdopen(open_regular(file, follow_link=follow_link), "rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > at_most:
            raise UnsafeFileError(too_large(file.name, size, at_most))
        content = opened.read(at_most + 1)  # it may have grown since
    if len(content) > at_most:
        raise UnsafeFileError(too_large(file.name, len(content), at_most))
    return content


def too_large(name: str, size: int, at_most: int) -> str:
    """What is said of a file that is refused for its size, in bytes."""
    return f"file {name[:12]} has {size} bytes, more than the limit of {at_most}"


def _not_ordinary(file: Path) -> UnsafeFileError:
    return UnsafeFileError(f"file {file.name[:12]} is not an ordinary file; put the file itself in its place")
