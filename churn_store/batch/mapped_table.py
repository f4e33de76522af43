"""A company's own file, read by the mapping of ``churn.yaml`` that ingest reads its table of customers by.

Belongs here: whether a file fits the mapping and the release, and the places of its rows. Does not belong here: how it is read
(``churn_store.mapping.parts``) and what its values mean (``churn_store.mapping.model_inputs``).
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from churn_store.batch.columns import CUSTOMER_ID, LABEL, Columns, id_written_as, refuse_keeping, require_id
from churn_store.batch.request import ScoringRequest
from churn_store.batch.tables import ENDINGS, FIRST_LINE, LINE, NOT_READ, ROW, Chunk, format_of
from churn_store.errors import InputError
from churn_store.mapping.company import refuse_other_inputs
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.model_inputs import model_inputs, needed
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
        given = {
            "format": _format(asked.source, description),
            **({"separator": asked.separator} if asked.separator else {}),
        }
        described = description.model_copy(update=given)
        if not asked.source.is_file():
            raise InputError(f"{asked.source} does not exist, or is a folder; expected a CSV or Parquet file")
        self._file = open_parted(asked.source, needed(described, signature.names), where=WHERE)
        there = self._file.names
        _refuse_other_names(described, signature, there, source=asked.source, release=release)
        whole, self.notes = needed(described, signature.names, there), []
        mapped_id = described.columns.get(CUSTOMER_ID)
        if asked.id_column is not None:
            require_id(asked.id_column, there, source=asked.source)
            whole = needed(described, signature.names).model_copy(update={"columns": {CUSTOMER_ID: asked.id_column}})
        elif mapped_id is not None and CUSTOMER_ID not in whole.columns:
            lacks = (
                f"column {shown_names([mapped_id])}"
                if described.has_ids
                else "ids, and not all columns that they are made of"
            )
            self.notes.append(
                f"{asked.source} has no {lacks}, which churn.yaml reads as customer_id: the scores have the position of each row instead"
                + ('. If its first column, which has no name, holds the ids, use --id ""' if "" in there else "")
            )
        column = whole.columns.get(CUSTOMER_ID)
        written = None if column is None else CUSTOMER_ID if column == mapped_id else id_written_as(column)
        refuse_keeping(asked.keep, there, ids=written, source=asked.source)
        self._description, self._inputs = whole, signature.names
        self._keep = asked.keep
        self.columns = Columns(
            ids=None if column is None else CUSTOMER_ID,
            kept=tuple(f"{KEPT}{name}" for name in asked.keep),
            has_labels=whole.label is not None,
            written_as={
                **({} if written is None else {CUSTOMER_ID: written}),
                **{f"{KEPT}{name}": name for name in asked.keep},
            },
        )

    def chunks(self) -> Iterator[Chunk]:
        """All rows, part by part."""
        before = 0
        # Ids that are digests count equal rows, so that all rows have to be there.
        for part in self._file.parts(self._description, keep=self._keep, whole=not self._description.has_ids):
            inputs = model_inputs(part.text, self._description, where=WHERE)
            self.notes.extend(note for note in inputs.notes if note not in self.notes)
            kept = part.kept.rename({name: f"{KEPT}{name}" for name in part.kept.columns})
            ids = [] if self.columns.ids is None else [self.columns.ids]
            known = [] if inputs.labels is None else [inputs.labels.alias(LABEL)]
            rows = inputs.rows.select(*self._inputs, *ids).hstack(kept).hstack([*known, inputs.unreadable.alias(NOT_READ)])
            chunk = _placed(rows, part.text, before)
            before += chunk.rows.height + len(chunk.broken)
            yield chunk


def _refuse_other_names(
    description: FileTable, signature: Signature, there: list[str], *, source: Path, release: str
) -> None:
    """Refuse a file without the columns of the mapping; the message names both ways to read it."""
    raw = [description.attributes[name].column for name in signature.names]
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
    counted = pl.format("{} fields, expected {}", FIELDS, EXPECTED)
    reasons = text.ragged.select(pl.coalesce(counted, pl.lit("a quote has no end"))).to_series()
    return Chunk(placed, list(zip(row.tail(ragged.len()), ragged, reasons, strict=True)))
