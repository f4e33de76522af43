"""The settings that the asset graph reads from ``churn.yaml``: the source, the definitions of risk and churn, the rules.

Belongs here: names, defaults and allowed values. Does not belong here: settings of the service alone (``churn_api.settings``), and
settings of both (``churn_store.settings``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from churn_assets.periods import Calendar
from churn_assets.settings.churn_kinds import ChurnKinds
from churn_assets.settings.events import EventSettings, Words
from churn_assets.settings.postgres import PostgresSettings
from churn_assets.simulator.source import SyntheticSettings
from churn_store.errors import InputError
from churn_store.mapping.file_settings import FilesSettings
from churn_store.mapping.settings import LabelColumn
from churn_store.mapping.tables import Table
from churn_store.settings import ConfigFile, Section

SourceSettings = Annotated[SyntheticSettings | FilesSettings | PostgresSettings, Field(discriminator="kind")]
"""The source of the raw tables."""


class Raw(Section):
    """What may be wrong with what arrives."""

    quarantine_limit: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="largest share of a period's rows that may be set aside; above it the period is refused",
    )
    empty_periods: Literal["refuse", "accept"] = Field(
        "refuse",
        description="a period without any event, or without any payment, is taken for a broken feed, or for a quiet one",
    )


ENDS = ("cancelled",)
"""The type of event by which a customer leaves, where nothing else is said."""


class AtRisk(Section):
    """Who can churn at a snapshot."""

    signed_up_days: int = Field(30, ge=0, description="signed up at least so many days ago")
    active_days: int = Field(60, gt=0, description="some event or settled payment in so many days before")
    cancelled_event: Words | None = Field(
        ENDS,
        description="the type of event that ends a customer, or several; nobody who has one is at risk; null where customers come "
        "back; default: events.roles.cancelled",
    )

    @property
    def endings(self) -> tuple[str, ...]:
        """The types of events that end a customer; none where customers come back."""
        return self.cancelled_event or ()


class Label(Section):
    """What churn is."""

    kind: Literal["event", "inactivity"] = Field("event", description="a named event, or no event and no settled payment")
    event: Words = Field(
        ENDS, description="the type of event that is churn, or several, for kind `event`; default: events.roles.cancelled"
    )
    horizon_days: int = Field(30, gt=0, description="length of the window after the snapshot")
    grace_days: int = Field(3, ge=0, description="how long after the window rows may still arrive")
    kinds: ChurnKinds | None = Field(
        None,
        description="how churn by payment failure is told from churn by will; labels, card and evaluation then show both apart",
        exclude_if=lambda kinds: kinds is None,  # so that digests of settings without it are what they were
    )

    @model_validator(mode="before")
    @classmethod
    def _no_column(cls, given: object) -> object:
        if isinstance(given, dict) and (misplaced := sorted(set(given) & set(LabelColumn.model_fields))):
            raise ValueError(
                f"{', '.join(misplaced)} describes the label column of data without time; expected `kind`, `event`, `horizon_days`, "
                "`grace_days` or `kinds`, which define churn in a history. Write it under `source.customers.label`, with `shape: table`"
            )
        return given

    @property
    def horizon(self) -> timedelta:
        """Length of the window."""
        return timedelta(days=self.horizon_days)

    @property
    def grace(self) -> timedelta:
        """How long after the window rows may still arrive."""
        return timedelta(days=self.grace_days)


class Features(Section):
    """Which features a model sees."""

    first_snapshot: date | None = Field(None, description="default: the first period whose windows lie inside the data")
    sets: dict[str, tuple[str, ...]] = Field({}, description="names of features by the name of the set")
    use: str = Field("all", description="the set that models see: one of `sets`, `classic` or `all`")
    exclude: tuple[str, ...] = Field((), description="names of the catalogue that no model may see")
    protected: tuple[str, ...] = Field(
        (),
        description="words that no feature may have in its name, besides those for what the law protects; * for any letters",
    )

    allow_protected: dict[str, str] = Field(
        {},
        description="why a feature may be seen by models although it is protected, and who says so, by its name; the model card "
        "prints it",
    )

    @field_validator("allow_protected")
    @classmethod
    def _each_has_a_reason(cls, reasons: dict[str, str]) -> dict[str, str]:
        if without := [name for name, reason in reasons.items() if not any(letter.isalpha() for letter in reason)]:
            raise ValueError(
                f"{', '.join(without)} has no reason; expected why a model may see it and who says so, such as "
                f'`{without[0]}: "priced by it, by law; Ann Smith, 2026-03-01"`, or leave it out'
            )
        return {name: " ".join(reason.split()) for name, reason in reasons.items()}

    @field_validator("protected")
    @classmethod
    def _protected_words_have_letters(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if nothing := [word for word in words if not any(letter.isalpha() for letter in word)]:
            raise ValueError(
                f"{', '.join(map(repr, nothing))} has no letter and protects nothing; name a word, or leave it out"
            )
        return words


FamilyName = Literal["logistic_regression", "random_forest", "gradient_boosting", "lightgbm", "xgboost"]


MOST_TRIALS = 1_000
"""The greatest number of parameters that the search of a family may try."""


LEAST_ROWS = 50
"""The least that ``training.minimum_rows`` may be."""


class Training(Section):
    """How a training set is cut and what is trained."""

    families: tuple[FamilyName, ...] = Field(("logistic_regression", "random_forest", "gradient_boosting"), min_length=1)
    trials: int = Field(
        6, ge=1, le=MOST_TRIALS, description="parameters that the search tries for each family; 1 takes the defaults"
    )
    tuning_rows: int = Field(
        12_000,
        ge=500,
        description="the first share of the rows that the search looks at; the next ones are 3 and 9 times as large",
    )
    most_rows: int = Field(
        1_500_000,
        ge=1_000,
        description="a model is fitted on no more training rows than these, of customers drawn by the seed; a row takes about 3 KB",
    )
    search: dict[FamilyName, dict[str, tuple[float, float]]] = Field(
        {}, description="least and greatest value of a family's parameter, in place of its own"
    )
    resampling: Literal["none", "undersample", "oversample"] = Field(
        "none", description="of the training rows alone; the calibration on later rows sets the probabilities right"
    )
    judging_snapshots: int = Field(2, ge=1, description="the newest mature snapshots, kept for the gate")
    selecting_snapshots: int = Field(
        1, ge=1, description="snapshots before those that calibrate the families and choose between them"
    )
    training_snapshots: int = Field(18, ge=1, description="at most so many snapshots before those, newest first")
    held_out_share: float = Field(0.3, gt=0, lt=0.5, description="data without time: share of rows kept for the gate")
    minimum_rows: int = Field(200, ge=LEAST_ROWS, description="fewer rows to train on, or to judge on, are refused")
    single_feature_auc: float = Field(
        0.95, gt=0.5, le=1, description="a feature that alone has a better AUC than this is taken for a leak"
    )
    minimum_correlation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="a model looks at no number that is less correlated with churn on the rows that it is fitted on",
    )
    seed: int = 42


class Profit(Section):
    """What a retention offer costs and brings, in the company's currency (Verbraken, Verbeke and Baesens 2013)."""

    customer_value: float = Field(200.0, gt=0, description="what a churner who stays after all is worth")
    offer_cost: float = Field(10.0, ge=0, description="of the offer, for each customer who takes it")
    contact_cost: float = Field(1.0, ge=0, description="of asking a customer")
    acceptance_alpha: float = Field(
        6.0, gt=1, description="share of churners who take the offer and stay: Beta(alpha, beta)"
    )
    acceptance_beta: float = Field(14.0, gt=1, description="the second parameter of that distribution")

    @property
    def acceptance(self) -> float:
        """The expected share of churners who take the offer and stay."""
        return self.acceptance_alpha / (self.acceptance_alpha + self.acceptance_beta)

    @model_validator(mode="after")
    def _an_offer_can_pay(self) -> "Profit":
        if self.acceptance * (self.customer_value - self.offer_cost) <= self.contact_cost:
            raise ValueError(
                f"no offer can pay: a certain churner brings {self.acceptance * (self.customer_value - self.offer_cost):g} and asking "
                f"costs {self.contact_cost:g}; look at customer_value, offer_cost, contact_cost and the acceptance"
            )
        return self


