"""What a feature is, and the words in which its whole-number aggregates are said.

Belongs here: the description of one feature, and expressions that every engine computes alike. Does not belong here: which
features there are (``catalogue``), which of them a company's models see (``feature_sets``), and how they are computed at a
snapshot (``snapshot``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import narwhals as nw

from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from churn_store.model.signature import Column

Pii = Literal["none", "behaviour", "attribute"]

Aggregates = Mapping[str, nw.Expr]
"""Whole-number aggregates by name, one value a customer."""


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes:
        name: name of the column; unique.
        description: what it says of a customer, in words.
        table: the raw table that it is aggregated from.
        window_days: how far it looks back; None for a fact of the customer's record as it is at the snapshot.
        unit: unit of the value.
        pii: what kind of personal data it is.
        value: Narwhals expression over the aggregates and the customer's record, which has ``signed_up_age_s`` besides (seconds
            since sign-up); the two times of the record add up to the snapshot.
        aggregates: of the table's rows, which have ``age_s`` (seconds before the snapshot) besides the table's own columns but
            for ids and ``known_s``, and of events also their ``features.recency_flags.PLACES``. Of a customer without any row they are zero, but
            null for names that begin with ``age_of_``. A name means the same wherever it is used.
        besides: aggregates of further tables, for what no table says alone.
        kind: ``number`` or ``category``.
        nullable: whether "never" is an answer.
        low: the least possible value.
        high: the greatest possible value.
        grows: whether it only ever grows with time, so that drift says nothing.
        calendar: whether it follows the calendar, the same for everybody, so that drift says nothing either.
        needs: columns that a source may lack, without which the feature does not exist: attributes of ``customers``, or
            optional columns of the table.
        owner: the team to ask.
    """

    name: str
    description: str
    table: Table
    window_days: int | None
    unit: str
    pii: Pii
    value: nw.Expr
    aggregates: Aggregates = field(default_factory=dict)
    besides: Mapping[Table, Aggregates] = field(default_factory=dict)
    kind: Literal["number", "category"] = "number"
    nullable: bool = False
    low: float | None = 0.0
    high: float | None = None
    grows: bool = False
    calendar: bool = False
    needs: tuple[str, ...] = ()
    owner: str = "team:data"

    @property
    def column(self) -> Column:
        """The feature as a model's input; its categories are learned in training."""
        return Column(
            name=self.name,
            kind=self.kind,
            nullable=self.nullable,
            low=self.low,
            high=self.high,
            unit=self.unit,
            description=self.description,
        )

    @property
    def tables(self) -> frozenset[Table]:
        """The raw tables without which it does not exist."""
        return frozenset({self.table, *self.besides})

    @property
    def drifts_anyway(self) -> bool:
        """Whether it moves with time alone, so that drift is shown and not judged."""
        return self.grows or self.calendar

    def of(self, table: Table) -> Aggregates:
        """Its aggregates of a table."""
        return self.aggregates if table == self.table else self.besides.get(table, {})


def aggregates_of(features: Sequence[Feature], table: Table) -> dict[str, nw.Expr]:
    """All aggregates of a table that some features are made of, each once."""
    return {name: expr for feature in features for name, expr in feature.of(table).items()}


def longest_window_days(features: Sequence[Feature], table: Table) -> int:
    """How far back a table must be read for these features, in days."""
    return max((feature.window_days or 0 for feature in features if table in feature.tables), default=0)


def within(days: int) -> nw.Expr:
    """Rows of the last so many days before the snapshot."""
    return nw.col("age_s") <= days * DAY_S


def count(condition: nw.Expr) -> nw.Expr:
    """How many rows satisfy a condition.

    Not a sum of ones and zeros: Polars counts what is not missing five times as fast.
    """
    return nw.when(condition).then(nw.lit(1)).count().cast(nw.Int64)


def total(column: str, condition: nw.Expr) -> nw.Expr:
    """The sum of a whole-number column over the rows that satisfy a condition."""
    return nw.when(condition).then(nw.col(column)).otherwise(nw.lit(0)).sum()


def distinct(values: nw.Expr, condition: nw.Expr) -> nw.Expr:
    """How many different values, None of them missing, the rows have that satisfy a condition.

    Every engine counts the missing value that stands for all other rows as one more, so it is taken off where there are any.
    """
    others = nw.len() > nw.when(condition).then(nw.lit(1)).count()
    return nw.when(condition).then(values).n_unique() - others.cast(nw.Int64)


def newest_age(condition: nw.Expr) -> nw.Expr:
    """Seconds since the newest row that satisfies a condition; null where none does."""
    return nw.when(condition).then(nw.col("age_s")).min()


def oldest_age(condition: nw.Expr) -> nw.Expr:
    """Seconds since the oldest row that satisfies a condition; null where none does."""
    return nw.when(condition).then(nw.col("age_s")).max()


def quotient(whole: nw.Expr, divisor: int) -> nw.Expr:
    """A whole-number column divided by a number, rounded once.

    Not ``whole / divisor``: Polars then multiplies by the reciprocal, but divides where a frame has one row, so that the last
    bit of a customer's feature would depend on who else is in the frame.
    """
    return whole / (whole * 0 + divisor)


def ratio(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """One whole-number column divided by another; null where that is zero or missing."""
    return nw.when(whole > 0).then(part / whole)


def share(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """One whole-number column divided by another; zero where that is zero."""
    return nw.when(whole > 0).then(part / whole).otherwise(nw.lit(0.0))
