"""Sorts events by customer, type and time, and reads their roles and recency flags off that order.

Belongs here: what ``features.recency_flags`` says of events, for rows in memory, many times as fast as by window functions. Each row is
packed into one whole number that sorts as the row does: numbers sort faster than rows, and sorted stretches are only merged. The values
of events, where a feature needs them, are carried along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from churn_assets.features.recency_flags import NO_ROLE, STRETCHES_DAYS
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S
from churn_store.mapping.tables import VALUE

ORDER = ("customer_id", "event_type", "occurred_s")
BITS = 63
"""The number of bits of a non-negative 64-bit integer."""

INT32 = (-(2**31), 2**31 - 1)

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class RoleCodes:
    """The roles of the types of events, by the category numbers of the types.

    Attributes:
        names: type of the column ``role``, with its words.
        words: types of events that have a role; held because Polars forgets the texts of categories that no series has.
        of_words: place in ``names`` of the role of each of ``words``.
    """

    names: pl.Enum
    words: pl.Series
    of_words: tuple[int, ...]

    @classmethod
    def of(cls, roles: EventRoles, kind: pl.DataType) -> "RoleCodes":
        """The codes for a Polars type of ``event_type``, with its categories."""
        placed_words = [(word, place) for place, words in enumerate(roles.counted.values(), 1) for word in words]
        words = pl.Series([word for word, _ in placed_words], dtype=pl.String).cast(kind)
        return cls(pl.Enum([NO_ROLE, *roles.counted]), words, tuple(place for _, place in placed_words))

    @property
    def shared(self) -> bool:
        """Whether several types have the same role."""
        return len(set(self.of_words)) < len(self.of_words)

    def by_type(self, types: int) -> NDArray[np.uint8]:
        """The place in ``names`` of the role of each of the first types."""
        roles = np.zeros(max(types, *(number + 1 for number in self.words.to_physical())), dtype=np.uint8)
        roles[self.words.to_physical().to_numpy()] = self.of_words
        return roles[:types]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """The columns ``ORDER`` of some events, sorted by customer, type and time; times have 32 bits if all fit.

    Args:
        events: frame with ``customer_id`` (a number), ``event_type`` (categorical), ``occurred_s``; and perhaps the values of
            events, which then stay as well.
    """
    rows = _Sorted.of([events]).rows()
    seconds = rows["occurred_s"]
    return rows if seconds.is_between(*INT32).not_().any() else rows.with_columns(seconds.cast(pl.Int32))


def placed(parts: Sequence[pl.DataFrame], snapshot_s: int, codes: RoleCodes) -> pl.DataFrame:
    """All events of some frames in one order, with ``age_s``, ``role`` and their ``PLACES`` (see ``features.recency_flags``).

    Args:
        parts: frames with the columns ``ORDER``, and perhaps the values of events, of rows known at the snapshot; it is fastest
            if they are sorted.
        snapshot_s: time T of the snapshot, in epoch seconds.
        codes: roles of the types.
    """
    events = _Sorted.of(parts)
    age_s = snapshot_s - events.seconds
    types = events.types
    roles = codes.by_type(int(types.max(initial=0)) + 1)
    stretches = {name: (age_s - 1) // (days * DAY_S) for name, days in STRETCHES_DAYS.items()}
    last_of_kind = _changes(events.kinds)
    if codes.shared:
        flags = _newest_of_role(events, _one_type_a_role(types, roles), stretches)
    else:
        flags = {name: last_of_kind | _changes(stretch) for name, stretch in stretches.items()}
    places = {"newest_of_kind": last_of_kind, **flags}
    role = pl.Series("role", roles[types]).cat.to(codes.names)
    if age_s.size and INT32[0] <= age_s.min() and age_s.max() <= INT32[1]:
        age_s = age_s.astype(np.int32)
    return events.rows().with_columns(role, age_s=age_s, **places).with_columns(pl.col("customer_id").set_sorted())


def _one_type_a_role(types: Numbers, roles: NDArray[np.uint8]) -> Numbers:
    """For each event the least type that is there among those of its role; its own type where it has no role."""
    there = np.flatnonzero(np.bincount(types, minlength=len(roles)))
    first = np.arange(len(roles))
    for role in np.unique(roles[there]):
        if role:
            of_role = there[roles[there] == role]
            first[of_role] = of_role.min()
    return first[types]


def _newest_of_role(events: "_Sorted", types: Numbers, stretches: Mapping[str, Numbers]) -> dict[str, Flags]:
    """The newest event of each customer, type and stretch of time, where types of one role count as one.

    Args:
        events: events in order.
        types: type that each event counts as.
        stretches: number of each event's stretch, by the name of the flag.
    """
    kinds = events.kinds + (types - events.types)
    order = np.lexsort((events.seconds, kinds))
    last_of_kind = _changes(kinds[order])
    flags = {}
    for name, stretch in stretches.items():
        flags[name] = np.empty(len(order), dtype=np.bool_)
        flags[name][order] = last_of_kind | _changes(stretch[order])
    return flags


@dataclass(frozen=True)
class _Sorted:
    """Events in order.

    Attributes:
        kinds: number of each event's pair of customer and type.
        width: number of its lowest bits that hold the type.
        least: least customer and least type; both are 0 in ``kinds``.
        seconds: time of each event, in epoch seconds.
        kind: Polars type of ``event_type``, with its categories.
        values: value of each event; `None` where no feature needs it.
    """

    kinds: Numbers
    width: int
    least: tuple[int, int]
    seconds: Numbers
    kind: pl.DataType
    values: pl.Series | None

    @classmethod
    def of(cls, parts: Sequence[pl.DataFrame]) -> "_Sorted":
        columns = [[part[name].to_physical().to_numpy() for part in parts if part.height] for name in ORDER]
        kind = parts[0].schema["event_type"]
        values = pl.concat([part[VALUE] for part in parts]) if VALUE in parts[0].columns else None
        if not columns[0]:
            return cls(np.zeros(0, np.int64), 0, (0, 0), np.zeros(0, np.int64), kind, values)
        least = [min(int(numbers.min()) for numbers in column) for column in columns]
        most = [max(int(numbers.max()) for numbers in column) for column in columns]
        bits = [(high - low).bit_length() for low, high in zip(least, most, strict=True)]
        if sum(bits) > BITS:
            whole = pl.concat(parts, how="vertical_relaxed").sort(ORDER)
            customer, of_kind, seconds = (whole[name].to_physical().to_numpy().astype(np.int64) for name in ORDER)
            kinds = (customer - least[0]) << bits[1] | (of_kind - least[1])
            return cls(kinds, bits[1], (least[0], least[1]), seconds, kind, None if values is None else whole[VALUE])
        packed = np.concatenate(columns[0], dtype=np.int64)
        packed -= least[0]
        for column, low, width in zip(columns[1:], least[1:], bits[1:], strict=True):
            packed <<= width
            packed += np.concatenate(column)
            packed -= low
        if values is None:
            packed.sort(kind="stable")
        else:
            order = np.argsort(packed, kind="stable")
            packed, values = packed[order], values[order]
        kinds = packed >> bits[2]
        packed &= (1 << bits[2]) - 1
        packed += least[2]
        return cls(kinds, bits[1], (least[0], least[1]), packed, kind, values)

    @property
    def types(self) -> Numbers:
        """Category number of each event's type."""
        return (self.kinds & ((1 << self.width) - 1)) + self.least[1]

    def rows(self) -> pl.DataFrame:
        customer = (self.kinds >> self.width).astype(np.uint32)
        of_kind = self.types.astype(np.uint32)
        customer += np.uint32(self.least[0])
        rows = pl.DataFrame(dict(zip(ORDER, (customer, of_kind, self.seconds), strict=True)))
        rows = rows if self.values is None else rows.with_columns(self.values)
        return rows.with_columns(pl.col("event_type").cat.to(self.kind))


def _changes(values: Numbers) -> Flags:
    """For each value, whether it is the last one or the next one differs."""
    changes = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[:-1])
    return changes