class EvaluationSettings(Section):
    """What is measured of a model, besides the measures themselves."""

    segments: tuple[str, ...] = Field(
        (), description="features by whose words customers are grouped; default: all with at most `segment_words` words"
    )
    segment_words: int = Field(12, ge=2, description="a feature with more words than this makes no segments by itself")
    segment_rows: int = Field(200, ge=50, description="a segment with fewer judging rows is not judged")
    draws: int = Field(200, ge=100, le=10_000, description="bootstrap draws of whole customers for each interval")
    folds: int = Field(
        6, ge=2, description="folds of the backtest; fewer where there are not so many snapshots is an error"
    )
    ages: int = Field(6, ge=1, description="the backtest follows a model up to so many periods")


class Gate(Section):
    """What a candidate must show before it may serve."""

    auc_floor: float = Field(
        0.6, ge=0.5, lt=1, description="least AUC; a lower one whose interval reaches above it decides nothing"
    )
    auc_plausible: float = Field(
        0.95,
        gt=0.5,
        le=1,
        description="a better AUC than this is taken for a leak; without time only where few columns carry it",
    )
    calibration_slope: tuple[float, float] = Field(
        (0.7, 1.4), description="bounds of the calibration slope; an interval that reaches over one decides nothing"
    )
    calibration_intercept: tuple[float, float] = Field(
        (-0.5, 0.5), description="bounds of the calibration in the large, in log odds; likewise"
    )
    confidence: float = Field(0.95, ge=0.8, lt=1, description="of the one-sided bounds")
    minimum_rows: int = Field(
        500, ge=50, description="with fewer judging rows the gate takes no decision against a champion"
    )
    minimum_churners: int = Field(30, ge=10, description="likewise, of churners among them")
    segment_margin: float = Field(
        0.5, ge=0, description="how much less profit per customer a segment may bring than with the champion"
    )
    latency_ratio: float = Field(10.0, gt=0, description="greatest time of a single prediction, in those of the champion")
    untuned_auc_margin: float = Field(
        0.001,
        ge=0,
        lt=0.5,
        description="how much less AUC than an untuned model of one of its families a candidate may have",
    )
    untuned_log_loss_margin: float = Field(0.0005, ge=0, description="likewise, how much more log loss")
    rule_seconds: float = Field(300.0, gt=0, description="a rule that takes longer has failed")
    reading_seconds: float = Field(
        3600.0, gt=0, description="if reading the rows and fitting the untuned models takes longer, every rule has failed"
    )


