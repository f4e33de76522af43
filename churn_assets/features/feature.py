"""The definition of a feature, and the expressions from which its whole-number aggregates are built.

Belongs here: the description of one feature, and expressions that give the same result on every engine. Does not belong here:
which features there are (``catalogue``), which of them a company's models see (``feature_sets``), and how they are computed at a
snapshot (``snapshot``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import narwhals as nw

from churn_assets.settings.events import Role
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
        name: unique name of the column.
        description: meaning of the value, in words.
        table: raw table that it is aggregated from.
        window_days: length of its window before the snapshot; `None` for a fact of the customer's record at the snapshot.
        unit: unit of the value.
        pii: kind of personal data.
        value: Narwhals expression over the aggregates and the customer's record. The record also has ``signed_up_age_s``, seconds
            since sign-up; ``signed_up_s`` plus it is the snapshot.
        aggregates: expressions over the table's rows, by name. Rows have the table's columns without ids and ``known_s``, and
            ``age_s`` (seconds before the snapshot); events also have their ``role`` and ``features.recency_flags.PLACES``. For a customer without
            rows an aggregate is zero, or null if its name begins with ``age_of_``. A name means the same in every feature.
        besides: aggregates of further tables, for a feature that combines tables.
        kind: ``number`` or ``category``.
        nullable: whether the value may be missing, such as the days since an event that never happened.
        low: least possible value.
        high: greatest possible value.
        grows: whether it grows with time for everyone; such a feature is excluded from drift decisions.
        calendar: whether it follows the calendar, the same for everyone; it is excluded from drift decisions as well.
        needs: columns that a source may lack, without which the feature does not exist: attributes of ``customers``, or
            optional columns of the table.
        role: role whose events alone it counts; without any it is the same for everybody.
        event_type: type of the events that it counts, likewise; for an entry that ``events.types`` made.
        owner: team that answers for it.
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
    role: Role | None = None
    event_type: str | None = None
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
        """The raw tables that it needs."""
        return frozenset({self.table, *self.besides})

    @property
    def drifts_anyway(self) -> bool:
        """Whether it changes with time alone, so that its drift is shown but not judged."""
        return self.grows or self.calendar

    def of(self, table: Table) -> Aggregates:
        """Its aggregates of a table."""
        return self.aggregates if table == self.table else self.besides.get(table, {})


def aggregates_of(features: Sequence[Feature], table: Table) -> dict[str, nw.Expr]:
    """All aggregates of a table that the given features use, each once."""
    return {name: expr for feature in features for name, expr in feature.of(table).items()}


def longest_window_days(features: Sequence[Feature], table: Table) -> int:
    """How far back a table must be read for these features, in days."""
    return max((feature.window_days or 0 for feature in features if table in feature.tables), default=0)


def within(days: int) -> nw.Expr:
    """Whether a row lies within the given number of days before the snapshot."""
    return nw.col("age_s") <= days * DAY_S


def count(condition: nw.Expr) -> nw.Expr:
    """The number of rows that satisfy a condition.

    It counts non-null values, which Polars does five times as fast as it sums ones and zeros.
    """
    return nw.when(condition).then(nw.lit(1)).count().cast(nw.Int64)


def total(column: str, condition: nw.Expr) -> nw.Expr:
    """The sum of a whole-number column over the rows that satisfy a condition."""
    return nw.when(condition).then(nw.col(column)).otherwise(nw.lit(0)).sum()


def distinct(values: nw.Expr, condition: nw.Expr) -> nw.Expr:
    """The number of different values among the rows that satisfy a condition; these rows must have no missing values.

    All other rows become null, which every engine counts as one more value; it is subtracted if there are such rows.
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

    It avoids ``whole / divisor``, for which Polars multiplies by the reciprocal, but divides if the frame has one row: the last
    bit of a customer's feature would depend on who else is in the frame.
    """
    return whole / (whole * 0 + divisor)


def ratio(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """One whole-number column divided by another; null where that is zero or missing."""
    return nw.when(whole > 0).then(part / whole)


def share(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    """One whole-number column divided by another; zero where that is zero."""
    return nw.when(whole > 0).then(part / whole).otherwise(nw.lit(0.0))
