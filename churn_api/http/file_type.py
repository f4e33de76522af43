"""Whether a request's body is a file, and of which kind and encoding, by its Content-Type.

Belongs here: the header. Does not belong here: what the body holds (``predictions.file_bodies``, ``validation.parsing``).
"""

from dataclasses import dataclass
from email.message import Message
from typing import Final

from litestar.types import Scope

from churn_api.http.problems import Problem
from churn_store.mapping.file_settings import Encoding

ENCODINGS: Final[dict[str, Encoding]] = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8",
    "iso-8859-1": "latin-1", "latin-1": "latin-1", "latin1": "latin-1",
    "windows-1252": "windows-1252", "cp1252": "windows-1252",
    "utf-16": "utf-16",
}  # fmt: skip
"""Encodings by the names that a request may give them."""


@dataclass(frozen=True)
class CsvType:
    """A body that is CSV.

    Attributes:
        encoding: its encoding; ``None`` if the request does not say.
    """

    encoding: Encoding | None


@dataclass(frozen=True)
class ParquetType:
    """A body that is Parquet."""


FileType = CsvType | ParquetType

PARQUET: Final = ("application/vnd.apache.parquet", "application/x-parquet")
"""The registered name of Parquet, and the one that was usual before."""


def file_type(scope: Scope) -> FileType | None:
    """The type of a body that is a file; ``None`` if the request says that it is anything else, or nothing.

    Raises:
        Problem: as ``csv_type`` does.
    """
    for name, value in scope["headers"]:
        if name == b"content-type" and value.split(b";")[0].strip().lower().decode("latin-1") in PARQUET:
            return ParquetType()
    return csv_type(scope)


def csv_type(scope: Scope) -> CsvType | None:
    """The type of a body that is CSV; ``None`` if the request says that it is anything else, or nothing.

    Raises:
        Problem: if it is in an encoding that is not read (415).
    """
    for name, value in scope["headers"]:
        if name == b"content-type":
            said = Message()
            said["content-type"] = value.decode("latin-1")
            if said.get_content_type() != "text/csv" or not value.lower().lstrip().startswith(b"text/csv"):
                return None
            charset = said.get_param("charset")
            if charset is None:
                return CsvType(None)
            if not isinstance(charset, str) or (encoding := ENCODINGS.get(charset.strip().lower())) is None:
                raise Problem(
                    415,
                    "unsupported-charset",
                    f"The charset of the body is not read here; expected one of {', '.join(sorted(set(ENCODINGS.values())))}.",
                )
            return CsvType(encoding)
    return None
