"""Counts the fields of each record of a CSV file, and says on which line it begins.

Belongs here: separators, quotes and line ends. Does not belong here: columns and values (``csv_reader``), encodings
(``encoding``).
"""

import re
from collections.abc import Iterator
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
        width: number of fields of the header; 0 without a header.
        line: line on which each record begins, from 1.
        fields: number of fields of each record; 0 for one without any content: an empty line, or separators alone.
        may_swallow: whether a quote stands where none opens or closes a field, stays open to the end of the file, or goes over
            several lines: it may then have swallowed other records.
        is_cut_off: whether the last record lacks fields and the end of its line.
    """

    width: int
    line: Numbers
    fields: Numbers
    may_swallow: bool
    is_cut_off: bool


def records_of(content: Path | bytes, separator: str, *, skip_lines: int = 0) -> Records:
    """The records of a file with a header, split as Polars splits them.

    A quote at the beginning of a field ends with the next one that is not doubled; anywhere, a line break between two quotes
    ends no record.

    Args:
        content: the file, or its content, in UTF-8.
        separator: separator of fields, one ASCII character.
        skip_lines: number of lines before the header.
    """
    if isinstance(content, bytes):
        return _records(BytesIO(content), separator, skip_lines)
    with open(content, "rb") as stream:
        return _records(stream, separator, skip_lines)


def blocks_of(stream: BinaryIO, separator: str, *, size: int) -> Iterator[bytes]:
    """A file in blocks of whole records, so that each can be read by itself.

    Where a quote stays open for a whole block, it has no end: there a block ends with a line, so that only few lines are misread.

    Args:
        stream: the file, or what is left of it, in UTF-8.
        separator: separator of fields, one ASCII character.
        size: bytes that are read for a block.
    """
    rest = b""
    while read := stream.read(size):
        block = rest + read
        _, _, whole, _ = _split(block, separator.encode())
        if not whole and len(block) >= size:
            whole = block.rfind(b"\n") + 1
        if whole:
            yield block[:whole]
        rest = block[whole:]
    if rest:
        yield rest


def _records(stream: BinaryIO, separator: str, skip_lines: int) -> Records:
    lines, fields = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for _ in range(skip_lines):
        stream.readline()
    rest, behind, is_last, is_ended, is_odd = b"", 1 + skip_lines, False, True, False
    while not is_last:
        read = stream.read(BLOCK)
        is_last = not read
        is_ended = read.endswith((b"\n", b"\r")) if read else is_ended
        block = rest + read + (b"\n" if is_last and rest else b"")
        line, count, whole, has_odd = _split(block, separator.encode())
        is_odd |= has_odd
        lines.append(line + behind)
        fields.append(count)
        behind += block.count(b"\n", 0, whole)
        rest = block[whole:]
    line, count = np.concatenate(lines), np.concatenate(fields)
    header = int(np.flatnonzero(count)[0]) if count.any() else -1
    width, records = (int(count[header]), count[header + 1 :]) if header >= 0 else (0, count[:0])
    is_cut_off = not is_ended and not rest and records.size > 0 and 0 < records[-1] < width
    may_swallow = is_odd or bool(rest) or bool((np.diff(line, append=behind) > 1).any())
    return Records(width, line[header + 1 :], records, may_swallow, is_cut_off)


def _split(block: bytes, separator: bytes) -> tuple[Numbers, Numbers, int, bool]:
    """The lines before each complete record of a block, its number of fields, the end of the last one, and whether a quote is odd."""
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
    length -= (length > 0) & (data[ends - 1] == RETURN)
    is_blank = length == fields - 1
    for record in np.unique(np.searchsorted(ends, odd)):
        if record < ends.size:
            fields[record] = _fields(block[starts[record] : ends[record]], separator)
    fields[is_blank] = 0
    return np.searchsorted(breaks, starts[:-1]), fields, int(starts[-1]), bool(odd.size)


def _odd_quotes(data: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_], separator: bytes) -> Numbers:
    """Where a quote opens within a field: there it is a letter like others, and separators after it count."""
    opening = np.flatnonzero((data == QUOTE) & inside)
    opening = opening[opening > 0]
    return opening[~np.isin(data[opening - 1], [separator[0], NEWLINE, QUOTE])]


def _fields(record: bytes, separator: bytes) -> int:
    mark = re.escape(separator)
    return re.sub(rb"(?:^|(?<=" + mark + rb'))"(?:[^"]|"")*"', b"", record).count(separator) + 1
