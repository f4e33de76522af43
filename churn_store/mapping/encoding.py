"""Opens a CSV file as UTF-8, whatever its compression, its encoding and the ends of its lines are.

Belongs here: bytes. Does not belong here: columns (``csv_reader``).
"""

import codecs
import gzip
import io
import re
from pathlib import Path

from churn_store.errors import InputError
from churn_store.mapping.file_settings import Encoding, FileTable

UTF_8 = "utf-8"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
OTHERS = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"PAR1": "Parquet",
}
"""First bytes of files that are no CSV."""

JSON = re.compile(rb"\s*(?:\{|\[\s*[\[{])")
"""How a file of JSON begins, and no header of a table does."""

HEADER_END = re.compile(rb'(?:[^"\r\n]|"[^"]*")*(\r\n|\r|\n)')
"""A first line; the group is its end, where no quoted name holds it."""

ODD_END = re.compile(rb"\r+\n|\r")
"""Ends of lines in files whose first one ends with CR: of old Macintoshs, and CRLF that was written as CRCRLF."""

HEAD = 1 << 16
"""Bytes at the beginning of a file that are examined."""


def utf_8(file: Path, description: FileTable, *, where: str) -> Path | bytes:
    """The file, if it is plain UTF-8 with usual line ends, else its whole content as UTF-8.

    Lines may end with LF, CRLF or CR alone.

    Raises:
        InputError: if it is an archive or a workbook instead of CSV, or is in another encoding than its description says.
        OSError: if it can't be read, or its compressed content is cut off.
    """
    _refuse_others(file, where)
    compressed = _compression(file) is not None
    if description.encoding == UTF_8 and not compressed and not _has_odd_ends(_head(file)):
        _refuse_utf_16(_head(file), where)
        return file
    with _opened(file) as stream:
        content = stream.read()
    if description.encoding == UTF_8:
        _refuse_utf_16(content[:2], where)
    else:
        content = _decoded(content, description.encoding, where).encode()
    if _has_odd_ends(content[:HEAD]):
        content = ODD_END.sub(b"\n", content)
    return content


def not_utf_8(file: Path, where: str) -> InputError:
    """The message about a file that is not UTF-8; it names the first line that is not."""
    place = ""
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode(UTF_8)
            except UnicodeDecodeError:
                place = f" (line {number})"
                break
    return InputError(
        f"{where} is not encoded in UTF-8{place}; expected UTF-8. Write its `encoding` in churn.yaml, perhaps "
        "`encoding: windows-1252`, or save it as UTF-8"
    )


def _decoded(content: bytes, encoding: Encoding, where: str) -> str:
    # Any bytes are letters in the old encodings, any pairs of bytes in UTF-16; UTF-8 is hardly ever so by chance.
    telling = b"\0" not in content if encoding == "utf-16" else not content.isascii()
    if telling and _is_utf_8(content):
        raise InputError(
            f"{where} is encoded in UTF-8; expected {encoding}, as churn.yaml says. Take `encoding` out of churn.yaml"
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not encoded in {encoding} (byte {error.start}); expected the `encoding` that churn.yaml says. "
            "Change `encoding` or save the file as UTF-8"
        ) from error


def _has_odd_ends(begins: bytes) -> bool:
    header = HEADER_END.match(begins)
    return header is not None and header.group(1) == b"\r" and len(header.group()) < len(begins)


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode(UTF_8)
    except UnicodeDecodeError:
        return False
    return True


def _compression(file: Path) -> str | None:
    with open(file, "rb") as stream:
        begins = stream.read(4)
    return "gzip" if begins.startswith(GZIP) else "zstd" if begins == ZSTD else None


def _opened(file: Path) -> io.BufferedIOBase:
    compression = _compression(file)
    if compression == "gzip":
        return gzip.open(file)
    if compression == "zstd":
        import pyarrow as pa  # noqa: PLC0415 - for this compression alone

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(file)), "zstd"))
    return open(file, "rb")


def _head(file: Path) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(HEAD)


def _refuse_others(file: Path, where: str) -> None:
    with open(file, "rb") as stream:
        begins = stream.read(64)
    if JSON.match(begins.removeprefix(codecs.BOM_UTF8)):
        raise InputError(f"{where} is JSON; expected CSV, plain or compressed by gzip or zstd. Save it as CSV or Parquet")
    for magic, kind in OTHERS.items():
        if begins.startswith(magic):
            raise InputError(
                f"{where} is {kind}; expected CSV, plain or compressed by gzip or zstd. "
                + ("Write `format: parquet` in churn.yaml" if kind == "Parquet" else "Unpack it, or save it as CSV")
            )


def _refuse_utf_16(begins: bytes, where: str) -> None:
    if begins[:2] in UTF_16:
        raise InputError(
            f"{where} is encoded in UTF-16; expected UTF-8. Write `encoding: utf-16` in churn.yaml, or save it as UTF-8"
        )
