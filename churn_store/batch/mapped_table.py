"""A company's own file, read by the mapping of ``churn.yaml`` that ingest reads its table of customers by.

Belongs here: whether a file fits the mapping and the release, and the places of its rows. Does not belong here: how it is read
(``churn_store.mapping.parts``) and what its values mean (``churn_store.mapping.model_inputs``).
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from churn_store.batch.columns import CUSTOMER_ID, Columns, id_written_as, refuse_keeping, require_id
from churn_store.batch.request import ScoringRequest
from churn_store.batch.tables import ENDINGS, FIRST_LINE, LINE, NOT_READ, ROW, Chunk, format_of
from churn_store.errors import InputError
from churn_store.mapping.company import refuse_other_inputs
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.model_inputs import model_inputs, reduced
from churn_store.mapping.parts import open_parted
from churn_store.mapping.text import EXPECTED, FIELDS, MappedText
from churn_store.mapping.text import LINE as LINE_OF_TEXT
from churn_store.model.signature import Signature
from churn_store.redaction import shown_names

WHERE = "source.customers"
"""The section of ``churn.yaml`` that messages name."""

KEPT = "\0\0kept "
"""Beginning of the names of kept columns among the inputs, which may be called as they are in the file."""


class MappedFile:
    """A company's own file.

    Args:
        asked: file to score, and how.
        description: description of the table of customers.
        signature: signature of the release.
        release: name of the release in messages.

    Attributes:
        columns: columns of its rows.
        notes: what a person should know of the way the file is read.

    Raises:
        InputError: if the release, the mapping and the file don't fit, or the file can't be read.
    """

    def __init__(self, asked: ScoringRequest, description: FileTable, signature: Signature, *, release: str) -> None:
        refuse_other_inputs(description, signature, release=release)
        separator = asked.separator or description.separator
        as_it_is = {"format": _format(asked.source, description), "separator": separator}
        whole = reduced(description.model_copy(update=as_it_is), signature.names)
        if not asked.source.is_file():
            raise InputError(f"{asked.source} does not exist, or is a folder; expected a CSV or Parquet file")
        self._file = open_parted(asked.source, whole, where=WHERE)
        there = self._file.names
        _refuse_other_names(whole, signature, there, source=asked.source, release=release)
        mapped_id, self.notes = whole.columns.get(CUSTOMER_ID), []
        column = asked.id_column if asked.id_column is not None else mapped_id
        if asked.id_column is None and mapped_id is not None and mapped_id not in there:
            self.notes.append(
                f"{asked.source} has no column {shown_names([mapped_id])}, which churn.yaml reads as customer_id: the scores have "
                "the position of each row instead"
            )
            column = None
        if column is not None:
            require_id(column, there, source=asked.source)
        written = None if column is None else CUSTOMER_ID if column == mapped_id else id_written_as(column)
        refuse_keeping(asked.keep, there, ids=written, source=asked.source)
        self._description = whole.model_copy(update={"columns": {} if column is None else {CUSTOMER_ID: column}})
        self._keep = asked.keep
        self.columns = Columns(
            ids=None if column is None else CUSTOMER_ID,
            kept=tuple(f"{KEPT}{name}" for name in asked.keep),
            written_as={
                **({} if written is None else {CUSTOMER_ID: written}),
                **{f"{KEPT}{name}": name for name in asked.keep},
            },
        )

    def chunks(self) -> Iterator[Chunk]:
        """All rows, part by part."""
        before = 0
        for part in self._file.parts(self._description, keep=self._keep):
            inputs = model_inputs(part.text, self._description, where=WHERE)
            kept = part.kept.rename({name: f"{KEPT}{name}" for name in part.kept.columns})
            rows = inputs.rows.hstack(kept).hstack([inputs.unreadable.alias(NOT_READ)])
            chunk = _placed(rows, part.text, before)
            before += chunk.rows.height + len(chunk.broken)
            yield chunk


def _refuse_other_names(
    description: FileTable, signature: Signature, there: list[str], *, source: Path, release: str
) -> None:
    """Refuse a file without the columns of the mapping; the message names both ways to read it."""
    raw = [attribute.column for attribute in description.attributes.values()]
    missing = [name for name in dict.fromkeys(raw) if name not in there]
    if twice := [name for name in dict.fromkeys(raw) if f"{name}_duplicated_0" in there or there.count(name) > 1]:
        raise InputError(f"{source} has several columns {shown_names(twice)}; expected one. Rename the others in the file")
    if not missing:
        return
    own = [name for name in signature.names if name not in there]
    lacks = f"{source} lacks {len(missing)} columns of the mapping in churn.yaml: {shown_names(missing)}"
    if not own:
        raise InputError(f"{lacks}; it has release {release}'s own names: score it with --like-release")
    raise InputError(
        f"{lacks}; and {len(own)} of release {release}'s own names: {shown_names(own)}. Score the file that source.customers "
        "describes (look at its separator, too), or with --like-release a table in the release's own names"
    )


def _format(source: Path, description: FileTable) -> str:
    """The format by the ending of the name; with another ending, that of the company's own file."""
    return format_of(source) if source.name.lower().endswith(tuple(ENDINGS)) else description.format


def _placed(rows: pl.DataFrame, text: MappedText, before: int) -> Chunk:
    """Rows and lines with too many or too few fields, with their positions in the file."""
    if text.counted != "line":
        return Chunk(rows.with_columns(pl.int_range(before + 1, before + 1 + pl.len()).alias(ROW)))
    lines = text.rows[LINE_OF_TEXT]
    ragged = text.ragged[LINE_OF_TEXT]
    row = pl.concat([lines, ragged]).rank("ordinal").cast(pl.Int64) + before
    placed = rows.hstack(
        [row.head(lines.len()).alias(ROW), lines.alias(FIRST_LINE), lines.alias(LINE)],
    )
    reasons = text.ragged.select(pl.format("{} fields, expected {}", FIELDS, EXPECTED)).to_series()
    return Chunk(placed, list(zip(row.tail(ragged.len()), ragged, reasons, strict=True)))
