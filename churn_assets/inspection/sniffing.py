"""Finds out how a file is written: its format, its encoding, its separator, and the lines before its header.

Belongs here: bytes and lines. The result is a description as ``churn.yaml`` has it, by which ingest reads the file. Does not belong
here: what the columns hold (``columns``).
"""

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from churn_store.errors import InputError
from churn_store.mapping.csv_header import COMMENTS, SEPARATOR_LINE, SEPARATORS
from churn_store.mapping.encoding import utf_8
from churn_store.mapping.file_settings import FileTable
from churn_store.redaction import VALUE

HEAD = 1 << 18
"""Characters at the beginning of a file that are looked at."""

RECORDS = 200
TITLE_LINES = 20
"""So many lines may stand before the header."""


def sniffed(file: Path) -> dict[str, Any]:
    """What ``churn.yaml`` must say of a file so that it can be read: only what differs from the defaults.

    Raises:
        InputError: if it can't be read, is empty, has no header, or is an archive or a workbook.
    """
    try:
        with open(file, "rb") as stream:
            begins = stream.read(4)
    except OSError as error:
        raise InputError(f"{file} can't be opened ({error.strerror}); expected a file that this user may read") from error
    if begins == b"PAR1":
        return {"format": "parquet"}
    encoding, head = _decoded(file)
    if not head.strip():
        raise InputError(f"{file} is empty; expected a header and rows. Fill the file, or leave it out")
    separator, before, header = _layout(head)
    if len(header) > 1 and any(VALUE.fullmatch(name.strip()) for name in header if name.strip()):
        raise InputError(
            f"{file} has no header, its first line looks like a row; expected the names of the columns. Write them into the file"
        )
    found: dict[str, Any] = {}
    if separator != ",":
        found["separator"] = separator
    if before:
        found["skip_lines"] = before
    if encoding != "utf-8":
        found["encoding"] = encoding
    return found


def _decoded(file: Path) -> tuple[str, str]:
    """The encoding of a file, and its beginning."""
    last: Exception | None = None
    tried: Sequence[str] = ("utf-8", "windows-1252", "latin-1")
    while tried:
        encoding, *tried = tried
        try:
            content = utf_8(
                file, FileTable.model_validate({"path": "-", "columns": {}, "encoding": encoding}), where=str(file)
            )
            return encoding, _text(content)[:HEAD].removeprefix("\ufeff")
        except InputError as error:
            if encoding == "utf-8":
                if "UTF-16" not in str(error):
                    raise
                tried = ("utf-16",)  # any pairs of bytes are letters in it, so it is tried only where the file says so
            last = error
        except UnicodeDecodeError as error:
            last = error
        except (OSError, EOFError) as error:
            raise InputError(f"{file} can't be read ({error}); expected a whole file. Copy it again") from error
    raise InputError(
        f"{file} is in no encoding that is known here; expected UTF-8, UTF-16 or Windows-1252. Save it as UTF-8"
    ) from last


def _text(content: Path | bytes) -> str:
    """All of the text; an error in the middle of a file shows in its first read rather than at ingest."""
    if isinstance(content, bytes):
        return content.decode("utf-8")
    with open(content, encoding="utf-8", newline="") as stream:
        head = stream.read(HEAD)
        while stream.read(1 << 20):
            pass
    return head


def _layout(head: str) -> tuple[str, int, list[str]]:
    """The separator, the lines to skip before the header, and the header.

    The separator is the one by which most records have the same number of fields, more than one. Lines ``sep=;``, comments and blank
    lines before the header need no setting: ingest skips them by itself.
    """
    lines = head.splitlines(keepends=True)
    skipped = 0
    while skipped < len(lines) and _is_skipped(lines[skipped], skipped):
        skipped += 1
    named = next((match for line in lines[:skipped] if (match := SEPARATOR_LINE.fullmatch(line.strip()))), None)
    rest = lines[skipped:]
    best: tuple[float, int, str, int, list[str]] | None = None
    for separator in [named.group(1)] if named else SEPARATORS:
        records = _records(rest, separator)
        if not records:
            continue
        width = max(statistics.multimode(len(record) for _, record in records[1:] or records))
        if width < 2 and len(SEPARATORS) > 1 and not named:  # noqa: PLR2004
            continue
        fitting = sum(len(record) == width for _, record in records) / len(records)
        first = next(
            ((line, record) for line, record in records[:TITLE_LINES] if len(record) == width and _is_header(record)),
            records[0],
        )
        candidate = (fitting, width, separator, first[0], first[1])
        if best is None or candidate[:2] > best[:2]:
            best = candidate
    if best is None:
        return ",", 0, next(csv.reader(io.StringIO("".join(rest[:1]))), [])
    _, _, separator, title_lines, header = best
    return separator, skipped + title_lines if title_lines else 0, header


def _is_skipped(line: str, place: int) -> bool:
    bare = line.strip().strip("\ufeff")
    return (
        not bare.strip(",;\t|") or bare.startswith(COMMENTS) or (place == 0 and SEPARATOR_LINE.fullmatch(bare) is not None)
    )


def _is_header(record: Sequence[str]) -> bool:
    return sum(bool(name.strip()) for name in record) >= len(record) - 1


def _records(lines: Sequence[str], separator: str) -> list[tuple[int, list[str]]]:
    """Records with the number of lines before each; the last one may be cut off and is left out."""
    reader = csv.reader(iter(lines), delimiter=separator)
    found: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for record in reader:
            if record and any(field.strip() for field in record):
                found.append((before, record))
            before = reader.line_num
            if len(found) > RECORDS:
                break
    except csv.Error:
        pass
    return found[:-1] if len(found) > RECORDS else found
