"""Two files of one company, compared as a window is with the baseline: `churn drift` and `churn report`.

A file is read by the mapping of ``churn.yaml``, as ingest and `churn score` read the table of customers, or by its own columns where no such table is
mapped. Belongs here: reading both sides alike, and their comparison. Does not belong here: how a file's values are read
(``churn_store.mapping``), and the rule (``drift``).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from churn_assets.monitoring.judged_windows import Against, Comparer, in_order
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.monitoring import Monitoring
from churn_store.batch.tables import ROW, format_of, open_table
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.model_inputs import model_inputs, needed
from churn_store.mapping.parts import open_parted
from churn_store.mapping.tables import PERSON
from churn_store.model.signature import MISSING_CATEGORY, Column, Signature
from churn_store.monitoring.facts import DriftWindow
from churn_store.redaction import shown_names

WHERE: Final = "source.customers"
MOST_WORDS: Final = 1_000
"""Most words of a column of text; with more it is an id or free text."""

EACH_ITS_OWN: Final = 0.99
"""Share of different values from which on words and whole numbers are ids."""

NOT_FEATURES: Final = frozenset({PERSON, "snapshot_s"})
"""Columns of the platform's own files that are no features."""


@dataclass(frozen=True)
class TwoFiles:
    """Two files with the same columns.

    Attributes:
        columns: columns that are compared.
        baseline: rows of the file that is compared with; ``None`` where one file is looked at alone.
        current: rows of the other.
        notes: what a person should know of the way they were read.
    """

    columns: tuple[Column, ...]
    baseline: pl.DataFrame | None
    current: pl.DataFrame
    notes: tuple[str, ...]


def read_files(
    baseline: Path | None,
    current: Path,
    mapping: FileTable | None,
    *,
    leave_out: Collection[str] = (),
    separator: str | None = None,
) -> TwoFiles:
    """Read two files alike.

    Args:
        baseline: the file that is compared with; ``None`` for none.
        current: the other.
        mapping: description of the table of customers; ``None`` to read the files by their own columns.
        leave_out: columns that are left out.
        separator: field separator of CSV; ``None`` for that of the mapping, or a comma.

    Raises:
        InputError: if a file can't be read, has no rows, lacks a column that the baseline has, or no column is left.
    """
    if separator is not None and (len(separator) != 1 or not separator.isascii()):
        raise InputError(f"--separator has {len(separator)} characters; expected one ASCII character, such as ; or a tab")
    notes: list[str] = []
    files = [file for file in (baseline, current) if file is not None]
    if mapping is None:
        raw = [_own_columns(file, separator or ",") for file in files]
        columns = _described(raw[0], leave_out, notes)
        frames = [_typed(frame, columns, file, notes) for frame, file in zip(raw, files, strict=True)]
    else:
        described = mapping if separator is None else mapping.model_copy(update={"separator": separator})
        columns = _mapped_columns(described, leave_out)
        frames = [_mapped(file, described, columns, notes) for file in files]
        raw = frames
    there = [set(frame.columns) for frame in raw]
    if unknown := sorted(set(leave_out) - set().union(*there)):
        raise InputError(f"no file has {shown_names(unknown)}, which --leave-out names; expected columns of the files")
    if lacking := [column.name for column in columns if column.name in there[0] and column.name not in there[-1]]:
        raise InputError(
            f"{files[-1]} lacks {shown_names(lacking)}, which {files[0]} has; expected the columns of both to be the same. Add them, or use "
            "--leave-out"
        )
    for file, frame in zip(files, frames, strict=True):
        if not frame.height:
            raise InputError(f"{file} has no rows that can be read; expected customers. Fill the file")
    compared = tuple(column for column in columns if all(column.name in names for names in there))
    if new := sorted(there[-1] - there[0] - NOT_FEATURES - set(leave_out)):
        notes.append(f"{files[-1]} has {shown_names(new)}, which {files[0]} does not have: not compared")
    if not compared:
        raise InputError(f"{files[0]} has no column that can be compared; expected numbers or words. " + "; ".join(notes))
    before = frames[0] if baseline is not None else None
    return TwoFiles(_with_words(compared, frames[0]), before, frames[-1], tuple(notes))


def compare_files(files: TwoFiles, rule: Monitoring, evaluation: EvaluationSettings) -> list[DriftWindow]:
    """The current file as a window against the other: of all rows, and of each segment.

    Args:
        files: both files.
        rule: bounds of the drift rule; one window decides alone.
        evaluation: settings of the segments.
    """
    against = Against(
        "", "", Signature(files.columns), files.baseline, frozenset(), {}, rule, _known(evaluation, files.columns)
    )
    compared = list(Comparer(against).compared("current", "snapshot", files.current, with_segments=True))
    return in_order(compared, [], against)


