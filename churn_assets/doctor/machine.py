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
"""The first supported Python version and the first that is not, as in ``requires-python``."""

FREE_BYTES = 2**30
"""The least free disk space; with less a run may end midway."""

SHOWN = 5


def python() -> str:
    """The version of Python.

    Raises:
        InputError: if the platform does not support it.
    """
    running = sys.version_info
    if not OLDEST <= running[:2] < TOO_NEW:
        raise InputError(
            f"Python {running.major}.{running.minor} runs; expected 3.11 to 3.13. Make the environment anew: "
            "`make clean`, then `make setup PYTHON=python3.11`"
        )
    return f"Python {running.major}.{running.minor}.{running.micro}"


def libraries(lock: Path = LOCK) -> str:
    """Whether the installed libraries are those of the lock file.

    Raises:
        AbsentError: if there is no lock file, as where only the package is installed.
        InputError: if some are missing or have another version.
    """
    if not lock.exists():
        raise AbsentError("no requirements.lock beside the package, so versions can't be compared")
    locked = locked_versions(lock.read_text(encoding="utf-8"))
    differ = []
    for name, (versions, is_conditional) in sorted(locked.items()):
        try:
            installed = version(name)
        except PackageNotFoundError:
            if not is_conditional:
                differ.append(f"{name} is not installed, locked {' or '.join(sorted(versions))}")
            continue
        if installed not in versions:
            differ.append(f"{name} {installed}, locked {' or '.join(sorted(versions))}")
    if differ:
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        raise InputError(
            f"{len(differ)} of {len(locked)} libraries differ from requirements.lock: {'; '.join(differ[:SHOWN])}{more}. Run "
            "`make setup`"
        )
    return f"{len(locked)} libraries as locked"


def locked_versions(lock: str) -> dict[str, tuple[set[str], bool]]:
    """The locked versions by name, and whether all of them apply only to some machines or Python versions."""
    by_name: dict[str, tuple[set[str], bool]] = {}
    for name, locked, marker in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[ \t]*(;)?", lock, flags=re.MULTILINE):
        versions, is_conditional = by_name.get(name, (set(), True))
        by_name[name] = ({*versions, locked}, is_conditional and bool(marker))
    return by_name


def configuration() -> str:
    """The configuration file in force; that it loads was checked before.

    Raises:
        AbsentError: if there is none, so that the synthetic company is in force.
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
    """Check that the folder of all state is writable.

    Raises:
        InputError: if it is not writable.
    """
    folder, existing = home_folder.absolute(), _existing(home_folder)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as error:
        raise InputError(
            f"{existing} can't be written ({error.strerror}); let this user write there, or set `home` in churn.yaml"
        ) from error
    return f"{folder}{'' if folder == existing else ' (made by the first run)'}"


def room(home_folder: Path) -> str:
    """Check that the disk of the folder of all state has room.

    Raises:
        InputError: if it has too little.
    """
    existing = _existing(home_folder)
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise InputError(
            f"{existing} has {free / 2**20:,.0f} MiB of free disk; expected at least {FREE_BYTES / 2**20:,.0f} MiB. Make room"
        )
    return f"{free / 2**30:,.1f} GiB free"


def _existing(folder: Path) -> Path:
    """A folder, or the nearest one above it that exists."""
    whole = folder.absolute()
    return next(parent for parent in (whole, *whole.parents) if parent.exists())
