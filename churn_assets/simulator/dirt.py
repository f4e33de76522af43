"""Dirt: errors in the delivery of the synthetic company's rows.

Belongs here: which rows are hit, and by which error. Does not belong here: the rows (``rows``, ``bills``), and the handling of
broken ones (``contracts``).

Whether a row is hit follows from the seed and the row's key alone, by a hash (SplitMix64; Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", 2014). So it is the same for whatever range is read, and the rows that are not hit are
those of the clean company. A row that is hit has one of these errors:

- ``again``: it is delivered a second time, hours to weeks later;
- ``late``: it becomes known hours to weeks later, after rows that happened after it;
- ``missing``: one of its values is null where there must be one;
- ``impossible``: one of its values can't be: a negative amount, an empty word, the year 1850.

Cancellations keep their values, but many become known late: a customer who had left is then still taken for one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.simulator.law import Floats, Integers
from churn_assets.simulator.rows import CANCELLED, Columns
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

DIRT, CHOICE = "dirt", "choice"
"""The columns with each row's error, one of ``CLEAN`` to ``IMPOSSIBLE_VALUE``, and with a number that picks the column to spoil."""

CLEAN, AGAIN, LATE, MISSING_VALUE, IMPOSSIBLE_VALUE = range(5)
KINDS = IMPOSSIBLE_VALUE
CHOICES = 12
"""The range of that number: a multiple of every number of columns to pick from."""

MISSING: dict[Table, tuple[str, ...]] = {
    "customers": ("customer_id", "signed_up_s", "plan", "country"),
    "events": ("customer_id", "event_type"),
    "payments": ("customer_id", "amount_cents", "status"),
}
IMPOSSIBLE: dict[Table, tuple[str, ...]] = {
    "customers": ("customer_id", "occurred_s", "signed_up_s"),
    "events": ("customer_id", "event_type", "occurred_s"),
    "payments": ("amount_cents", "status", "occurred_s"),
}
"""The columns that can be spoiled; one of them is in each row that is hit."""

LEAST_DELAY_S = 3_600
LONGEST_DELAY_DAYS = 20
LATE_CANCELLATIONS = 10
"""How many times as often as other rows cancellations are hit; each becomes known 2 to ``LONGEST_DELAY_DAYS`` days late."""
LEAST_CANCELLATION_DELAY_S = 2 * DAY_S
OF_1850_S = -3_786_912_000
YEAR_S = 365 * DAY_S

SALTS: dict[Table, int] = {"customers": 1, "events": 2, "payments": 3}


@dataclass(frozen=True)
class Dirt:
    """The errors of a company's rows.

    Attributes:
        seed: seed of the company.
        share: share of the rows that are hit.
    """

    seed: int
    share: float

    @property
    def longest_delay_days(self) -> int:
        """The greatest number of days by which dirt can delay a row."""
        return LONGEST_DELAY_DAYS if self.share else 0

    @property
    def marks(self) -> tuple[str, ...]:
        """The columns that ``moved`` adds to say what ``spoiled`` has to spoil."""
        return (DIRT, CHOICE) if self.share else ()

    def moved(self, table: Table, rows: Columns) -> Columns:
        """Delay and repeat the rows that are hit so, and add the columns ``marks``.

        Args:
            table: name of the table.
            rows: columns of whole numbers: ``customer``, ``occurred_s``, ``known_s`` and, except for ``customers``, ``id``.
        """
        if not self.share:
            return rows
        hit, kind, choice, delay = self._drawn(table, rows)
        dirt = np.where(hit, kind, CLEAN)
        delay_s = (LEAST_DELAY_S * (LONGEST_DELAY_DAYS * DAY_S / LEAST_DELAY_S) ** delay).astype(np.int64)
        if table == "events":
            cancelled = rows["type"] == CANCELLED
            dirt[cancelled & hit] = LATE
            longest_s = LONGEST_DELAY_DAYS * DAY_S
            even_s = LEAST_CANCELLATION_DELAY_S + delay * (longest_s - LEAST_CANCELLATION_DELAY_S)
            delay_s = np.where(cancelled, even_s.astype(np.int64), delay_s)
        again = np.flatnonzero(dirt == AGAIN)
        marked = {**rows, DIRT: dirt, CHOICE: choice}
        marked["known_s"] = rows["known_s"] + np.where(dirt == LATE, delay_s, 0)
        repeated = {name: column[again] for name, column in marked.items()}
        repeated["known_s"] = repeated["known_s"] + delay_s[again]
        return {name: np.concatenate([column, repeated[name]]) for name, column in marked.items()}

    def spoiled(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        """Make values missing or impossible where ``marks`` say so, and drop the columns ``marks``."""
        if not self.share:
            return rows
        for kind, columns in ((MISSING_VALUE, MISSING[table]), (IMPOSSIBLE_VALUE, IMPOSSIBLE[table])):
            for place, name in enumerate(columns):
                chosen = (pl.col(DIRT) == kind) & (pl.col(CHOICE) % len(columns) == place)
                value = pl.lit(None) if kind == MISSING_VALUE else _impossible(name)
                rows = rows.with_columns(pl.when(chosen).then(value).otherwise(name).alias(name))
        return rows.drop(self.marks)

    def _drawn(self, table: Table, rows: Columns) -> tuple[npt.NDArray[np.bool_], Integers, Integers, Floats]:
        """For each row: whether it is hit, by which error, the number that picks a column, and its delay as a share in [0, 1)."""
        key = rows["occurred_s"] if table == "customers" else rows["id"]
        base = _mixed(_mixed(rows["customer"].astype(np.uint64)) ^ key.astype(np.uint64))
        base = _mixed(base ^ np.uint64(self.seed) ^ _mixed(np.array([SALTS[table]], dtype=np.uint64)))
        share = np.full(len(base), self.share)
        if table == "events":
            share[rows["type"] == CANCELLED] = min(1.0, LATE_CANCELLATIONS * self.share)
        drawn = [_uniform(_mixed(base + np.uint64(number))) for number in range(1, 5)]
        kind = AGAIN + (drawn[1] * KINDS).astype(np.int64)
        choice = (drawn[2] * CHOICES).astype(np.int64)
        return drawn[0] < share, kind, choice, drawn[3]


def _impossible(name: str) -> pl.Expr:
    if name == "amount_cents":
        return -1 - pl.col(name)
    if name.endswith("_s"):
        return OF_1850_S + pl.col(name) % YEAR_S
    return pl.lit("")


def _mixed(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _uniform(words: npt.NDArray[np.uint64]) -> Floats:
    """Uniform numbers in [0, 1), from the upper 53 bits of each word."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