def _known(evaluation: EvaluationSettings, columns: Sequence[Column]) -> EvaluationSettings:
    """The settings of the segments without those that a file does not have."""
    words = {column.name for column in columns if column.kind == "category"}
    return evaluation.model_copy(update={"segments": tuple(name for name in evaluation.segments if name in words)})


def _mapped_columns(mapping: FileTable, leave_out: Collection[str]) -> list[Column]:
    return [
        Column(
            name=name,
            kind=one.kind,
            nullable=one.nullable,
            low=one.low,
            high=one.high,
            unit=one.unit,
            description=one.description,
        )
        for name, one in mapping.attributes.items()
        if name not in leave_out and one.column not in leave_out
    ]


def _mapped(file: Path, mapping: FileTable, columns: Sequence[Column], notes: list[str]) -> pl.DataFrame:
    """The attributes of a company's own file that it has."""
    if not file.is_file():
        raise InputError(f"{file} does not exist, or is a folder; expected a CSV or Parquet file")
    wanted = needed(mapping.model_copy(update={"format": format_of(file)}), [column.name for column in columns])
    opened = open_parted(file, wanted, where=WHERE)
    names = [name for name, attribute in wanted.attributes.items() if attribute.column in opened.names]
    if not names:
        raise InputError(
            f"{file} has none of the columns that source.customers.attributes of churn.yaml maps; expected the company's own file. Use "
            "--own-columns for a table in other names"
        )
    whole = needed(wanted, names).model_copy(update={"columns": {}})
    parts, unread = [], 0
    for part in opened.parts(whole):
        inputs = model_inputs(part.text, whole, where=WHERE)
        parts.append(inputs.rows.select(names).filter(inputs.unreadable.is_null()))
        unread += inputs.unreadable.count() + part.text.ragged.height
    if unread:
        notes.append(f"{unread:,} rows of {file} can't be read and are left out; `churn validate {file}` says why")
    return pl.concat(parts)


def _own_columns(file: Path, separator: str) -> pl.DataFrame:
    table = open_table(file, separator=separator)
    return pl.concat([chunk.rows.select(table.names) for chunk in table.chunks(table.names)] or [pl.DataFrame()])


def _described(frame: pl.DataFrame, leave_out: Collection[str], notes: list[str]) -> list[Column]:
    """The columns of a file by what its values are: numbers, or words of which there are not too many."""
    found = []
    for name in frame.columns:
        if name in NOT_FEATURES or name in leave_out or name == ROW:
            continue
        values = frame[name].drop_nulls()
        numbers = (
            values.cast(pl.Float64, strict=False) if not values.dtype.is_nested() else pl.Series([None] * values.len())
        )
        is_number = values.len() > 0 and numbers.null_count() == 0 and values.dtype != pl.Boolean
        is_whole = is_number and bool((numbers == numbers.round()).all())
        different = values.n_unique() if not values.dtype.is_nested() else values.len()
        is_id = values.len() > 1 and different >= EACH_ITS_OWN * values.len() and (is_whole or not is_number)
        if is_id or values.dtype.is_nested() or values.dtype.is_temporal() or (not is_number and different > MOST_WORDS):
            notes.append(f"{shown_names([name])} is left out: its values are ids, times or free text")
        else:
            found.append(Column(name=name, kind="number" if is_number else "category", nullable=True))
    return found


def _typed(frame: pl.DataFrame, columns: Sequence[Column], file: Path, notes: list[str]) -> pl.DataFrame:
    """The columns as numbers and words; what is no number in a column of numbers counts as missing, and is told."""
    typed = []
    for column in columns:
        if column.name not in frame.columns:
            continue
        values = frame[column.name]
        if column.kind == "category":
            typed.append(values.cast(pl.String))
            continue
        numbers = values.cast(pl.Float64, strict=False)
        if lost := numbers.null_count() - values.null_count():
            notes.append(f"{lost:,} values of {shown_names([column.name])} in {file} are no numbers: they count as missing")
        typed.append(numbers)
    return pl.DataFrame(typed)


def _with_words(columns: Sequence[Column], frame: pl.DataFrame) -> tuple[Column, ...]:
    """The columns with the words of the file that is compared with, as a release's have those of its training."""
    return tuple(
        Column(
            name=column.name,
            kind=column.kind,
            nullable=column.nullable,
            low=column.low,
            high=column.high,
            categories=tuple(sorted(set(frame[column.name].drop_nulls()) - {MISSING_CATEGORY}))
            if column.kind == "category"
            else (),
        )
        for column in columns
    )
