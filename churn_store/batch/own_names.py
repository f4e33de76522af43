"""A file whose columns are called as the inputs of the release.

Belongs here: which of its columns are read. Does not belong here: formats (``tables``), and a company's own file (``mapped_table``).
"""

from collections.abc import Iterator

from churn_store.batch.columns import CUSTOMER_ID, Columns, id_written_as, near, refuse_keeping, require_id
from churn_store.batch.request import ScoringRequest
from churn_store.batch.tables import Chunk, open_table
from churn_store.errors import InputError
from churn_store.model.signature import Signature


class OwnNames:
    """A file in the release's own names.

    Args:
        asked: file to score, and how.
        signature: signature of the release.
        release: name of the release in messages.

    Attributes:
        columns: columns of its rows.
        notes: what a person should know of the way the file is read.

    Raises:
        InputError: if columns are missing, or the file can't be read.
    """

    def __init__(self, asked: ScoringRequest, signature: Signature, *, release: str) -> None:
        words = {column.name for column in signature.columns if column.kind == "category" and not column.nullable}
        self._table = open_table(asked.source, separator=asked.separator or ",", words=words)
        there, names = self._table.names, signature.names
        if missing := [name for name in names if name not in there]:
            described = ", ".join(f"{name}{near(name, there)}" for name in missing)
            raise InputError(
                f"{asked.source} lacks {len(missing)} of the {len(names)} columns that release {release} takes: {described}"
            )
        ids = (CUSTOMER_ID if CUSTOMER_ID in there else None) if asked.id_column is None else asked.id_column
        if ids is not None:
            require_id(ids, there, source=asked.source)
        written = None if ids is None else id_written_as(ids)
        refuse_keeping(asked.keep, there, ids=written, source=asked.source)
        self.columns = Columns(ids, asked.keep, {} if ids is None or written is None else {ids: written})
        self.notes: list[str] = []
        self._wanted = list(dict.fromkeys([*names, *([] if ids is None else [ids]), *asked.keep]))

    def chunks(self) -> Iterator[Chunk]:
        """All rows, part by part."""
        return self._table.chunks(self._wanted)