class Monitoring(Section):
    """When a snapshot has drifted."""

    significance: float = Field(0.05, gt=0, lt=1, description="false discovery rate of the tests over the features")
    effect: float = Field(0.1, gt=0, description="bias-corrected PSI above which a shift matters")
    windows: int = Field(3, ge=1, description="how many newest snapshots are looked at")
    agreeing: int = Field(2, ge=1, description="how many of them must agree before it is an alert")
    report_rows: int = Field(4000, ge=200, le=100_000, description="rows that the drawn report samples")


class Retraining(Section):
    """When a retraining is asked for."""

    start: Literal["automatic", "manual"] = Field(
        "automatic",
        description="whether a retraining that is due begins by itself, or the sensor only says so and a person runs the job",
    )
    cooldown_days: int = Field(
        20, ge=0, description="no second retraining for drift or age within so many days of the last"
    )
    maximum_age_periods: int | None = Field(
        None,
        ge=1,
        description="retrain when the champion is so many periods older than a new model would be; default: the staleness limit "
        "that the newest backtest of its family saw",
    )


class Tracking(Section):
    """MLflow."""

    uri: str = Field("", description="tracking server; default: SQLite in `home`")
    experiment: str = "churn"
    model_name: str = "churn"


class Spark(Section):
    """Where features are computed, for ``engine: spark``."""

    master: str = Field("local[*]", description="of the Spark cluster, such as spark://host:7077")
    options: dict[str, str] = Field({}, description="further settings of the session, such as spark.executor.memory")


EngineName = Literal["polars", "spark"]


@dataclass(frozen=True)
class FittingSettings:
    """What a fit depends on, and who is fitted: the sections that have a say in it."""

    training: Training
    profit: Profit
    label: Label
    at_risk: AtRisk
    has_time: bool


@dataclass(frozen=True)
class JudgingSettings:
    """What the gate judges by: its bounds, the costs, the segments, the definition of churn, the seed of its draws."""

    gate: Gate
    profit: Profit
    evaluation: EvaluationSettings
    label: Label
    seed: int


class Settings(ConfigFile):
    """The configuration of the asset graph."""

    source: SourceSettings = SyntheticSettings()
    raw: Raw = Raw()
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
    retraining: Retraining = Retraining()
    tracking: Tracking = Tracking()

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
        """The raw tables that the source has."""
        return self.source.tables

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
    def tracking_uri(self) -> str:
        """The address at which MLflow keeps runs and the registry."""
        return self.tracking.uri or f"sqlite:///{(self.home / 'mlflow.db').absolute()}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words)) or "none"


def matures_on(snapshot: date, label: Label) -> date:
    """The day from which every outcome of the snapshot's window is known."""
    return snapshot + label.horizon + label.grace
