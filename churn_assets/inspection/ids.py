"""Finds the columns with the ids of customers, and whether those of several tables are the same.

Belongs here: candidates by name and by values, and the share of rows that join. Does not belong here: which table is which (``roles``).
"""

from dataclasses import dataclass

import polars as pl

from churn_assets.inspection.columns import Column, TableProfile
from churn_assets.inspection.names import ANY_ID, CUSTOMER, CUSTOMER_ID, ROW_ID, ROW_NUMBER
from churn_store.mapping.foreign_keys import unknown_of

SAID, MEANT, SOME, COUNTED = 3.0, 2.0, 1.0, 0.5
"""How much a name tells: the id of a customer, a customer, some id, the number of a row."""

LEAST_IDS = 3
LEAST_SHARE, LEAST_COVERAGE = 0.5, 0.2
"""Ids of two tables are the same if so many rows of the one have a customer in the other, and so many customers have a row."""


def named(column: Column) -> float:
    """How much the name of a column tells that it has the ids of customers; 0 for nothing."""
    if (
        column.time is not None
        or column.is_truth
        or column.distinct < LEAST_IDS
        or (column.is_number and not column.is_whole)
    ):
        return 0.0
    if CUSTOMER_ID.search(column.plain):
        return SAID
    if CUSTOMER.search(column.plain):
        return MEANT
    if ROW_NUMBER.search(column.plain):
        return COUNTED
    return SOME if ANY_ID.search(column.plain) and not ROW_ID.search(column.plain) else 0.0


def best_named(profile: TableProfile) -> Column | None:
    """The column that by its name has the ids of customers; of equal ones the first."""
    candidates = [column for column in profile.columns.values() if named(column) > 0]
    return max(candidates, key=lambda column: (named(column), column.is_unique), default=None)


@dataclass(frozen=True)
class Join:
    """How a column of ids joins those of the customers.

    Attributes:
        column: name of the column.
        share: share of its rows that have a customer.
        coverage: share of the customers that have a row.
        strip: whether they join without leading zeros alone.
    """

    column: str
    share: float
    coverage: float
    strip: bool = False


def join(column: Column, customers: Column) -> Join:
    """How the ids of a table join those of the customers, with leading zeros or without."""
    plainly = _joined(column, column.values, customers.values, strip=False)
    if plainly.share >= 1 - 1e-9 or not (column.has_leading_zeros or customers.has_leading_zeros):
        return plainly
    stripped = _joined(column, _stripped(column.values), _stripped(customers.values), strip=True)
    return stripped if stripped.share > plainly.share + 0.02 and _keeps_apart(customers) else plainly


def best_join(profile: TableProfile, customers: Column) -> Join | None:
    """The column of a table that holds the customers' ids, by its values and its name; ``None`` if none does."""
    found = []
    for column in profile.columns.values():
        score = named(column)
        if (
            column.time is not None
            or column.is_truth
            or column.distinct < LEAST_IDS
            or (column.is_number and not column.is_whole)
        ):
            continue
        joined = join(column, customers)
        if joined.share >= LEAST_SHARE and (joined.coverage >= LEAST_COVERAGE or score >= MEANT):
            found.append((joined.share * (1 + score) + joined.coverage, joined))
    return max(found, key=lambda scored: scored[0])[1] if found else None


def _joined(column: Column, ids: pl.Series, customers: pl.Series, *, strip: bool) -> Join:
    there, known = ids.drop_nulls(), customers.drop_nulls().unique()
    if there.len() == 0 or known.len() == 0:
        return Join(column.name, 0.0, 0.0, strip)
    share = 1 - unknown_of(there, known).len() / there.len()
    coverage = known.is_in(there.unique().implode()).mean()
    return Join(column.name, share, float(coverage or 0.0), strip)  # type: ignore[arg-type]


def _stripped(ids: pl.Series) -> pl.Series:
    return ids.str.replace(r"^0+(\d)", "$1")


def _keeps_apart(customers: Column) -> bool:
    """Whether ids without their zeros still are those of different customers."""
    return _stripped(customers.values.drop_nulls().unique()).n_unique() >= customers.distinct
