"""Faults that are planted into a period of a synthetic company, for ``quality.py``: each kind in some sizes.

Belongs here: what each fault does to the rows. Does not belong here: the company, and whether the fault is found (``quality``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from churn_assets.quality.findings import (
    ABSENT,
    CONSTANT,
    DUPLICATED,
    LATE,
    MISSING,
    NEW,
    NULLS,
    UNIT,
    VANISHED,
)
from churn_assets.quality.profile import ROW_IDS
from churn_store.mapping.tables import VALUE, Table


@dataclass(frozen=True)
class Place:
    """Where a fault is planted.

    Attributes:
        rows: rows of the period.
        former: rows of the period before.
        former_start_s: first second of the period before.
        start_s: first second of the period.
        end_s: first second after it.
    """

    rows: pl.DataFrame
    former: pl.DataFrame
    former_start_s: int
    start_s: int
    end_s: int


@dataclass(frozen=True)
class Planted:
    """A fault.

    Attributes:
        kind: kind that must be found.
        size: size in words.
        table: table that it is planted into.
        plant: function that gives the broken rows.
        blocks: whether it must block, and not only be reported.
    """

    kind: str
    size: str
    table: str
    plant: Callable[[Place], pl.DataFrame]
    blocks: bool = True


def planted() -> list[Planted]:
    """All faults."""
    return [*_shares(), *_units(), *_times(), *_repeats()]


def _some(share: float) -> pl.Expr:
    """A share of the rows, spread evenly."""
    return (pl.int_range(pl.len()) * 7_919 % 1_000) < share * 1_000


def _set(column: str, value: Any, share: float = 1.0) -> Callable[[Place], pl.DataFrame]:
    return lambda place: place.rows.with_columns(pl.when(_some(share)).then(value).otherwise(column).alias(column))


def _shares() -> list[Planted]:
    none = pl.lit(None)
    found = [
        Planted(NULLS, f"{share:.0%} of {column}", table, _set(column, none, share))
        for share in (0.15, 0.33, 1.0)
        for table, column in (("customers", "country"), ("payments", "list_cents"))
    ]
    found += [
        Planted(MISSING, f"{share:.0%} of a feature", "customer_features", _set("sessions_30d", none, share))
        for share in (0.3, 0.6, 1.0)
    ]
    found += [
        Planted(CONSTANT, column, table, _set(column, pl.lit(value)))
        for table, column, value in (
            ("customers", "plan", "basic"),
            ("payments", "amount_cents", 1_900),
            ("events", VALUE, 60),
        )
    ]
    found += [
        Planted(NEW, f"{share:.0%} of {column}", table, _set(column, pl.lit("neu"), share), blocks=share > 0.5)
        for share in (0.1, 0.7, 1.0)
        for table, column in (("customers", "country"), ("events", "event_type"))
    ]
    return found


def _units() -> list[Planted]:
    def times(column: str, factor: float, share: float) -> Callable[[Place], pl.DataFrame]:
        def plant(place: Place) -> pl.DataFrame:
            scaled = (pl.col(column) * factor).round() if factor > 1 else pl.col(column) // round(1 / factor)
            return _set(column, scaled.cast(pl.Int64), share)(place)

        return plant

    faults = [
        Planted(UNIT, f"{column} {_factor(factor)}", table, times(column, factor, 1.0))
        for table, column in (("payments", "amount_cents"), ("events", VALUE))
        for known in (10, 60, 100, 1000)
        for factor in (float(known), 1 / known)
    ]
    return [*faults, Planted(UNIT, "amount_cents x 0.01 in 60 %", "payments", times("amount_cents", 0.01, 0.6))]


def _factor(factor: float) -> str:
    return f"x {factor:g}" if factor > 1 else f"/ {1 / factor:g}"


def _times() -> list[Planted]:
    def stopping(part: float, of_type: str | None = None) -> Callable[[Place], pl.DataFrame]:
        def plant(place: Place) -> pl.DataFrame:
            stopped = pl.col("known_s") >= place.start_s + part * (place.end_s - place.start_s)
            return place.rows.filter(~(stopped if of_type is None else stopped & (pl.col("event_type") == of_type)))

        return plant

    def only(share: float) -> Callable[[Place], pl.DataFrame]:
        return lambda place: place.rows.filter(_some(share))

    tables: tuple[Table, ...] = ("customers", "events", "payments")
    faults = [
        Planted(LATE, f"{table} stop at {part:.0%}", table, stopping(part)) for part in (0.5, 0.75, 0.9) for table in tables
    ]
    faults += [
        Planted(VANISHED, f"{word} from {part:.0%} on", "events", stopping(part, word))
        for part in (0.0, 0.5, 0.8)
        for word in ("feature_used", "support_ticket")
    ]
    faults += [Planted(ABSENT, f"{share:.0%} of {table}", table, only(share)) for share in (0.0, 0.03) for table in tables]
    return faults


def _repeats() -> list[Planted]:
    def doubled(table: Table, share: float) -> Callable[[Place], pl.DataFrame]:
        def plant(place: Place) -> pl.DataFrame:
            row_id = ROW_IDS[table]
            again = place.rows.filter(_some(share)).with_columns((pl.col(row_id) + "-again").alias(row_id))
            return pl.concat([place.rows, again])

        return plant

    def of_before(place: Place) -> pl.DataFrame:
        later_s = place.start_s - place.former_start_s
        moved = [(pl.col(name) + later_s).clip(place.start_s, place.end_s - 1) for name in ("occurred_s", "known_s")]
        return place.former.with_columns(moved)

    return [
        *(
            Planted(DUPLICATED, f"{share:.0%} of {table} doubled", table, doubled(table, share))
            for share in (0.2, 0.5, 1.0)
            for table in ("events", "payments")
        ),
        *(Planted(DUPLICATED, f"{table} of the period before", table, of_before) for table in ("events", "payments")),
    ]
