"""Reads the mapped columns of a table's files as the text that they hold, each row with its place.

Belongs here: which files a table has, and the messages when one can't be read. Does not belong here: its bytes (``encoding``) and
what the text means (``canonical``).
"""

import glob
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from churn_store.errors import InputError
from churn_store.mapping.csv_header import find_header, refuse_no_header
from churn_store.mapping.csv_records import records_of
from churn_store.mapping.csv_repair import without_open_quotes
from churn_store.mapping.encoding import not_utf_8, utf_8
from churn_store.mapping.file_settings import FileTable
from churn_store.mapping.money import currency_column
from churn_store.mapping.text import CURRENCY, EXPECTED, FIELDS, FILE, LINE, RAGGED, MappedText, as_text
from churn_store.model.words import NORMALISATION
from churn_store.redaction import MAIL, shown_names


@dataclass(frozen=True)
class _Read:
    name: str
    rows: pl.DataFrame
    types: dict[str, pl.DataType]
    ragged: pl.DataFrame
    blank: int
    currency: str | None


def matching_files(description: FileTable, folder: Path, *, where: str) -> list[str]:
    """The files of a table, in the order of their names: the one that is called so, or all that the pattern matches.

    Raises:
        InputError: if there is none.
    """
    pattern = str(folder / description.path)
    if Path(pattern).is_file():
        return [pattern]
    matches = sorted(glob.glob(os.path.join(glob.escape(str(folder)), description.path), recursive=True))
    found = [file for file in matches if Path(file).is_file()]
    if not found and matches:
        raise InputError(
            f"{where}: {pattern} is a folder; expected a file. Name the files in it in churn.yaml, like "
            f"`path: {description.path.rstrip('/')}/*.{description.format}`"
        )
    if not found:
        raise InputError(f"{where}: no file matches {pattern}; put the file there or change `path` in churn.yaml")
    return found


def read_text(
    description: FileTable,
    folder: Path,
    *,
    where: str,
    normalisation: int = NORMALISATION,
    set_aside: Callable[[str, InputError], None] | None = None,
) -> MappedText:
    """The mapped columns of all files as text; words that stand for a missing value are missing.

    Args:
        description: description of the table.
        folder: folder that paths are relative to.
        where: name of the table or file, with which every error message begins.
        normalisation: version of how words are written.
        set_aside: function that is called with the name of each file that can't be read, and the reason; the others are read. Without
            it, or if none can be read, the reason is raised.

    Raises:
        InputError: if a file is missing, not of its format or encoding, cut off, of other types than the others, or without a
            mapped column; or if the files have no row.
    """
    files = matching_files(description, folder, where=where)
    read, broken = [], {}
    for file in files:
        try:
            found = _file(Path(file), description, folder, where, is_only=len(files) == 1, normalisation=normalisation)
        except InputError as error:
            if set_aside is None:
                raise
            broken[_name(Path(file), folder)] = error
            continue
        if found is not None:
            read.append(found)
    if broken and not read:
        raise next(iter(broken.values()))
    if set_aside is not None:
        for name, reason in broken.items():
            set_aside(name, reason)
    if sum(found.rows.height + found.ragged.height for found in read) == 0:
        raise InputError(f"{where}: no rows; expected at least one. Fill the file or change `path` in churn.yaml")
    types = _common_types(read, where)
    return MappedText(
        pl.concat(found.rows for found in read),
        times=frozenset(name for name, kind in types.items() if kind.is_temporal()),
        numbers=frozenset(name for name, kind in types.items() if kind.is_numeric()),
        truths=frozenset(name for name, kind in types.items() if kind == pl.Boolean),
        normalisation=normalisation,
        counted="line" if description.format == "csv" else "row",
        ragged=pl.concat(found.ragged for found in read),
        currency_column=next((found.currency for found in read if found.currency is not None), None),
        notes=_notes(read),
    )


def _notes(read: Sequence[_Read]) -> tuple[str, ...]:
    blank = sum(found.blank for found in read)
    return (
        (f"{blank:,} {'line' if blank == 1 else 'lines'} without any content {'was' if blank == 1 else 'were'} skipped",)
        if blank
        else ()
    )


def _file(
    file: Path, description: FileTable, folder: Path, table: str, *, is_only: bool, normalisation: int
) -> _Read | None:
    """A file's rows; none of an empty file if the table has other files."""
    name = _name(file, folder)
    where = f"{table}: {name}"
    try:
        if description.format == "csv":
            read = _csv(utf_8(file, description, where=where), description, where, normalisation)
        else:
            read = _parquet(file, description, where, normalisation)
    except pl.exceptions.NoDataError as error:
        if not is_only:
            return None
        raise InputError(
            f"{where} is empty; expected a header and rows. Fill the file or change `path` in churn.yaml"
        ) from error
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeError, zlib.error) as error:
        if "utf-8" in str(error).lower():
            raise not_utf_8(file, where) from error
        raise InputError(
            f"{where} can't be read: {_reason(error)}; expected {_expected(description)}. Change the file, or "
            "`format` and `separator` in churn.yaml"
        ) from error
    rows, ragged = (frame.with_columns(pl.lit(name).alias(FILE)) for frame in (read.rows, read.ragged))
    return replace(read, name=name, rows=rows, ragged=ragged)


def _name(file: Path, folder: Path) -> str:
    """A file's name in messages: its path within the folder."""
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name


def _parquet(file: Path, description: FileTable, where: str, normalisation: int) -> _Read:
    lazy = pl.scan_parquet(file, glob=False)
    schema = lazy.collect_schema()
    _refuse_missing(list(schema), description.mapped, where)
    currency = currency_column(schema, description)
    text = lazy.select(_texts(schema, description, currency, normalisation)).collect()
    rows = text.with_columns(pl.int_range(1, pl.len() + 1).alias(LINE))
    types = {column: schema[column] for column in description.mapped}
    return _Read("", rows, types, pl.DataFrame(schema=RAGGED), 0, currency)


