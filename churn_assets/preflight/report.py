"""The findings of `churn validate`, as values for a screen or a machine.

Belongs here: the findings about a table, a snapshot and the company. Does not belong here: how they are found (``table``,
``rates``, ``company``) and how they are shown (``screen``). None of them contains a customer's id.
"""

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from churn_assets.tables import LABEL
from churn_assets.training.training_set import snapshots
from churn_store.mapping.labels import LabelCounts


@dataclass(frozen=True)
class BrokenRule:
    """Rows that would be set aside for one reason: column, rule, number of rows, their share, and some values."""

    column: str
    rule: str
    rows: int
    share: float
    values: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """The days (ISO 8601) on which a table's first and last rows happened, and on which the last one became known."""

    first: str
    last: str
    known: str


@dataclass(frozen=True)
class EventType:
    """A type of events, as it may be shown: number of events, and what ``events.roles`` takes it for; `None` for nothing."""

    word: str
    rows: int
    role: str | None


@dataclass(frozen=True)
class OwnFeatures:
    """What speaks for and against features of a type of events.

    Attributes:
        word: the type, as it may be shown.
        customers: share of the customers with any event who have one of this type, in the last 90 days of the data.
        each: mean number of such events of a customer who has one.
        against: why it is not proposed; empty where nothing speaks against it.
        chosen: whether ``events.types`` names it.
    """

    word: str
    customers: float
    each: float
    against: str
    chosen: bool


@dataclass
class TableFindings:
    """The findings about one table.

    Attributes:
        table: canonical name of the table.
        rows: number of rows in the source, including unreadable ones.
        span: days on which they happened; `None` where the data has no time, or no row has one.
        key: key columns of the table.
        repeated: number of rows whose key another row has as well.
        mapped: columns of the source by canonical column.
        missing: canonical columns that the source does not have, each with the consequence.
        nulls: number of missing values by column, where there are any.
        broken: broken rules, the most frequent first.
        set_aside: number of rows that would be set aside.
        share: share of rows that would be set aside.
        future: number of rows that become known after the clock's time; they wait for their period.
        late_share: share of rows that became known more than a day after they happened; `None` without arrival timestamps.
        strangers: number of customers who are not in ``customers``; their rows are kept, but no features are made of them.
        labels: customers by what their label says; `None` for a history.
        empty_periods: periods that have ended without a row; always empty for ``customers``, as nobody has to sign up.
        event_types: types of events, the most frequent first; only for ``events``.
        more_event_types: number of rarer types that are not among them.
        own_features: what speaks for and against features of each type, those of most customers first.
        proposed_events: the section ``events`` of ``churn.yaml`` as one line, with roles for types without one and types with features
            of their own; `None` for no proposal.
        findings: problems that would be refused or stop a run: what was found, what was expected, what to do.
        notes: further remarks.
    """

    table: str
    rows: int = 0
    span: Span | None = None
    key: tuple[str, ...] = ()
    repeated: int = 0
    mapped: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)
    broken: list[BrokenRule] = field(default_factory=list)
    set_aside: int = 0
    share: float = 0.0
    future: int = 0
    late_share: float | None = None
    strangers: int = 0
    labels: LabelCounts | None = None
    empty_periods: list[str] = field(default_factory=list)
    event_types: list[EventType] = field(default_factory=list)
    more_event_types: int = 0
    own_features: list[OwnFeatures] = field(default_factory=list)
    proposed_events: str | None = None
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SnapshotRate:
    """The number of customers at risk at a snapshot, and the share of those with a label who churned; `None` without any.

    In data without time those with a label are others than those at risk: ``labelled`` is their number. ``by_payment_failure`` is the
    number of those who churned so; `None` where kinds of churn are not told apart.
    """

    snapshot: str
    at_risk: int
    churn_rate: float | None
    labelled: int | None = None
    by_payment_failure: int | None = None


@dataclass(frozen=True)
class RoleRows:
    """The rows of a training set with one role: their number, how many of them churned, and the first and last snapshot.

    The snapshots are empty where the data has no time.
    """

    role: str
    rows: int
    churned: int
    first: str = ""
    last: str = ""

    @classmethod
    def of(cls, role: str, rows: pl.DataFrame) -> "RoleRows":
        """Count rows that have ``churned``, and ``snapshot_s`` where the data has time."""
        days = snapshots(rows)
        return cls(role, rows.height, int(rows[LABEL].sum()), *((days[0], days[-1]) if days else ()))


@dataclass(frozen=True)
class Remedy:
    """Settings, as they are written in ``churn.yaml``, with which training begins on these rows, and the rows by role it then has."""

    settings: str
    roles: tuple[RoleRows, ...]


@dataclass
class Report:
    """The report on a company.

    Attributes:
        company: name of the company.
        as_of: today's date by the platform's clock.
        tables: findings by table.
        rates: churn rates by snapshot, oldest first; one with the snapshot ``all`` where the data has no time.
        roles: rows of the training set by role; empty where it can't be made.
        constant: features that are the same in all training rows; models leave them out.
        words: number of words of each category in the training rows.
        findings: problems that concern no single table.
        remedies: settings that would let training begin; each was tried on these rows.
        enough_on: day up to which the data must reach for enough snapshots, with the settings as they are; empty where that is not
            what is wrong.
        questions: what a person must decide; none of it stops a run.
        notes: further remarks.
    """

    company: str
    as_of: str
    tables: list[TableFindings] = field(default_factory=list)
    rates: list[SnapshotRate] = field(default_factory=list)
    roles: list[RoleRows] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    words: dict[str, int] = field(default_factory=dict)
    remedies: list[Remedy] = field(default_factory=list)
    enough_on: str = ""
    questions: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def all_findings(self) -> list[str]:
        """Every finding once, those of the tables first."""
        of_tables = [finding for table in self.tables for finding in table.findings]
        return list(dict.fromkeys([*of_tables, *self.findings]))

    @property
    def fits(self) -> bool:
        """Whether nothing would be refused or stop a run."""
        return not self.all_findings

    @property
    def verdict(self) -> Literal["fits", "decide", "does not fit"]:
        """Whether training can begin, can begin and somebody should decide something, or can't."""
        if not self.fits:
            return "does not fit"
        return "decide" if self.questions else "fits"
