"""Rows of data without time that a model can't tell apart.

Copies of a customer on both sides of a split would have a model judged on what it has learned by heart.

Belongs here: which rows are equal, and what is told of them. Does not belong here: which side they are on (``split``). Of a
history rows are split by time, and a customer's rows of one month are no copies of the month before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.tables import LABEL

MOST_COPIES = 0.5
"""With a greater share of rows that equal an earlier one, the attributes are too few to tell customers apart: equal rows are then
different people, whom a model meets as often in practice."""

NOT_SEEN = {"customer_id", "snapshot_s", LABEL, "role"}
"""Columns of a training set that no model sees."""


@dataclass(frozen=True)
class EqualRows:
    """The rows that equal another one in everything that a model sees.

    Attributes:
        rows: number of rows with an equal one.
        moved: number of those that are on the side of the equal one, and not on their own.
        apart: whether they are too many to be copies, so that each stays on its own side.
    """

    rows: int
    moved: int
    apart: bool = False

    def __str__(self) -> str:
        """What is told of them; nothing where there are none."""
        if not self.rows:
            return ""
        found = f"{self.rows:,} rows equal another one in everything that a model sees"
        if self.apart:
            return f"{found}; these are too many to be copies, so that each counts as a customer of its own"
        return f"{found}; {self.moved:,} of them would be on the other side of the split and are kept beside their equals"


def copies_of(rows: pl.DataFrame, seen: Sequence[str] | None = None) -> pl.Series:
    """Of each row the customer that it is kept together with: of equal rows the one with the least id.

    Args:
        rows: rows of data without time, or of a history, where everybody is kept with nobody else.
        seen: columns that a model sees; default: all but key, label and role.
    """
    columns = [name for name in rows.columns if name not in NOT_SEEN] if seen is None else list(seen)
    if "snapshot_s" in rows.columns or not columns or are_apart(rows, columns):
        return rows["customer_id"]
    return rows.select(pl.col("customer_id").min().over(columns)).to_series()


def with_copies_as_one(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of data without time whose copies have one ``customer_id``: what is said of a customer twice makes no interval narrower.

    Args:
        rows: rows of all roles of a training set; those of a history are left as they are.
    """
    return rows.with_columns(customer_id=copies_of(rows))


def are_apart(rows: pl.DataFrame, seen: Sequence[str]) -> bool:
    """Whether so many rows are equal that they can't be copies."""
    return rows.height > 0 and rows.select(pl.struct(seen).n_unique()).item() < (1 - MOST_COPIES) * rows.height


def equal_rows(rows: pl.DataFrame, *, own: pl.Series, roles: pl.Series) -> EqualRows:
    """Count the equal rows of data without time.

    Args:
        rows: rows of a training set.
        own: the role that each row has by its customer's id alone.
        roles: the role that it has.
    """
    seen = [name for name in rows.columns if name not in NOT_SEEN]
    if not seen:
        return EqualRows(0, 0)
    repeated = int(rows.select(pl.struct(seen).is_duplicated().sum()).item())
    return EqualRows(repeated, int((own != roles).sum()), are_apart(rows, seen))
