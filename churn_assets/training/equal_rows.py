"""Rows of data without time that a model can't tell apart.

If copies of a customer were on both sides of a split, a model would be judged on rows that it has memorized.

Belongs here: which rows are equal, and how they are reported. Does not belong here: which role they get (``split``). A history is split
by time, and a customer's row of one month is no copy of the month before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from churn_assets.tables import LABEL, WEIGHT

MOST_COPIES = 0.5
"""Greatest share of rows that equal an earlier one and are still taken for copies. Above it the attributes are too few to tell customers
apart: equal rows are then different people, as they are in practice."""

NOT_INPUTS = {"customer_id", "snapshot_s", LABEL, "role", WEIGHT}
"""Columns of a training set that no model sees."""


@dataclass(frozen=True)
class EqualRows:
    """The rows that equal another one in everything that a model sees.

    Attributes:
        rows: number of rows that have an equal one.
        moved: number of those whose role is that of their equal row, not that of their own customer id.
        too_many: whether they are too many to be copies, so that each keeps the role of its own customer id.
    """

    rows: int
    moved: int
    too_many: bool = False

    def __str__(self) -> str:
        """One sentence for people; an empty text if no rows are equal."""
        if not self.rows:
            return ""
        sentence = f"{self.rows:,} rows equal another one in everything that a model sees"
        if self.too_many:
            return f"{sentence}; these are too many to be copies, so that each counts as a customer of its own"
        return (
            f"{sentence}; {self.moved:,} of them would be on the other side of the split and are kept beside their equals"
        )


def copy_representatives(rows: pl.DataFrame, inputs: Sequence[str] | None = None) -> pl.Series:
    """For each row the id of the customer that stands for it: the least id of the rows that equal it.

    Args:
        rows: rows of data without time; in a history each customer stands for itself.
        inputs: columns that a model sees; default: all but key, label and role.
    """
    columns = [name for name in rows.columns if name not in NOT_INPUTS] if inputs is None else list(inputs)
    if "snapshot_s" in rows.columns or not columns or too_many_to_be_copies(rows, columns):
        return rows["customer_id"]
    return rows.select(pl.col("customer_id").min().over(columns)).to_series()


def merge_copies(rows: pl.DataFrame) -> pl.DataFrame:
    """Give copies one ``customer_id``, so that repeated rows don't make intervals narrower.

    Args:
        rows: training set with the rows of every role; a history stays as it is.
    """
    return rows.with_columns(customer_id=copy_representatives(rows))


def too_many_to_be_copies(rows: pl.DataFrame, inputs: Sequence[str]) -> bool:
    """Whether so many rows are equal that they can't be copies."""
    return rows.height > 0 and rows.select(pl.struct(inputs).n_unique()).item() < (1 - MOST_COPIES) * rows.height


def equal_rows(rows: pl.DataFrame, *, by_id: pl.Series, roles: pl.Series) -> EqualRows:
    """Count the equal rows of data without time.

    Args:
        rows: rows of a training set.
        by_id: role of each row by its customer's id alone.
        roles: role that each row has.
    """
    inputs = [name for name in rows.columns if name not in NOT_INPUTS]
    if not inputs:
        return EqualRows(0, 0)
    repeated = int(rows.select(pl.struct(inputs).is_duplicated().sum()).item())
    return EqualRows(repeated, int((by_id != roles).sum()), too_many_to_be_copies(rows, inputs))
