"""Files that only their owner reads: predictions, features and hashed keys lie in ``home``.

A folder with the setgid bit is shared on purpose: its group keeps its rights, all others lose theirs. Belongs here: rights of folders
and files. Does not belong here: what lies in them.
"""

import os
import stat
from pathlib import Path

OTHERS, GROUP_AND_OTHERS = 0o007, 0o077
"""Rights that are taken away: in a folder that a group shares, and in any other."""


def keep_private(home: Path) -> None:
    """Let this process and those that it starts create files that nobody else reads.

    Args:
        home: folder of the platform's files, which need not exist.
    """
    os.umask(_taken_away(home))


def make_private(folder: Path) -> int:
    """Take everybody else's rights away from a folder and all that lies in it; links are not followed.

    Files are never opened, so that a database in use keeps its locks. What belongs to another user stays as it is.

    Returns:
        The number of files and folders that were changed.
    """
    taken = _taken_away(folder)
    changed = int(_restrict(folder, taken))
    for inside, folders, files in os.walk(folder):
        changed += sum(_restrict(Path(inside, name), taken) for name in (*folders, *files))
    return changed


def _restrict(path: Path, taken: int) -> bool:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or not mode & taken:
            return False
        path.chmod(stat.S_IMODE(mode) & ~taken)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _taken_away(folder: Path) -> int:
    try:
        return OTHERS if folder.stat().st_mode & stat.S_ISGID else GROUP_AND_OTHERS
    except OSError:
        return GROUP_AND_OTHERS
