"""Which arrivals a snapshot needs, so that a new snapshot reads only them. Leaving out all others changes no feature.

Belongs here: how far back each raw table is read. Does not belong here: what is made of the rows (``snapshot``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from churn_assets.features.feature import Feature, longest_window_days
from churn_assets.periods import Calendar, text
from churn_assets.settings.at_risk import AtRisk
from churn_store.mapping.tables import Table


@dataclass(frozen=True)
class Lookback:
    """The rows of a table of the lake that a snapshot reads.

    Attributes:
        since: first period that is read whole; empty to read all of them.
        until: first period that is not read: the snapshot's own.
        endings: types of the events that end a customer for ever, which are also read from the periods before ``since``.
    """

    since: str
    until: str
    endings: tuple[str, ...] = ()

    def whole(self, period: str) -> bool:
        """Whether all rows that arrived in a period are read."""
        return self.since <= period < self.until


def lookback_of(table: Table, snapshot: date, features: Sequence[Feature], rule: AtRisk, calendar: Calendar) -> Lookback:
    """Which rows of a table a snapshot reads.

    Args:
        table: name of the table, in which no row arrives before it happens.
        snapshot: T, the first day of a period.
        features: features that are computed from the table.
        rule: definition of who is at risk.
        calendar: calendar of the periods.
    """
    days = lookback_days(table, features, rule)
    since = "" if days is None else text(calendar.floor(snapshot - timedelta(days=days)))
    return Lookback(since, text(snapshot), rule.endings if table == "events" else ())


def lookback_days(table: Table, features: Sequence[Feature], rule: AtRisk) -> int | None:
    """How far back a snapshot reads all rows of a table, in days.

    `None` for all of ``customers``: a version of any age may be a customer's newest.
    """
    return None if table == "customers" else max(longest_window_days(features, table), rule.active_days)


def reads_all(table: Table, rule: AtRisk) -> bool:
    """Whether a row of any age can matter: a version of a record, or the event that ended a customer for ever."""
    return table == "customers" or (table == "events" and bool(rule.endings))
