"""Finds the header of a CSV file: behind lines that were asked to be skipped, a line ``sep=;``, comments and blank lines.

Belongs here: the lines before the first record, and sentences about a header that does not fit. Does not belong here: the rows
(``csv_reader``).
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from churn_store.errors import InputError
from churn_store.mapping.file_settings import FileTable
from churn_store.redaction import VALUE, shown_names

SEPARATORS = (",", ";", "\t", "|")
"""Other common separators of fields."""

SEPARATOR_LINE = re.compile(r"""\ufeff?["']?sep=(.)["']?\s*""", re.IGNORECASE)
"""What spreadsheets write before a header; the group is the separator of fields."""

COMMENTS = ("#", "//", "--")

FIRST_LINES = 50
"""Lines after the skipped ones that are examined."""


@dataclass(frozen=True)
class Header:
    """Where a file's header is.

    Attributes:
        skip_lines: number of lines before it.
        separator: separator of fields.
        advice: what to write into churn.yaml if the header seems to be further down; empty if it does not.
    """

    skip_lines: int
    separator: str
    advice: str = ""


def find_header(content: Path | bytes, description: FileTable, *, where: str) -> Header:
    """Where the header is.

    Args:
        content: the file, or its content, in UTF-8.
        description: description of the table.
        where: name of the table or file, with which every error message begins.

    Raises:
        InputError: if a line ``sep=`` names another separator than churn.yaml.
    """
    lines = _first_lines(content, description.skip_lines)
    separator, skipped = description.separator, 0
    for line in lines:
        named = SEPARATOR_LINE.fullmatch(line)
        if named and skipped == 0:
            separator = _agreed(named.group(1), description, where)
        elif not (_is_blank(line, separator) or _is_comment(line, separator, description.mapped)):
            break
        skipped += 1
    return Header(
        description.skip_lines + skipped, separator, _further_down(lines[skipped:], separator, description, skipped)
    )


def refuse_no_header(has: Sequence[str], wanted: Sequence[str], header: Header, where: str) -> None:
    """Refuse a first line without any mapped name. Its words are not shown: where it is a row, they are a customer's.

    Raises:
        InputError: if it has none.
    """
    if set(has) & set(wanted):
        return
    if header.advice:
        raise InputError(
            f"{where} has no column {shown_names(wanted)} in the line where its header is expected. {header.advice}"
        )
    if any(VALUE.fullmatch(name) for name in has):
        raise InputError(
            f"{where} has no header, its first line looks like a row; expected the names of the columns. "
            "Write them into the file"
        )
    for separator in SEPARATORS:
        if len(has) == 1 and set(has[0].split(separator)) & set(wanted):
            named, written = ("tabs", r"\t") if separator == "\t" else (repr(separator), separator)
            raise InputError(
                f"{where} has one column; expected {shown_names(wanted)}. Its fields seem to be separated by "
                f'{named}: write `separator: "{written}"` in churn.yaml'
            )
    raise InputError(
        f"{where} has no column {shown_names(wanted)}; its first line has {len(has)} fields and none of these names, and is not shown, "
        "as it may be a row. Change the mapping in churn.yaml, or write a header into the file"
    )


def _first_lines(content: Path | bytes, skip_lines: int) -> list[str]:
    if isinstance(content, bytes):
        lines = content.split(b"\n", skip_lines + FIRST_LINES)[: skip_lines + FIRST_LINES]
    else:
        with open(content, "rb") as stream:
            lines = list(islice(stream, skip_lines + FIRST_LINES))
    return [line.decode("utf-8", errors="replace").rstrip("\r\n") for line in lines[skip_lines:]]


def _agreed(named: str, description: FileTable, where: str) -> str:
    if "separator" in description.model_fields_set and description.separator != named:
        raise InputError(
            f"{where} says in its first line that {named!r} separates its fields; expected {description.separator!r}, as churn.yaml "
            "says. Take `separator` out of churn.yaml, or that line out of the file"
        )
    return named


def _is_blank(line: str, separator: str) -> bool:
    return not line.strip("\ufeff").replace(separator, "").strip()


def _is_comment(line: str, separator: str, wanted: Sequence[str]) -> bool:
    line = line.strip("\ufeff")
    return line.startswith(COMMENTS) and not set(_fields(line, separator)) & set(wanted)


def _further_down(lines: Sequence[str], separator: str, description: FileTable, skipped: int) -> str:
    """Advice if the first line has no mapped name, and a later one has them all."""
    wanted = set(description.mapped)
    if not lines or wanted & set(_fields(lines[0], separator)):
        return ""
    for place, line in enumerate(lines):
        if place and wanted <= set(_fields(line, separator)):
            before = description.skip_lines + skipped + place
            return f"Its header seems to be line {before + 1}: write `skip_lines: {before}` in churn.yaml"
    return ""


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line.strip("\ufeff")], delimiter=separator), [])
    except csv.Error:
        return []
