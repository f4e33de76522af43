"""Finds the tables in files and folders: which files are one table, and how they are read.

Belongs here: arguments of a command line to tables. Does not belong here: how one file is written (``sniffing``), and which table is
which (``roles``).
"""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from churn_assets.inspection.sniffing import sniffed
from churn_assets.inspection.table import InspectedTable
from churn_store.errors import InputError
from churn_store.mapping.csv_reader import read_text
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.parts import open_parted
from churn_store.model.words import NORMALISATION
from churn_store.redaction import NAMES, shown_names

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
COMPRESSED = (".gz", ".zst")
WORKBOOKS = (".xlsx", ".xls", ".ods")
OTHERS = (
    *WORKBOOKS,
    ".json",
    ".jsonl",
    ".ndjson",
    ".xml",
    ".avro",
    ".orc",
    ".feather",
    ".db",
    ".sqlite",
    ".zip",
    ".xz",
    ".bz2",
    ".7z",
)
"""How files end that most likely hold data and can't be read."""

VARYING = re.compile(r"(?<==)[^/]+|\d+(?:[-_.T]\d+)*|(?<=part-)[^/]*(?=\.)")
"""What differs in the names of files that are parts of one table: dates, numbers, and values of partitions like `day=2024-01-31`."""

Layout = dict[str, Any]


def tables_in_files(given: Sequence[str], *, into: Path) -> list[InspectedTable]:
    """The tables in some files, folders and patterns.

    Args:
        given: as a person names them.
        into: folder of ``churn.yaml``, which its paths are relative to.

    Raises:
        InputError: if one of them does not exist or can't be read, or none has a table.
    """
    into = into.resolve()
    files = list(dict.fromkeys(file.parent.resolve() / file.name for name in given for file in _files(name)))
    grouped: dict[tuple[str, tuple[str, ...]], list[tuple[Path, Layout]]] = defaultdict(list)
    for file in files:
        layout = sniffed(file)
        columns = tuple(sorted(_columns(file, layout)))
        grouped[VARYING.sub("*", file.as_posix()), columns].append((file, layout))
    merged: dict[tuple[str, tuple[str, ...]], list[tuple[Path, Layout]]] = defaultdict(list)
    for (pattern, names), parts in grouped.items():
        # Several names of one folder with the same columns are one table as well: orders_de.csv and orders_us.csv.
        merged[str(Path(pattern).parent), names].extend(parts)
    return [table for parts in _split_where_columns_are_few(grouped, merged) for table in [_table(parts, into=into)]]


def overlooked(given: Sequence[str]) -> dict[str, str]:
    """The files in some folders that most likely hold data and can't be read, each with what to do."""
    return {
        str(file): "it is not read: save it as CSV or Parquet if it belongs to the company"
        for folder in map(Path, given)
        if folder.is_dir()
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in OTHERS and file.is_file() and not any(part.startswith(".") for part in file.parts)
    }


def _split_where_columns_are_few(
    grouped: dict[tuple[str, tuple[str, ...]], list[tuple[Path, Layout]]],
    merged: dict[tuple[str, tuple[str, ...]], list[tuple[Path, Layout]]],
) -> Iterator[list[tuple[Path, Layout]]]:
    """The files of each table: those of one folder with the same columns, if there are enough columns to tell."""
    enough = 4
    for (folder, names), parts in merged.items():
        if len(names) >= enough:
            yield parts
            continue
        yield from (
            files for (pattern, same), files in grouped.items() if same == names and str(Path(pattern).parent) == folder
        )


