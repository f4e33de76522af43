"""Reads the mapped columns of a table's files as the text that they hold, each row with its place.

Belongs here: what a file is and what is said when it can't be read. Does not belong here: what the text means
(``file_values``).
"""

import glob
from pathlib import Path

import polars as pl

from churn_assets.raw.file_settings import FileTable
from churn_store.errors import InputError

FILE, LINE = "\0file", "\0line"
"""Columns of a row's place: no file has columns of these names."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.6f"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78")


def matching_files(description: FileTable, folder: Path) -> list[str]:
    """The files of a table, in the order of their names.

    Raises:
        InputError: there is none.
    """
    pattern = str(folder / description.path)
    found = sorted(file for file in glob.glob(pattern) if Path(file).is_file())
    if not found:
        raise InputError(f"source: no file matches {pattern}; put the file there or change `path` in churn.yaml")
    return found


def read_text(description: FileTable, folder: Path, *, where: str) -> pl.DataFrame:
    """The mapped columns of all files as text; empty fields and ``NA`` are missing.

    Args:
        description: of the table.
        folder: that paths are relative to.
        where: begins every complaint.

    Returns:
        Text columns, and the place of each row: its file's name and its line there (its row, in Parquet).

    Raises:
        InputError: a file that is missing, empty, not of its format or encoding, or without a mapped column.
    """
    wanted = list(
        dict.fromkeys(
            [
                *description.columns.values(),
                *(attribute.column for attribute in description.attributes.values()),
                *([description.label.column] if description.label else []),
            ]
        )
    )
    whole = pl.concat(
        _file(Path(file), description, wanted, where=f"{where}: {Path(file).name}")
        for file in matching_files(description, folder)
    )
    if whole.height == 0:
        raise InputError(f"{where}: no rows; expected at least one. Fill the file or change `path` in churn.yaml")
    return whole


def _file(file: Path, description: FileTable, wanted: list[str], *, where: str) -> pl.DataFrame:
    if description.format == "csv":
        _refuse_other_encodings(file, where)
    try:
        lazy = (
            pl.scan_parquet(file, glob=False)
            if description.format == "parquet"
            else pl.scan_csv(file, separator=description.separator, infer_schema=False, null_values=["", "NA"], glob=False)
        )
        schema = lazy.collect_schema()
        _refuse_missing(list(schema), wanted, where)
        text = lazy.select(_as_text(name, schema[name]) for name in wanted).collect()
    except pl.exceptions.NoDataError as error:
        raise InputError(f"{where} is empty; expected a header and rows") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        if "utf-8" in str(error).lower():
            raise InputError(_not_utf_8(file, where)) from error
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{where} can't be read: {reason}; expected {_expected(description)}. Change the file, or `format` and "
            "`separator` in churn.yaml"
        ) from error
    first = 2 if description.format == "csv" else 1
    return text.with_row_index(LINE, offset=first).with_columns(pl.lit(file.name).alias(FILE))


def _expected(description: FileTable) -> str:
    if description.format == "parquet":
        return "a Parquet file of plain columns"
    return f"CSV, separated by {description.separator!r}, with the same number of fields in every line"


def _refuse_missing(has: list[str], wanted: list[str], where: str) -> None:
    missing = [name for name in wanted if name not in has]
    if missing:
        raise InputError(
            f"{where} has no column {', '.join(missing)}; it has {', '.join(has)}. Change the mapping in churn.yaml or the file"
        )
    if twice := [name for name in wanted if f"{name}_duplicated_0" in has]:
        raise InputError(f"{where} has several columns {', '.join(twice)}; expected one. Rename the others in the file")


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return column.dt.to_string(TIME_FORMAT)
        return column.dt.convert_time_zone("UTC").dt.to_string(f"{TIME_FORMAT}Z")
    return column.cast(pl.String)


def _refuse_other_encodings(file: Path, where: str) -> None:
    with open(file, "rb") as stream:
        begins = stream.read(2)
    if begins in UTF_16:
        raise InputError(f"{where} is encoded in UTF-16; expected UTF-8. Save it as UTF-8")


def _not_utf_8(file: Path, where: str) -> str:
    place = ""
    with open(file, "rb") as stream:
        if not stream.read(4).startswith(COMPRESSED):
            stream.seek(0)
            for number, line in enumerate(stream, start=1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as error:
                    place = f" (line {number}: {line[max(0, error.start - 10) : error.end].strip()!r})"
                    break
    return f"{where} is not encoded in UTF-8{place}; expected UTF-8. Save it as UTF-8 (it may be Latin-1 or Windows-1252)"
