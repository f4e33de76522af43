"""The settings that the asset graph reads from ``churn.yaml``, as a whole: all sections, and the rules between them.

Does not belong here: names, defaults and bounds of one section (a module each beside this one), settings of the service alone
(``churn_api.settings``), and settings of both (``churn_store.settings``).
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from churn_assets.periods import Calendar
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.engine import EngineName, Spark
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.events import ENDS, EventSettings
from churn_assets.settings.features import Features
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.judging import JudgingSettings
from churn_assets.settings.label import Label
from churn_assets.settings.monitoring import Monitoring
from churn_assets.settings.performance import PerformanceSettings
from churn_assets.settings.profit import Profit
from churn_assets.settings.quality import Quality
from churn_assets.settings.raw import Raw
from churn_assets.settings.retraining import Retraining
from churn_assets.settings.source import SourceSettings
from churn_assets.settings.tracking import Tracking
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings
from churn_store.database.sqlite_url import sqlite_url
from churn_store.errors import InputError
from churn_store.mapping.tables import Table
from churn_store.settings import ConfigFile, SharedServiceSettings

LONGEST_PERIOD_DAYS = {"monthly": 31, "weekly": 7, "daily": 1}
"""Days of the longest period of each cadence."""


class Settings(ConfigFile):
    """The configuration of the asset graph."""

    source: SourceSettings = SyntheticSettings()
    raw: Raw = Raw()
    quality: Quality = Quality()
    engine: EngineName = "polars"
    spark: Spark = Spark()
    cadence: Literal["monthly", "weekly", "daily"] = "monthly"
    at_risk: AtRisk = AtRisk()
    label: Label = Label()
    events: EventSettings = EventSettings()
    features: Features = Features()
    training: Training = Training()
    profit: Profit = Profit()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: Gate = Gate()
    promotion: Literal["automatic", "manual"] = Field(
        "automatic", description="whether an accepted candidate serves at once, or waits for `churn approve`"
    )
    purpose: str = Field(
        "Order the customers at risk by their probability of churn, so that retention offers go to those where they pay.",
        min_length=1,
        max_length=1_000,
        description="what the models of this company are for; it stands in the model card",
    )
    monitoring: Monitoring = Monitoring()
    performance: PerformanceSettings = PerformanceSettings()
    retraining: Retraining = Retraining()
    tracking: Tracking = Tracking()
    service: SharedServiceSettings = SharedServiceSettings()

    @model_validator(mode="after")
    def _predictions_are_kept_until_judged(self) -> "Settings":
        keep, label = self.service.keep_days, self.label
        periods = 3 * LONGEST_PERIOD_DAYS[self.cadence] if self.has_time else 0
        least = label.horizon_days + label.grace_days + periods
        if keep is not None and keep < least:
            of_periods = f" + {periods} of three {self.cadence} periods" if periods else ""
            raise ValueError(
                f"service.keep_days is {keep}, but a prediction is needed until its outcome is judged: {label.horizon_days} days of "
                f"label.horizon_days + {label.grace_days} of label.grace_days{of_periods} = {least}. Set it to {least} or more, or leave "
                "it out to keep all"
            )
        return self

    @model_validator(mode="after")
    def _one_meaning_of_leaving(self) -> "Settings":
        """The role ``cancelled`` speaks for ``label.event`` and ``at_risk.cancelled_event``, which may only repeat its words."""
        words = self.events.roles.cancelled
        if words is None or not self.has_time:
            return self
        by_event = self.label.kind == "event"
        for setting, given in (
            ("label.event", self.label.event if by_event else ()),
            ("at_risk.cancelled_event", self.at_risk.endings),
        ):
            if given != ENDS and (others := sorted(set(given) - set(words))):
                raise ValueError(
                    f"{setting} names {_listed(others)}, which events.roles.cancelled does not (it has {_listed(words)}): who left by "
                    f"it would still be at risk. Name it there too, or leave {setting} out"
                )
        if by_event and not words:
            raise ValueError(
                "label.kind `event` looks for the events of events.roles.cancelled, which is empty; name the types of events by "
                "which customers leave, or choose label.kind `inactivity`"
            )
        if by_event:
            object.__setattr__(self, "label", self.label.model_copy(update={"event": words}))
        if self.at_risk.cancelled_event is not None:
            object.__setattr__(self, "at_risk", self.at_risk.model_copy(update={"cancelled_event": words or None}))
        return self

    @model_validator(mode="after")
    def _types_can_be_counted(self) -> "Settings":
        types = self.events.types
        if types and "events" not in self.tables:
            raise ValueError(
                f"events.types names {_listed(types)}, but the source has no `events`; add them or leave events.types out"
            )
        if self.has_time and (ending := sorted(set(types) & set(self.at_risk.endings))):
            raise ValueError(
                f"events.types names {_listed(ending)}, which ends customers: nobody at risk has one. Leave it out, or write "
                "`at_risk: {cancelled_event: null}` where customers come back"
            )
        return self

    @model_validator(mode="after")
    def _kinds_can_be_told(self) -> "Settings":
        kinds = self.label.kinds
        if kinds is None or not self.has_time:
            return self
        if kinds.events and "events" not in self.tables:
            raise ValueError(
                f"label.kinds.events names {_listed(kinds.events)}, but the source has no `events`; leave it out"
            )
        if not kinds.events and "payments" not in self.tables:
            raise ValueError(
                "label.kinds tells churn by payment failure from failed payments, but the source has no `payments`; add them, name types "
                "of events in label.kinds.events, or leave label.kinds out"
            )
        return self

    @model_validator(mode="after")
    def _windows_agree(self) -> "Settings":
        if self.monitoring.agreeing > self.monitoring.windows:
            raise ValueError("monitoring.agreeing must not be more than monitoring.windows")
        if self.gate.auc_floor >= self.gate.auc_plausible:
            raise ValueError("gate.auc_floor must be less than gate.auc_plausible, or nothing can pass")
        if self.has_time and self.label.kind == "event" and "events" not in self.tables:
            raise ValueError(
                f"label.kind `event` looks for the event {_listed(self.label.event)}, but the source has no `events`; add them or "
                "choose label.kind `inactivity`"
            )
        ends = set(self.at_risk.endings)
        if self.has_time and self.label.kind == "event" and ends and ends != set(self.label.event):
            raise ValueError(
                f"label.event is {_listed(self.label.event)}, but at_risk.cancelled_event is {_listed(self.at_risk.endings)}: who left "
                "by the one would still be at risk by the other; name the same event, or null where customers come back"
            )
        return self

    @property
    def has_time(self) -> bool:
        """Whether the data is a history, rather than one table with a label column."""
        return self.source.shape == "history"

    @property
    def fitting(self) -> FittingSettings:
        """What a fit depends on."""
        return FittingSettings(self.training, self.profit, self.label, self.at_risk, self.has_time)

    @property
    def judging(self) -> JudgingSettings:
        """What the gate judges by."""
        return JudgingSettings(self.gate, self.profit, self.evaluation, self.label, self.training.seed)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The raw tables of the source that features and labels are made of."""
        return self.source.tables

    @property
    def raw_tables(self) -> tuple[Table, ...]:
        """All raw tables that the source has, also those that no feature is made of."""
        return self.source.raw_tables

    @property
    def start(self) -> date:
        """The first day with data."""
        if self.source.start is None:
            raise InputError("a table without time has no first day")
        return self.source.start

    @property
    def calendar(self) -> Calendar:
        """The periods of a history."""
        return Calendar(self.cadence, self.start)

    @property
    def timeline(self) -> Calendar | None:
        """The calendar of a history; `None` where the data has no time."""
        return self.calendar if self.has_time else None

    @property
    def lake_url(self) -> str:
        """Root of the lake."""
        return self.store.lake_url or str((self.home / "lake").absolute())

    @property
    def reports(self) -> Path:
        """Folder of the drawn reports."""
        return self.home / "reports"

    @property
    def experiment(self) -> str:
        """The name of the company's experiment in MLflow."""
        return f"{self.tracking.experiment}-{self.company}"

    @property
    def tracking_uri(self) -> str:
        """The address at which MLflow keeps runs and the registry."""
        return self.tracking.uri or sqlite_url(self.home / "mlflow.db")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words)) or "none"
