"""Bodies of the routes of experiments.

Belongs here: what is asked and answered. Does not belong here: what a plan may say (``churn_store.experiments.plan``).
"""

from datetime import UTC, datetime

import msgspec

from churn_api.schemas.decisions import GivenReason
from churn_store.experiments.plan import GuardRail, Wish
from churn_store.experiments.record import Record
from churn_store.experiments.results import Result, words_of


class CreateRequest(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan, and why; the other fields are as in ``Wish``."""

    reason: GivenReason


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is started, or its challenger promoted.

    Attributes:
        override: whether a rejected candidate may be released.
    """

    reason: GivenReason
    override: bool = False


class StopRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it is stopped."""

    reason: GivenReason


class Decision(msgspec.Struct, kw_only=True):
    """What was decided about an experiment.

    Attributes:
        kind: ``created``, ``started``, ``stopped``, ``promoted``, or ``kept`` where predictions are removed since.
        epoch: row of the history of releases that it made; null if it made none.
        found: what the results said then.
    """

    kind: str
    actor: str
    reason: str
    at: datetime
    epoch: int | None
    found: str


class ExperimentEntry(msgspec.Struct, kw_only=True):
    """An experiment.

    Attributes:
        subject: ``models`` or ``actions``.
        state: ``created``, ``running`` or ``stopped``.
        control, challenger: candidates that answer; null in an experiment of actions.
        unit: ``customer``, or the header that decides.
        planned_size: matured customers of both arms at which the effect is seen with the power.
        minimum_size: matured customers before which there is no verdict.
        decisions: what was decided, the oldest first.
        results: what it has shown so far; only where a single experiment is asked for.
    """

    name: str
    subject: str
    state: str
    control: str | None
    challenger: str | None
    share: float
    unit: str
    metric: str
    horizon_days: int
    guard_rails: tuple[GuardRail, ...]
    effect: float
    deviation: float
    power: float
    alpha: float
    planned_size: int
    minimum_size: int
    decisions: list[Decision]
    results: Result | None = None


class ExperimentList(msgspec.Struct, kw_only=True):
    """The experiments, the newest first.

    Attributes:
        put_aside: rows by which an experiment can't be read, with their table and what is wrong.
    """

    experiments: list[ExperimentEntry]
    put_aside: list[str]


def entry_of(record: Record, results: Result | None = None) -> ExperimentEntry:
    """An experiment as an answer shows it."""
    plan = record.experiment
    return ExperimentEntry(
        name=plan.name,
        subject=plan.subject,
        state=record.state,
        control=plan.control,
        challenger=plan.challenger,
        share=plan.share,
        unit=plan.unit,
        metric=plan.metric,
        horizon_days=plan.horizon_days,
        guard_rails=plan.guard_rails,
        effect=plan.effect,
        deviation=plan.deviation,
        power=plan.power,
        alpha=plan.alpha,
        planned_size=plan.planned_size,
        minimum_size=plan.minimum_size,
        decisions=[
            Decision(
                kind=event.kind,
                actor=event.actor,
                reason=event.reason,
                at=datetime.fromtimestamp(event.at_s, UTC),
                epoch=event.epoch,
                found=words_of(event),
            )
            for event in record.events
        ],
        results=results,
    )
