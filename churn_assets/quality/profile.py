"""The profile of a period: what its rows look like in a few numbers, by which later periods are judged without reading it again.

Belongs here: the numbers and how they are counted. Does not belong here: what they mean (the rules), and where they are kept
(``profile_table``). A profile has no customer's data: of columns of words it counts those with few different words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from churn_store.mapping.tables import KEYS, PERSON, VALUE

BINS_PER_DECADE: Final = 20
"""Bins of a column's distribution on a log scale: a bin is 12 % wide."""

SLICES: Final = 32
"""Slices of a period of equal length, in which arrivals are counted: about a day of a month."""

MOST_CATEGORIES: Final = 100
"""A column with more different words is no category."""

EVENT_TYPE: Final = "event_type"
"""The column whose words are followed within the period."""

ARRIVED: Final = "known_s"
IDS: Final = frozenset({"event_id", "payment_id", PERSON})
ROW_IDS: Final = {"events": "event_id", "payments": "payment_id"}


@dataclass(frozen=True)
class Category:
    """The rows of a word.

    Attributes:
        rows: number of rows.
        arrivals: number of rows in each slice of the period; empty where the word is not followed.
    """

    rows: int
    arrivals: tuple[int, ...] = ()


@dataclass(frozen=True)
class ColumnProfile:
    """A column in a period.

    Attributes:
        rows: number of rows of the table.
        nulls: number of rows without a value.
        distinct: number of different values.
        most: number of rows with the most frequent value.
        logarithms: number of positive values by bin of their logarithm, ``BINS_PER_DECADE`` bins a decade; empty for words.
        categories: rows by word; empty where there are more than ``MOST_CATEGORIES`` words, or numbers.
    """

    rows: int
    nulls: int
    distinct: int
    most: int
    logarithms: Mapping[int, int] = field(default_factory=dict)
    categories: Mapping[str, Category] = field(default_factory=dict)

    @property
    def null_share(self) -> float:
        """The share of rows without a value; 0 where there are no rows."""
        return self.nulls / max(1, self.rows)


@dataclass(frozen=True)
class Profile:
    """A table in a period.

    Attributes:
        period: key of the period.
        rows: number of rows.
        newest_s: arrival of the newest row, in epoch seconds; `None` without rows, or where rows do not arrive (features).
        arrivals: number of rows in each slice of the period; empty where rows do not arrive.
        repeats: number of rows that are another row in everything but their id.
        content: digest of the rows without ids and times, in any order; empty where there is nothing to compare.
        columns: columns by name, without ids and times.
    """

    period: str
    rows: int
    newest_s: int | None
    arrivals: tuple[int, ...]
    repeats: int
    content: str
    columns: Mapping[str, ColumnProfile]