def _texts(schema: pl.Schema, description: FileTable, currency: str | None, normalisation: int) -> list[pl.Expr]:
    texts = [as_text(column, schema[column], normalisation=normalisation) for column in description.mapped]
    if "amount" in description.columns:
        absent = pl.lit(None, dtype=pl.String)
        texts.append((absent if currency is None else as_text(currency, schema[currency])).alias(CURRENCY))
    return texts


def _csv(content: Path | bytes, description: FileTable, where: str, normalisation: int) -> _Read:
    """The records with as many fields as the header, each with its line, and the places of the others.

    Values of a record with another number of fields may stand under the wrong names. A record without content is left out, and a
    line whose quote would swallow those after it is set aside alone.
    """
    header = find_header(content, description, where=where)
    records = records_of(content, header.separator, skip_lines=header.skip_lines)
    emptied: list[int] = []
    if records.may_swallow:
        read = content if isinstance(content, bytes) else content.read_bytes()
        repaired, emptied = without_open_quotes(read, header.separator, skip_lines=header.skip_lines)
        if emptied:
            if emptied[-1] == repaired.count(b"\n") and not read.endswith((b"\n", b"\r")):
                raise _cut_off("its last line has a quote without an end", where)
            content, records = repaired, records_of(repaired, header.separator, skip_lines=header.skip_lines)
    lazy = pl.scan_csv(
        content,
        separator=header.separator,
        infer_schema=False,
        null_values=list(description.missing),
        truncate_ragged_lines=True,  # they are counted below
        skip_lines=header.skip_lines,
        glob=False,
    )
    schema = lazy.collect_schema()
    if any("\ufffd" in name for name in schema) and not set(description.mapped) <= set(schema):
        raise UnicodeError("the header is not UTF-8")
    refuse_no_header(list(schema), description.mapped, header, where)
    _refuse_missing(list(schema), description.mapped, where)
    if records.is_cut_off:
        raise _cut_off(f"its last line has {records.fields[-1]} of {records.width} fields", where)
    currency = currency_column(schema, description)
    text = lazy.select(_texts(schema, description, currency, normalisation)).collect()
    # a word for a missing value may have stood between blanks
    text = text.with_columns(pl.all().replace(dict.fromkeys([*description.missing, *map(str.strip, description.missing)])))
    if records.fields.size != text.height:
        raise InputError(
            f"{where} can't be read: a quote stands within a field; expected {_expected(description)}. "
            "Double the quotes that are letters, and put quotes around their field"
        )
    placed = text.with_columns(pl.Series(LINE, records.line), pl.Series(FIELDS, records.fields))
    is_whole = pl.col(FIELDS) == records.width
    broken = pl.DataFrame({LINE: emptied, FIELDS: [None] * len(emptied)}, schema={LINE: pl.Int64, FIELDS: pl.Int64})
    ragged = pl.concat([placed.filter(~is_whole, pl.col(FIELDS) > 0).select(LINE, FIELDS), broken]).sort(LINE)
    return _Read(
        "",
        placed.filter(is_whole).drop(FIELDS),
        {column: schema[column] for column in description.mapped},
        ragged.with_columns(pl.lit(records.width, dtype=pl.Int64).alias(EXPECTED), pl.lit("").alias(FILE)).select(*RAGGED),
        int((records.fields == 0).sum()) - len(emptied),
        currency,
    )


def _cut_off(found: str, where: str) -> InputError:
    return InputError(
        f"{where} ends in the middle of a line: {found} and no line's end; expected whole lines. The file was cut off: copy it again"
    )


def _reason(error: Exception) -> str:
    """The first line of what the reader says, without what the file holds: that may be a customer."""
    said = str(error).splitlines()[0]
    if said.startswith("could not parse"):
        return "a quoted field has no end"
    return "its content can't be parsed" if MAIL.search(said) else said


def _expected(description: FileTable) -> str:
    if description.format == "parquet":
        return "a whole Parquet file of plain columns"
    return f"whole CSV, separated by {description.separator!r}, with the same number of fields in every line"


def _refuse_missing(has: Sequence[str], wanted: Sequence[str], where: str) -> None:
    missing = [name for name in wanted if name not in has]
    if missing:
        raise InputError(
            f"{where} has no column {shown_names(missing)}; it has {shown_names(has)}. Change the mapping in "
            "churn.yaml or the file"
        )
    if twice := [name for name in wanted if f"{name}_duplicated_0" in has]:
        raise InputError(f"{where} has several columns {shown_names(twice)}; expected one. Rename the others in the file")


def _common_types(read: Sequence[_Read], where: str) -> dict[str, pl.DataType]:
    """The types of the mapped columns, which all files must agree in; empty columns agree with all."""
    types: dict[str, pl.DataType] = {}
    first: dict[str, str] = {}
    for found in read:
        for name, kind in found.types.items():
            if kind == pl.Null:
                continue
            before = types.setdefault(name, kind)
            file = first.setdefault(name, found.name)
            if _kind(before) != _kind(kind):
                raise InputError(
                    f"{where}: column {name} is {_kind(kind)} in {found.name}, but {_kind(before)} in {file}; expected one type in "
                    "all files. Write one of them again"
                )
    return types


def _kind(kind: pl.DataType) -> str:
    if kind.is_numeric():
        return "numbers"
    if isinstance(kind, pl.Datetime):
        return "times without a zone" if kind.time_zone is None else "times with a zone"
    return {pl.Date: "days", pl.String: "text", pl.Boolean: "yes or no"}.get(kind.base_type(), str(kind))
