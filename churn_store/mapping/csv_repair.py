"""Takes lines out of a CSV file whose quotes would swallow the lines after them.

Belongs here: which lines those are. Does not belong here: what becomes of them (``parse_errors``).
"""

import csv

QUOTE = b'"'

LONGEST_RECORD = 200
"""Lines after which a quoted line break is taken for a missing quote."""


def without_open_quotes(content: bytes, separator: str, *, skip_lines: int) -> tuple[bytes, list[int]]:
    """The content with an empty line for each line that opens a quote which no later line closes as it should.

    A record over several lines stays if each of its quotes opens or closes a field.

    Args:
        content: content of the file, in UTF-8.
        separator: separator of fields, one ASCII character.
        skip_lines: number of lines before the header.

    Returns:
        The content, and the numbers of the emptied lines, from 1.
    """
    *ended, last = content.split(b"\n")
    lines = [line + b"\n" for line in ended] + ([last] if last else [])
    emptied: list[int] = []
    place = skip_lines
    while place < len(lines):
        length = _record_length(lines, place, separator)
        if length == 0:
            emptied.append(place + 1)
            lines[place] = b"\n"
        place += max(1, length)
    return b"".join(lines), emptied


def _record_length(lines: list[bytes], start: int, separator: str) -> int:
    """How many lines the record has that begins at a line; 0 if its quotes make it none."""
    quotes = 0
    for length in range(1, min(LONGEST_RECORD, len(lines) - start) + 1):
        quotes += lines[start + length - 1].count(QUOTE)
        if quotes % 2 == 0:
            return length if length == 1 or _is_record(lines[start : start + length], separator) else 0
    return 0


def _is_record(lines: list[bytes], separator: str) -> bool:
    try:
        text = [line.decode() for line in lines]
        records = list(csv.reader(text, delimiter=separator, strict=True))
    except (csv.Error, UnicodeDecodeError):
        return False
    return len(records) == 1
