"""Ids of rows whose source gives them none: a digest of the row, and a count among equal ones.

Belongs here: ids that are the same on every read, on every machine and with every version of the libraries. Does not
belong here: which rows there are.
"""

import hashlib
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_store.mapping.tables import KEYS, OPTIONAL, VALUE, WHERE_MAPPED, Table

Lane = npt.NDArray[np.uint64]

SEEDS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
"""Start values of the two halves of a digest."""

DIGITS = 24
"""Length of an id, in hexadecimal digits: 96 bits, so that of 10^9 rows two agree by chance once in 10^11 companies."""


DIGESTED: Mapping[Table, tuple[str, ...]] = {
    "events": ("customer_id", "occurred_s", "event_type", VALUE, "known_s"),
    "payments": ("customer_id", "occurred_s", "amount_cents", "status", "due_s", "list_cents", "known_s"),
}
"""The columns that the id of a table's row is a digest of, in this order: another one gives other ids. Columns that a source may leave
out only order rows that are equal without them."""


def with_row_ids(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Canonical rows of a table with the ids of rows whose source gives them none.

    Args:
        rows: rows with the columns of ``DIGESTED``; an older lake may lack optional ones.
        table: name of the table.
    """
    digested = rows.select(name for name in DIGESTED[table] if name in rows.columns)
    besides = [name for name in (*OPTIONAL[table], *WHERE_MAPPED[table]) if name in digested.columns]
    return rows.with_columns(row_ids(digested, besides=besides).alias(own_id(table)))


def own_id(table: Table) -> str:
    """The column with the ids of a table's rows."""
    [name] = KEYS[table]
    return name


def row_ids(rows: pl.DataFrame, *, besides: Collection[str] = ()) -> pl.Series:
    """An id for each row: 24 hexadecimal digits.

    Words are digested once each by BLAKE2b, and rows by the finalizer of SplitMix64 (Steele, Lea, Flood, 2014) over their values:
    a digest in Python for every row takes four times as long.

    Args:
        rows: whole numbers and text, with missing values; equal rows get different ids.
        besides: columns left out of the digest, so that rows keep their ids when these values become known.

    Returns:
        Ids in the order of the rows; among equal rows they are counted, and among rows that differ only in ``besides`` in the order
        of those, so that any order of the rows gives the same ids.
    """
    lanes = [np.full(rows.height, seed, dtype=np.uint64) for seed in SEEDS]
    for column in rows.drop(besides):
        lanes = _with(lanes, _values(column))
    lanes = _with(lanes, [_count(lanes, rows.select(besides))] * 2)
    digits = np.column_stack([lane.astype(">u8") for lane in lanes]).tobytes().hex()
    return pl.Series(np.frombuffer(digits.encode(), dtype="S32").astype(f"S{DIGITS}").tolist(), dtype=pl.Binary).cast(
        pl.String
    )


def _count(lanes: list[Lane], order: pl.DataFrame) -> Lane:
    """The number of equal rows before each row, in the order of some columns."""
    rows = pl.DataFrame({"high": lanes[0], "low": lanes[1]}).hstack(order).with_row_index("row")
    twice = rows.filter(pl.col("high").is_duplicated())
    if order.columns:
        twice = twice.sort(order.columns)
    counted = twice.with_columns(pl.int_range(pl.len(), dtype=pl.UInt64).over("high", "low").alias("count"))
    count = np.zeros(rows.height, dtype=np.uint64)
    count[counted["row"].to_numpy()] = counted["count"].to_numpy()
    return count


def _values(column: pl.Series) -> list[Lane]:
    """Two 64-bit values for each of a column's; a missing one has its own."""
    missing = column.is_null().to_numpy()
    if column.dtype == pl.String:
        words = column.unique().drop_nulls()
        digests = np.frombuffer(
            b"".join(hashlib.blake2b(word.encode(), digest_size=16).digest() for word in words), dtype="<u8"
        ).reshape(-1, 2)
        table = pl.DataFrame({"word": words, "high": digests[:, 0], "low": digests[:, 1]})
        found = column.to_frame("word").join(table, on="word", how="left", maintain_order="left")
        lanes = [found[name].fill_null(0).to_numpy() for name in ("high", "low")]
    else:
        lanes = [column.cast(pl.Int64).fill_null(0).to_numpy().astype(np.uint64)] * 2
    return [np.where(missing, np.uint64(seed), lane) for seed, lane in zip(SEEDS, lanes, strict=True)]


def _with(lanes: list[Lane], values: list[Lane]) -> list[Lane]:
    return [_mixed(lane * np.uint64(SEEDS[1]) + value) for lane, value in zip(lanes, values, strict=True)]


def _mixed(value: Lane) -> Lane:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
