"""Which file of a table is torn, found by looking at each: Delta's and Polars' own errors often don't name it.

Belongs here: the search after something could not be read. Does not belong here: the cheap comparison of sizes before each read
(``contents``).
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from churn_assets.lake.contents import StoredFile, damaged
from churn_store.storage.object_storage import in_object_store

COMMIT = re.compile(r"(\d{20})\.json")
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")
HINT = "_last_checkpoint"

PANIC = "PanicException"
"""The name of the exception of a panic in Rust; each library has a class of its own, which is no ``Exception``."""


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust gave up."""
    return type(error).__name__ == PANIC


def torn_log(uri: str) -> tuple[str, str]:
    """The file of a table's log that is torn, in words, and how the log can be read again.

    Args:
        uri: address of the table.

    Returns:
        Both are empty if no file is found, or the table is in an object store.
    """
    log = Path(uri) / "_delta_log"
    if in_object_store(uri) or not log.is_dir():
        return "", ""
    commits = {int(found[1]): file for file in log.iterdir() if (found := COMMIT.fullmatch(file.name))}
    checkpoints = sorted(file for file in log.iterdir() if CHECKPOINT.fullmatch(file.name))
    for number in range(max(commits, default=-1) + 1):
        if number not in commits:
            return f"its file {log}/{number:020}.json is missing", ""
        if not _is_whole_commit(commits[number]):
            return f"its file {commits[number]} is not as it was written", ""
    torn = next((file for file in checkpoints if not _is_parquet(file)), None)
    hint = log / HINT
    if torn is None and hint.is_file() and not checkpoints:
        said, moved = f"its file {hint} names a checkpoint that is missing", str(hint)
    elif torn is not None:
        said, moved = f"its file {torn} is not as it was written", f"{torn} and {hint}"
    else:
        return "", ""
    return said, f"Move {moved} away: the other files of the log hold all that it says" if commits else ""


def torn_data(uri: str, files: dict[str, list[StoredFile]]) -> tuple[str, str]:
    """The period and the file of a table that can't be read, in words; every file is read until one is found.

    Args:
        uri: address of the table.
        files: files by period, from ``files_of``.

    Returns:
        Both are empty if all can be read.
    """
    if broken := damaged(uri, files):
        period = min(broken)
        return period, broken[period]
    if not in_object_store(uri):
        for period, stored in sorted(files.items()):
            for file in stored:
                if not _is_parquet(Path(uri) / unquote(file.path), rows=True):
                    return period, f"its file {file.path} can't be read"
    return "", ""


def _is_whole_commit(file: Path) -> bool:
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except (OSError, ValueError):
        return False


def _is_parquet(file: Path, *, rows: bool = False) -> bool:
    try:
        if rows:
            pl.read_parquet(file, glob=False)
        else:
            pl.read_parquet_schema(file)
    except BaseException as error:  # a panic is no Exception
        if isinstance(error, Exception) or is_panic(error):
            return False
        raise
    return True
