"""The machine: Python, the libraries, the clock, the folder of all state."""

import re
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from churn_assets.orchestration.code_version import LOCK
from churn_store.clock import Clock
from churn_store.errors import AbsentError, InputError
from churn_store.settings import config_file

OLDEST, TOO_NEW = (3, 11), (3, 14)
"""As ``requires-python`` says."""

FREE_BYTES = 2**30
"""With less free disk than this, a run may end midway."""

SHOWN = 5


def python() -> str:
    """The version of Python.

    Raises:
        InputError: one that the platform was not made for.
    """
    found = sys.version_info
    if not OLDEST <= found[:2] < TOO_NEW:
        raise InputError(
            f"Python {found.major}.{found.minor} runs; expected 3.11 to 3.13. Make the environment anew: "
            "`make clean`, then `make setup PYTHON=python3.11`"
        )
    return f"Python {found.major}.{found.minor}.{found.micro}"


def libraries(lock: Path = LOCK) -> str:
    """Whether the installed libraries are those of the lock file.

    Raises:
        AbsentError: there is no lock file, as where only the package is installed.
        InputError: some are missing or of another version.
    """
    if not lock.exists():
        raise AbsentError("no requirements.lock beside the package, so versions can't be compared")
    locked = locked_versions(lock.read_text(encoding="utf-8"))
    differ = []
    for name, (versions, is_conditional) in sorted(locked.items()):
        try:
            found = version(name)
        except PackageNotFoundError:
            if not is_conditional:
                differ.append(f"{name} is not installed, locked {' or '.join(sorted(versions))}")
            continue
        if found not in versions:
            differ.append(f"{name} {found}, locked {' or '.join(sorted(versions))}")
    if differ:
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        raise InputError(
            f"{len(differ)} of {len(locked)} libraries differ from requirements.lock: {'; '.join(differ[:SHOWN])}{more}. Run "
            "`make setup`"
        )
    return f"{len(locked)} libraries as locked"


def locked_versions(lock: str) -> dict[str, tuple[set[str], bool]]:
    """The locked versions by name, and whether all of them are for some machines or Pythons only."""
    found: dict[str, tuple[set[str], bool]] = {}
    for name, locked, marker in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[ \t]*(;)?", lock, flags=re.MULTILINE):
        versions, is_conditional = found.get(name, (set(), True))
        found[name] = ({*versions, locked}, is_conditional and bool(marker))
    return found


def configuration() -> str:
    """Which configuration is in force; that it loads was seen before.

    Raises:
        AbsentError: there is none, so that the synthetic company is looked at.
    """
    file = config_file()
    if not file.exists():
        raise AbsentError(
            f"no {file} in {Path.cwd()}: defaults are in force, with the synthetic company; run this in the folder of a company"
        )
    return f"{file.absolute()}"


def clock(shown: Clock) -> str:
    """The time by the clock."""
    how = "fixed, `churn clock wall` lets it go" if shown.is_fixed else "wall clock"
    return f"{shown.now():%Y-%m-%d %H:%M} UTC ({how})"


def home(home_folder: Path) -> str:
    """The folder of all state: writable, and with room.

    Raises:
        InputError: if it is not.
    """
    folder = home_folder.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-"):
            pass
    except OSError as error:
        raise InputError(
            f"{there} can't be written ({error.strerror}); let this user write there, or set `home` in churn.yaml"
        ) from error
    free = shutil.disk_usage(there).free
    if free < FREE_BYTES:
        raise InputError(
            f"{there} has {free / 2**20:,.0f} MiB of free disk; expected at least {FREE_BYTES / 2**20:,.0f} MiB. Make room"
        )
    return f"{folder}{'' if folder == there else ' (made by the first run)'}, {free / 2**30:,.1f} GiB free"
