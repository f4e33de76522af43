"""Events of all types in one order, by customer, type and time, from which their places are read off.

Belongs here: what ``features.recency_flags`` says with window functions, for rows in memory and many times as fast. A row becomes one whole number
that sorts as it does, as numbers sort faster than rows, and those that lie in order already are only merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from churn_assets.features.recency_flags import STRETCHES_DAYS
from churn_store.clock import DAY_S

ORDER = ("customer_id", "event_type", "occurred_s")
BITS = 63
"""Of a whole number that is not negative."""

INT32 = (-(2**31), 2**31 - 1)

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The columns ``ORDER`` of some events, sorted by customer, type and time; times in 32 bits where they fit.

    Args:
        events: ``customer_id`` (a number), ``event_type`` (categorical), ``occurred_s``.
    """
    rows = _Sorted.of([events.select(ORDER)]).rows()
    seconds = rows["occurred_s"]
    return rows if seconds.is_between(*INT32).not_().any() else rows.with_columns(seconds.cast(pl.Int32))


def placed(parts: Sequence[pl.DataFrame], snapshot_s: int) -> pl.DataFrame:
    """All events of some frames in one order, with ``age_s`` and the ``PLACES`` that ``features.recency_flags`` says they have.

    Args:
        parts: frames of the columns ``ORDER``; best in order. All their rows were known at the snapshot.
        snapshot_s: time T of the snapshot, in epoch seconds.
    """
    events = _Sorted.of(parts)
    age_s = snapshot_s - events.seconds
    last_of_kind = _changes(events.kinds)
    places = {"newest_of_kind": last_of_kind}
    for name, days in STRETCHES_DAYS.items():
        places[name] = last_of_kind | _changes((age_s - 1) // (days * DAY_S))
    if age_s.size and INT32[0] <= age_s.min() and age_s.max() <= INT32[1]:
        age_s = age_s.astype(np.int32)
    return events.rows().with_columns(age_s=age_s, **places).with_columns(pl.col("customer_id").set_sorted())


@dataclass(frozen=True)
class _Sorted:
    """Events in order.

    Attributes:
        kinds: a number for each pair of customer and type.
        width: how many of its lowest bits are the type's.
        least: the least customer and the least type; both are 0 in ``kinds``.
        seconds: when each event happened.
        kind: the categories of types.
    """

    kinds: Numbers
    width: int
    least: tuple[int, int]
    seconds: Numbers
    kind: pl.DataType

    @classmethod
    def of(cls, parts: Sequence[pl.DataFrame]) -> "_Sorted":
        columns = [[part[name].to_physical().to_numpy() for part in parts if part.height] for name in ORDER]
        kind = parts[0].schema["event_type"]
        if not columns[0]:
            return cls(np.zeros(0, np.int64), 0, (0, 0), np.zeros(0, np.int64), kind)
        least = [min(int(numbers.min()) for numbers in column) for column in columns]
        most = [max(int(numbers.max()) for numbers in column) for column in columns]
        bits = [(high - low).bit_length() for low, high in zip(least, most, strict=True)]
        if sum(bits) > BITS:
            whole = pl.concat(parts, how="vertical_relaxed").sort(ORDER)
            customer, of_kind, seconds = (whole[name].to_physical().to_numpy().astype(np.int64) for name in ORDER)
            return cls(
                (customer - least[0]) << bits[1] | (of_kind - least[1]), bits[1], (least[0], least[1]), seconds, kind
            )
        packed = np.concatenate(columns[0], dtype=np.int64)
        packed -= least[0]
        for column, low, width in zip(columns[1:], least[1:], bits[1:], strict=True):
            packed <<= width
            packed += np.concatenate(column)
            packed -= low
        packed.sort(kind="stable")
        kinds = packed >> bits[2]
        packed &= (1 << bits[2]) - 1
        packed += least[2]
        return cls(kinds, bits[1], (least[0], least[1]), packed, kind)

    def rows(self) -> pl.DataFrame:
        customer = (self.kinds >> self.width).astype(np.uint32)
        of_kind = (self.kinds & ((1 << self.width) - 1)).astype(np.uint32)
        customer += np.uint32(self.least[0])
        of_kind += np.uint32(self.least[1])
        rows = pl.DataFrame(dict(zip(ORDER, (customer, of_kind, self.seconds), strict=True)))
        return rows.with_columns(pl.col("event_type").cat.to(self.kind))


def _changes(values: Numbers) -> Flags:
    """Whether the next value is another, or there is none."""
    changes = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[:-1])
    return changes
