"""What `churn validate` finds, as values that a screen and a machine can show.

Belongs here: what is said of a table, of a snapshot and of the whole. Does not belong here: how it is found (``table``,
``rates``, ``company``) and how it is shown (``screen``). No customer's id is in any of it.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BrokenRule:
    """Rows that would be set aside for one reason: the column, the rule, how many, their share, some of their values."""

    column: str
    rule: str
    rows: int
    share: float
    values: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """The days, as ISO 8601, on which rows of a table first and last happened, and on which the last one became known."""

    first: str
    last: str
    known: str


@dataclass
class TableFindings:
    """What is found of one table.

    Attributes:
        table: canonical name of the table.
        rows: rows that the source gives, those that can't be read included.
        span: when they happened; None where data has no time, or no row has one.
        key: columns that name a row.
        repeated: rows whose key another row has as well.
        mapped: canonical column: column of the source.
        missing: canonical columns that the source does not have, each with what that means.
        nulls: missing values by column, where there are any.
        broken: what would be set aside, the most frequent first.
        set_aside: number of rows set aside.
        share: share of the rows.
        future: rows that become known after the clock's time; they wait for their period.
        late_share: share of the rows that became known more than a day after they happened; None where nothing says when.
        strangers: customers who are not in ``customers``; their rows are kept, but nothing is made of them.
        empty_periods: periods that have ended without a row; of ``customers`` none, as nobody has to sign up.
        findings: what would be refused or stop a run: what was found, what was expected, what to do.
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
    empty_periods: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SnapshotRate:
    """How many customers were at risk at a snapshot, and which share of those with a label churned; none without anyone."""

    snapshot: str
    at_risk: int
    churn_rate: float | None


@dataclass
class Report:
    """The whole.

    Attributes:
        company: name of the company.
        as_of: today's date by the platform's clock.
        tables: in the order of the data's way.
        rates: by snapshot, oldest first; one with the snapshot ``all`` where data has no time.
        findings: what concerns no single table.
        notes: further remarks.
    """

    company: str
    as_of: str
    tables: list[TableFindings] = field(default_factory=list)
    rates: list[SnapshotRate] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def all_findings(self) -> list[str]:
        """Every finding once, those of the tables first."""
        found = [finding for table in self.tables for finding in table.findings]
        return list(dict.fromkeys([*found, *self.findings]))

    @property
    def fits(self) -> bool:
        """Whether nothing would be refused or stop a run."""
        return not self.all_findings
