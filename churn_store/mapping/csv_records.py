"""Counts the fields of each record of a CSV file, and says on which line it begins.

Belongs here: separators, quotes and line ends. Does not belong here: columns and values (``csv_reader``), encodings
(``encoding``).
"""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

QUOTE, NEWLINE, RETURN = b'"\n\r'

BLOCK = 1 << 20
"""Bytes that are examined at once."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Records:
    """The records of a file after its header, in their order.

    Attributes:
        line: line on which each record begins, from 1.
        fields: number of fields of each record; 0 for an empty line.
    """

    line: Numbers
    fields: Numbers


def records_of(content: Path | bytes, separator: str) -> Records:
    """The records of a file with a header, split as Polars splits them.

    A quote at the beginning of a field ends with the next one that is not doubled; anywhere, a line break between two quotes
    ends no record.

    Args:
        content: the file, or its content, in UTF-8.
        separator: separator of fields, one ASCII character.
    """
    if isinstance(content, bytes):
        return _records(BytesIO(content), separator)
    with open(content, "rb") as stream:
        return _records(stream, separator)


def _records(stream: BinaryIO, separator: str) -> Records:
    lines, fields = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    rest, behind, is_last = b"", 1, False
    while not is_last:
        read = stream.read(BLOCK)
        is_last = not read
        block = rest + read + (b"\n" if is_last and rest else b"")
        line, count, whole = _split(block, separator.encode())
        lines.append(line + behind)
        fields.append(count)
        behind += block.count(b"\n", 0, whole)
        rest = block[whole:]
    line, count = np.concatenate(lines), np.concatenate(fields)
    after_header = np.flatnonzero(count)[0] + 1 if count.any() else 0
    return Records(line[after_header:], count[after_header:])


def _split(block: bytes, separator: bytes) -> tuple[Numbers, Numbers, int]:
    """The lines before each complete record of a block, its number of fields, and the end of the last one."""
    data = np.frombuffer(block, np.uint8)
    breaks, between = np.flatnonzero(data == NEWLINE), np.flatnonzero(data == separator[0])
    ends, odd = breaks, np.zeros(0, np.int64)
    if b'"' in block:
        # The sum may overflow: only its last bit counts, whether a byte stands after an odd number of quotes.
        inside = (np.cumsum(data == QUOTE, dtype=np.uint8) & 1).view(np.bool_)
        ends, between = breaks[~inside[breaks]], between[~inside[between]]
        odd = _odd_quotes(data, inside, separator)
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    fields = np.diff(np.searchsorted(between, ends), prepend=0) + 1
    length = ends - starts[:-1]
    fields[(length == 0) | ((length == 1) & (data[starts[:-1]] == RETURN))] = 0
    for record in np.unique(np.searchsorted(ends, odd)):
        if record < ends.size:
            fields[record] = _fields(block[starts[record] : ends[record]], separator)
    return np.searchsorted(breaks, starts[:-1]), fields, int(starts[-1])


def _odd_quotes(data: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_], separator: bytes) -> Numbers:
    """Where a quote opens within a field: there it is a letter like others, and separators after it count."""
    opening = np.flatnonzero((data == QUOTE) & inside)
    opening = opening[opening > 0]
    return opening[~np.isin(data[opening - 1], [separator[0], NEWLINE, QUOTE])]


def _fields(record: bytes, separator: bytes) -> int:
    mark = re.escape(separator)
    return re.sub(rb"(?:^|(?<=" + mark + rb'))"(?:[^"]|"")*"', b"", record).count(separator) + 1
