"""The protocol of a feature engine: input and output, the same for all engines.

Belongs here: the protocol and its input. Does not belong here: which features there are (``features.catalogue``), how rows
become features (``features.snapshot``), and how an engine reads them (``polars_engine``, ``spark_engine``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.lookback import Lookback, lookback_of
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_store.mapping.tables import Table


@dataclass(frozen=True)
class History:
    """The raw tables of a lake, each at one version, and the features to compute from them.

    Attributes:
        lake: lake that holds the tables.
        versions: version of each table that the company has.
        calendar: calendar of the periods in which rows arrived.
        features: features to compute.
        rule: definition of who is at risk.
        roles: what the types of events mean.
    """

    lake: Lake
    versions: Mapping[Table, int]
    calendar: Calendar
    features: Sequence[Feature]
    rule: AtRisk
    roles: EventRoles

    def lookback(self, table: Table, snapshot: date) -> Lookback:
        """Which rows of a table a snapshot reads."""
        return lookback_of(table, snapshot, self.features, self.rule, self.calendar)


class Engine(Protocol):
    """Computes features at snapshots."""

    def snapshots(self, history: History, days: Sequence[date]) -> Iterator[tuple[date, pl.DataFrame]]:
        """The features of everybody at risk, snapshot by snapshot, in the order of time.

        Yields:
            The snapshot, and the result of ``features_at`` for it: the same, bit by bit, whatever the engine.
        """
