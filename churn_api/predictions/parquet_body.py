"""Makes a small plain Parquet file of a caller's own, before anything reads its values.

A few kilobytes of Parquet can stand for gigabytes: pages are compressed, and a word stands once for all rows that have it. So sizes
are asked for first, texts are read as dictionaries, and a long word refuses the file. Does not belong here: what a column means
(``predictions.company_files``).
"""

import io
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from churn_api.http.decode_errors import malformed
from churn_store.safe_read import MEBIBYTE

MOST_COLUMNS: Final = 4_000
LARGEST: Final = 256 * MEBIBYTE
"""Bytes of the needed columns when they are unpacked, by the file's own account."""

LONGEST_WORD: Final = 4_096
"""Bytes of a text."""

ROWS_AT_ONCE: Final = 10_000

MAGIC: Final = b"PAR1"


def plain_parquet(body: bytes, wanted: Sequence[str], *, max_rows: int) -> bytes:
    """The wanted columns of a Parquet body, written again.

    Args:
        body: the body.
        wanted: names of columns; those that the file lacks are left out.
        max_rows: most rows.

    Raises:
        Problem: if it is no whole Parquet file, or holds more than is taken here (400).
    """
    if len(body) < 2 * len(MAGIC) or not (body.startswith(MAGIC) and body.endswith(MAGIC)):
        raise malformed("", "the body is not Parquet, or was cut off; expected a whole Parquet file")
    try:
        with pq.ParquetFile(pa.BufferReader(body)) as file:
            names = _checked(file, wanted, max_rows)
            texts = [name for name in names if _is_text(file.schema_arrow.field(name).type)]
        with pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts) as file:
            return _written(file, names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise malformed("", f"the body can't be read as Parquet ({type(error).__name__}); write the file again") from error


def _checked(file: pq.ParquetFile, wanted: Sequence[str], max_rows: int) -> list[str]:
    """The wanted columns that the file has, all of them small enough to be read."""
    found, schema = file.metadata, file.schema_arrow
    if found.num_columns > MOST_COLUMNS:
        raise malformed("", f"the file has more than {MOST_COLUMNS} columns; write the needed ones alone")
    if not 0 < found.num_rows <= max_rows:
        raise malformed("", f"expected 1 to {max_rows} rows; found {'more' if found.num_rows else 'none'}")
    names = [name for name in dict.fromkeys(wanted) if schema.names.count(name) == 1]
    if other := [name for name in names if not _is_plain(schema.field(name).type)]:
        raise malformed(
            "", f"the file has {len(other)} needed columns of lists, structures or bytes; expected plain values"
        )
    parts = [found.row_group(group) for group in range(found.num_row_groups)]
    columns = [part.column(place) for part in parts for place in range(part.num_columns)]
    size = sum(one.total_uncompressed_size for one in columns if one.path_in_schema in names)
    if size > LARGEST:
        raise malformed("", f"the needed columns take more than {LARGEST // MEBIBYTE} MiB; send fewer rows")
    return names


def _written(file: pq.ParquetFile, names: list[str]) -> bytes:
    written = io.BytesIO()
    plain = pa.schema([_plain(file.schema_arrow.field(name)) for name in names])
    with pq.ParquetWriter(written, plain, compression="none") as writer:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=names, use_threads=False):
            writer.write_batch(pa.record_batch([_decoded(batch.column(name)) for name in names], schema=plain))
    return written.getvalue()


def _is_plain(kind: pa.DataType) -> bool:
    bytes_ = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return not (pa.types.is_nested(kind) or bytes_)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind)


def _decoded(column: pa.Array) -> pa.Array:
    """A column with its words in place of their numbers.

    Raises:
        Problem: if a word is too long (400).
    """
    if not pa.types.is_dictionary(column.type):
        return column
    longest = pc.max(pc.binary_length(column.dictionary)).as_py() if _is_text(column.type.value_type) else 0
    if (longest or 0) > LONGEST_WORD:
        raise malformed("", f"the file has a text of more than {LONGEST_WORD} bytes; expected shorter ones")
    return column.dictionary_decode()
