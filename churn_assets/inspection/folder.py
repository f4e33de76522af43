"""A company's folder: churn.yaml, and the files with which Dagster finds the graph.

Belongs here: writing all of them or none. Does not belong here: what stands in churn.yaml (``rendering``).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from churn_store.errors import InputError

TEMPLATES = ("dagster.yaml", "workspace.yaml")


def instance_files() -> dict[str, str]:
    """The files that a company's folder has besides churn.yaml: the same for every company."""
    folder = files("churn_assets.inspection") / "templates"
    return {name: (folder / name).read_text(encoding="utf-8") for name in TEMPLATES}


def refuse_existing(folder: Path, content: Mapping[str, str]) -> None:
    """Refuse to overwrite a file that has another content.

    Raises:
        InputError: if there is one.
    """
    different = [name for name, text in content.items() if (folder / name).exists() and not _is_equal(folder / name, text)]
    if different:
        raise InputError(
            f"{folder} has {', '.join(different)} already, and nothing was written; expected a folder without. Name another one by --into, or "
            "write over it by --force"
        )


def write_all(folder: Path, content: Mapping[str, str]) -> None:
    """Write some files, each complete or not at all; the last one only when all others are there.

    Raises:
        InputError: if the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary: dict[str, str] = {}
        try:
            for name, text in content.items():
                handle, temporary[name] = tempfile.mkstemp(prefix=f".{name}-", dir=folder)
                with open(handle, "w", encoding="utf-8") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.chmod(temporary[name], 0o644)
            for name in content:
                os.replace(temporary.pop(name), folder / name)
        finally:
            for left in temporary.values():
                Path(left).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} can't be written to ({error.strerror}); expected a folder of your own. Name another one by --into"
        ) from error


@contextmanager
def configured(folder: Path, text: str) -> Iterator[None]:
    """Let churn.yaml be a text that lies in a folder for as long as the block lasts; the folder is left as it was."""
    try:
        made = _made(folder)
        handle, name = tempfile.mkstemp(prefix=".churn-init-", suffix=".yaml", dir=folder)
    except OSError as error:
        raise InputError(
            f"{folder} can't be written to ({error.strerror}); expected a folder of your own. Name another one by --into"
        ) from error
    before = os.environ.get("CHURN_CONFIG")
    try:
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.environ["CHURN_CONFIG"] = name
        yield
    finally:
        if before is None:
            os.environ.pop("CHURN_CONFIG", None)
        else:
            os.environ["CHURN_CONFIG"] = before
        Path(name).unlink(missing_ok=True)
        for new in made:
            if not any(new.iterdir()):
                new.rmdir()


def _made(folder: Path) -> list[Path]:
    """Make a folder; those that were made, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _is_equal(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
