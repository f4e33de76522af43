"""Bodies of requests that are files; what reads them is brought by the first one.

Belongs here: the way to the reader. Does not belong here: the reader (``predictions.company_files``), and rows (``predictions.file_rows``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from churn_api.http.file_type import FileType
from churn_api.predictions.file_rows import FileRow
from churn_store.mapping.file_settings import FileTable
from churn_store.model.signature import Signature


@dataclass(frozen=True)
class FileBodies:
    """Reads bodies that are files.

    Attributes:
        mapping: description of the company's table of customers; ``None`` to read the release's own names.
        max_rows: most rows of a body that is answered in one piece.
    """

    mapping: FileTable | None
    max_rows: int

    def rows(
        self, body: bytes, kind: FileType, signature: Signature, *, release: str, max_rows: int | None = None
    ) -> Iterator[FileRow]:
        """Read a body, and return its rows in the order of the file; values are made row by row as they are taken.

        For a thread beside the event loop: the first file of a process brings Polars and the mapping, which takes a good part of a second.

        Args:
            body: the file.
            kind: its kind.
            signature: inputs of the release.
            release: name of the release in messages.
            max_rows: most rows; default: those of the settings.

        Raises:
            Problem: if the body is not of its kind and encoding, lacks a column or has too many rows or none (400); or if it is
                compressed (415).
        """
        from churn_api.predictions.company_files import CompanyFile  # noqa: PLC0415 - see above

        at_most = self.max_rows if max_rows is None else max_rows
        return CompanyFile(self.mapping, at_most).rows(body, kind, signature, release=release)
