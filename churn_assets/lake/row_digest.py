"""The digest of a frame's rows, used as Dagster's data version and as the id of a model's training set.

Equal rows have equal digests, whatever their order. Does not belong here: which key a table is sorted by.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl


def digest(frame: pl.DataFrame, *, key: Sequence[str]) -> str:
    """The SHA-256 digest of a frame's rows, whatever their order.

    Args:
        frame: rows with columns of numbers, text and truth values.
        key: columns to sort the rows by; together unique.

    Returns:
        64 hexadecimal digits; equal for equal rows on every machine.
    """
    return sorted_digest(frame.sort(list(key)))


def sorted_digest(frame: pl.DataFrame) -> str:
    """The digest of rows that are already sorted by their key, to save sorting them again.

    Args:
        frame: rows sorted by key, with columns of numbers, text and truth values.

    Returns:
        The same as ``digest`` for these rows and this key.
    """
    total = hashlib.sha256()
    for series in frame.get_columns():
        total.update(f"{series.name}\x1f{series.dtype}\x1f{len(series)}\x1e".encode())
        total.update(series.is_null().to_numpy().tobytes())
        if series.dtype == pl.String:
            filled = series.fill_null("")
            total.update(filled.str.len_bytes().to_numpy().tobytes())
            total.update(memoryview(_text_bytes(filled)))
        elif series.dtype == pl.Boolean:
            total.update(series.fill_null(value=False).to_numpy().tobytes())
        else:
            total.update(series.fill_null(0).to_numpy().tobytes())
    return total.hexdigest()


def _text_bytes(series: pl.Series) -> bytes:
    """The texts of a series, concatenated in UTF-8 without creating a Python object for each."""
    whole = series.rechunk().to_arrow()
    _, offsets, data = whole.buffers()
    if data is None:
        return b""
    wide = np.frombuffer(offsets, dtype=np.int64)[whole.offset : whole.offset + len(whole) + 1]
    return bytes(memoryview(data)[int(wide[0]) : int(wide[-1])])