def _files(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise InputError(
                f"{name} can't be opened; expected a folder that this user may read. Change its rights, or name files"
            )
        found = sorted(file for file in path.rglob("*") if _is_table(file.relative_to(path)) and file.is_file())
        if not found:
            books = sorted(file.name for file in path.rglob("*") if file.suffix.lower() in WORKBOOKS)
            raise InputError(
                f"{name} has no table; expected files that end with {', '.join(SUFFIXES)}, perhaps compressed by gzip or zstd. "
                + (f"Save {books[0]} as CSV" if books else "Name the folder that holds the data")
            )
        return found
    if path.is_file():
        if path.suffix.lower() in WORKBOOKS:
            raise InputError(f"{name} is an Excel workbook; expected CSV or Parquet. Save each of its sheets as CSV")
        return [path]
    found = sorted(Path(file) for file in glob.glob(name, recursive=True) if Path(file).is_file())
    if not found:
        raise InputError(f"{name}: there is no such file or folder, and no file matches it; name the files of the company")
    return found


def _is_table(file: Path) -> bool:
    if any(part.startswith((".", "_")) for part in file.parts):
        return False
    bare = file.with_suffix("") if file.suffix.lower() in COMPRESSED else file
    return bare.suffix.lower() in SUFFIXES


def _columns(file: Path, layout: Layout) -> list[str]:
    return open_parted(file, _described(file.name, layout, ()), where=str(file)).names


def _described(path: str, layout: Layout, columns: Sequence[str], **more: object) -> FileTable:
    # The canonical names do not matter here: a place in the file is a name that no other column has.
    named = {f"column {place}": name for place, name in enumerate(columns)}
    return FileTable.model_validate({"path": path, "columns": named, **layout, **more})


def _table(parts: list[tuple[Path, Layout]], *, into: Path) -> InspectedTable:
    files = [file for file, _ in parts]
    layout = next((layout for _, layout in parts if "encoding" in layout), parts[0][1])
    path = _pattern(files, into)
    names = _columns(files[0], layout)
    left_out: dict[str, str] = {}
    if len(names) > NAMES * 25:
        raise InputError(f"{files[0]} has {len(names):,} columns; expected the columns of a table. Leave the file out")
    twice = {name.rpartition("_duplicated_")[0] for name in names if "_duplicated_" in name}
    usable = [name for name in names if name.strip() and name not in twice and "_duplicated_" not in name]
    left_out |= dict.fromkeys(twice, "the header has this name more than once")
    if not usable:
        raise InputError(
            f"{files[0]} has no column that can be told by its name; it has {shown_names(names)}. Write a header"
        )
    # The folder may not be there yet, so that the way back out of it leads nowhere.
    lies = os.path.normpath(into / path)
    text = read_text(_described(lies, layout, usable), into, where=path, normalisation=NORMALISATION)
    by_name = {VARYING.sub("*", file.name): file.name for file in reversed(files)}
    several = tuple(sorted(by_name.values())) if len(by_name) > 1 else ()
    return InspectedTable(path, {"path": path, **layout}, text, tuple(usable), left_out, several_names=several)


def _pattern(files: list[Path], into: Path) -> str:
    """The name of a file, or the pattern that matches these files and no others, relative to a folder.

    Raises:
        InputError: if there is no such pattern.
    """
    names = [Path(os.path.relpath(file, into)).as_posix() for file in files]
    if len(names) == 1:
        return names[0]
    within = os.path.commonpath([str(Path(name).parent) for name in names])
    depth = len(Path(within).parts) if within else 0
    varied = {_varied(name, depth) for name in names}
    folders = {str(Path(name).parent.as_posix()) for name in varied}
    suffixes = {
        "".join(Path(name).suffixes[-2:] if Path(name).suffix in COMPRESSED else [Path(name).suffix]) for name in names
    }
    candidates = [*(varied if len(varied) == 1 else ())]
    if len(folders) == 1 and len(suffixes) == 1:
        common = _common_beginning([Path(name).name for name in names])
        candidates += [f"{folder}/{begin}*{suffix}" for folder in folders for suffix in suffixes for begin in (common, "")]
    wanted = {file.resolve() for file in files}
    for pattern in candidates:
        plainer = re.sub(r"\*(?:[-_.]?\*)+", "*", pattern).removeprefix("./")
        lies = os.path.normpath(into / plainer)
        matched = {Path(file).resolve() for file in glob.glob(lies, recursive=True)}
        if matched == wanted:  # another company's files may lie beside them
            return plainer
    raise InputError(
        f"{names[0]} and {len(names) - 1} more files have the same columns, but no pattern matches them alone; expected a table's files "
        "in a folder of their own. Move them, or name one of them"
    )


def _varied(name: str, depth: int) -> str:
    """A file's name with stars for what differs among parts of a table, below the folder that all of them share."""
    parts = Path(name).parts
    return Path(*parts[:depth], VARYING.sub("*", Path(*parts[depth:]).as_posix())).as_posix()


def _common_beginning(names: Sequence[str]) -> str:
    """The letters that all of some names begin with."""
    first, last = min(names), max(names)
    return first[: next((place for place, letter in enumerate(first) if last[place : place + 1] != letter), len(first))]
