"""Events of all kinds in one order, by customer, type and time, from which their places are read off.

Belongs here: what ``places`` says with window functions, for rows in memory and many times as fast. A row becomes one whole number
that sorts as it does; numbers sort faster than rows, and stretches that are in order already are only merged.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from churn_assets.features.places import STRETCHES_DAYS
from churn_assets.periods import DAY_S

ORDER = ("customer_id", "event_type", "occurred_s")
WIDEST_BITS = 63

Numbers = NDArray[np.int64]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The columns ``ORDER`` of some events, sorted by customer, type and time.

    Args:
        events: ``customer_id`` (a number), ``event_type`` (categorical), ``occurred_s``.
    """
    if events.is_empty():
        return events.select(ORDER)
    columns = [_numbers(events[name]) for name in ORDER]
    least = [int(column.min()) for column in columns]
    bits = [(int(column.max()) - low).bit_length() for column, low in zip(columns, least, strict=True)]
    if sum(bits) > WIDEST_BITS:
        return events.select(ORDER).sort(ORDER)
    packed = columns[0] - least[0]
    for column, low, width in zip(columns[1:], least[1:], bits[1:], strict=True):
        packed <<= width
        packed |= column - low
    packed.sort(kind="stable")
    found = {}
    for name, low, width in zip(reversed(ORDER), reversed(least), reversed(bits), strict=True):
        found[name] = (packed & ((1 << width) - 1)) + low
        packed >>= width
    return pl.select(_column(name, found[name], events.schema[name]) for name in ORDER)


def placed(events: pl.DataFrame, snapshot_s: int) -> pl.DataFrame:
    """Events that are ``in_order``, with ``age_s`` and the ``PLACES`` that ``places`` says they have.

    Args:
        events: in order; all of them known at the snapshot.
        snapshot_s: T in epoch seconds.
    """
    customer, kind = (_numbers(events[name].to_physical()) for name in ORDER[:2])
    age_s = snapshot_s - _numbers(events["occurred_s"])
    last_of_kind = _changes(customer) | _changes(kind)
    places = {"newest_of_kind": last_of_kind}
    for name, days in STRETCHES_DAYS.items():
        places[name] = last_of_kind | _changes((age_s - 1) // (days * DAY_S))
    return events.with_columns(age_s=age_s, **places).with_columns(pl.col("customer_id").set_sorted())


def _changes(values: Numbers) -> NDArray[np.bool_]:
    """Whether the next value is another, or there is none."""
    changes = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[:-1])
    return changes


def _numbers(column: pl.Series) -> Numbers:
    return column.to_physical().to_numpy().astype(np.int64, copy=False)


def _column(name: str, values: Numbers, dtype: pl.DataType) -> pl.Expr:
    series = pl.Series(name, values)
    return pl.lit(series.cast(pl.UInt32)).cat.to(dtype) if isinstance(dtype, pl.Categorical) else pl.lit(series.cast(dtype))