def profile_of(frame: pl.DataFrame, table: str, period: str, *, bounds_s: tuple[int, int] | None) -> Profile:
    """The profile of a period's rows.

    Args:
        frame: rows of the table in the period.
        table: name of the table.
        period: key of the period.
        bounds_s: first second of the period, and first second after it; `None` for a table of features, whose rows do not arrive.
    """
    arrives = bounds_s is not None and ARRIVED in frame.columns
    if arrives and bounds_s is not None:
        start_s, end_s = bounds_s
        slices = ((pl.col(ARRIVED) - start_s) * SLICES // (end_s - start_s)).clip(0, SLICES - 1)
        frame = frame.with_columns(slices.cast(pl.Int64).alias(_SLICE))
    told = [name for name in frame.columns if name not in IDS and not name.endswith("_s") and name != _SLICE]
    return Profile(
        period=period,
        rows=frame.height,
        newest_s=_whole(frame[ARRIVED].max()) if arrives and frame.height else None,
        arrivals=_by_slice(frame) if arrives else (),
        repeats=_repeats(frame, table) if arrives else 0,
        content=_content(frame, table) if arrives else "",
        columns={
            **{name: _column(frame, name, followed=arrives and name == EVENT_TYPE) for name in told},
            **(_values_by_type(frame) if arrives and {EVENT_TYPE, VALUE} <= set(told) else {}),
        },
    )


_SLICE = "\0slice"


def _column(frame: pl.DataFrame, name: str, *, followed: bool) -> ColumnProfile:
    values = frame[name]
    counted = values.drop_nulls().value_counts(sort=False)
    most = _whole(counted["count"].max())
    logarithms: dict[int, int] = {}
    categories: dict[str, Category] = {}
    if values.dtype.is_numeric():
        logarithms = _logarithms(counted, name)
    elif values.dtype == pl.String and counted.height <= MOST_CATEGORIES:
        categories = _followed(frame, name) if followed else {word: Category(rows) for word, rows in counted.iter_rows()}
    return ColumnProfile(
        frame.height, values.null_count(), counted.height, most, logarithms, dict(sorted(categories.items()))
    )


def _values_by_type(frame: pl.DataFrame) -> dict[str, ColumnProfile]:
    """The values of each type of events, as each has its own unit; none where there are more than ``MOST_CATEGORIES`` types."""
    parts = frame.select(EVENT_TYPE, VALUE).drop_nulls(EVENT_TYPE).partition_by(EVENT_TYPE, as_dict=True)
    if len(parts) > MOST_CATEGORIES:
        return {}
    return {
        f"{VALUE} of {word}": _column(part.rename({VALUE: (name := f"{VALUE} of {word}")}), name, followed=False)
        for (word,), part in sorted(parts.items())
    }


def _followed(frame: pl.DataFrame, name: str) -> dict[str, Category]:
    """The rows of each word, and when they arrived."""
    by_word = frame.drop_nulls(name).group_by(name, _SLICE).len().partition_by(name, as_dict=True)
    return {str(word): Category(int(part["len"].sum()), _slices(part)) for (word,), part in by_word.items()}


def _logarithms(counted: pl.DataFrame, name: str) -> dict[int, int]:
    positive = counted.filter(pl.col(name) > 0).select(
        (pl.col(name).cast(pl.Float64).log10() * BINS_PER_DECADE).floor().cast(pl.Int64).alias("bin"), "count"
    )
    return {
        int(log): int(rows) for log, rows in positive.group_by("bin").agg(pl.col("count").sum()).sort("bin").iter_rows()
    }


def _by_slice(frame: pl.DataFrame) -> tuple[int, ...]:
    return _slices(frame.group_by(_SLICE).len())


def _slices(counted: pl.DataFrame) -> tuple[int, ...]:
    found = dict(zip(counted[_SLICE].to_list(), counted["len"].to_list(), strict=True))
    return tuple(int(found.get(number, 0)) for number in range(SLICES))


def _repeats(frame: pl.DataFrame, table: str) -> int:
    """The number of rows that equal another one but for their id and their arrival."""
    row_id = ROW_IDS.get(table)
    if row_id is None or frame.height == 0:
        return 0
    said = frame.select(pl.exclude(row_id, ARRIVED, _SLICE))
    return frame.height - int(said.hash_rows().n_unique())


def _content(frame: pl.DataFrame, table: str) -> str:
    """A digest of what the rows say, of whom; the same whatever their order, ids and times."""
    if table not in ROW_IDS or frame.height == 0:
        return ""
    said = frame.select(name for name in frame.columns if name not in (ROW_IDS[table], _SLICE) and not name.endswith("_s"))
    hashes = said.hash_rows()
    return f"{frame.height}:{_whole(hashes.sum()):x}:{_whole(hashes.min()):x}:{_whole(hashes.max()):x}"


def _whole(value: Any) -> int:
    """A count or a time as a Python number; 0 where there is none."""
    return int(value or 0)


def is_raw(table: str) -> bool:
    """Whether a table's rows arrive, so that a period of it can be late or empty."""
    return table in KEYS
