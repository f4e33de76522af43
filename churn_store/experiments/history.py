"""The experiments in the serving database: plans that never change, and decisions that are only ever added.

Belongs here: reading and adding rows, and the fence between two writers. Does not belong here: which decisions are allowed
(``lifecycle``).
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store.clock import DAY_S
from churn_store.database.schema import experiment_events as events
from churn_store.database.schema import experiments
from churn_store.errors import FencedError, InputError
from churn_store.experiments.plan import Experiment
from churn_store.releases.log import Also, newest

Kind = Literal["created", "started", "stopped", "promoted"]
State = Literal["created", "running", "stopped"]

_STATES: Final[dict[Kind, State]] = {
    "created": "created",
    "started": "running",
    "stopped": "stopped",
    "promoted": "stopped",
}


class UnknownExperimentError(InputError):
    """There is no experiment of a name."""


class UnreadableExperimentError(InputError):
    """The rows of an experiment are not what this code writes."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about an experiment.

    Attributes:
        number: counted from 1 within the experiment.
        epoch: row of ``releases`` that it made; ``None`` if it made none.
        found: what the results said then; empty before the end.
        turn: counts the starts of all experiments; ``None`` for other decisions.
    """

    experiment: str
    number: int
    kind: Kind
    actor: str
    reason: str
    at_s: int
    epoch: int | None = None
    found: str = ""
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An experiment with all decisions about it, the oldest first."""

    experiment: Experiment
    events: tuple[Event, ...]

    @property
    def state(self) -> State:
        """Where it stands."""
        return _STATES[self.events[-1].kind]

    @property
    def started(self) -> Event | None:
        """The start; ``None`` before it."""
        return next((event for event in self.events if event.kind == "started"), None)

    @property
    def ended(self) -> Event | None:
        """The stop or the promotion; ``None`` before it."""
        return self.events[-1] if self.state == "stopped" else None

    def next_event(self, kind: Kind, *, by: str, reason: str, at_s: int, found: str = "", turn: int | None = None) -> Event:
        """The decision that would follow those that were made; the arguments are as in ``Event``."""
        return Event(
            experiment=self.experiment.name, number=len(self.events) + 1, kind=kind, actor=by, reason=reason, at_s=at_s,
            found=found, turn=turn,
        )  # fmt: skip


class Running(msgspec.Struct, frozen=True):
    """The experiment that runs.

    Attributes:
        epoch: row of ``releases`` that lets its challenger answer; ``None`` in an experiment of actions.
    """

    experiment: Experiment
    epoch: int | None


def insert(engine: sa.Engine, experiment: Experiment, created: Event) -> None:
    """Add a plan and its first event.

    Raises:
        InputError: if the name is taken.
    """
    try:
        with engine.begin() as connection:
            connection.execute(experiments.insert().values(msgspec.to_builtins(experiment)))
            add_event(connection, created)
    except IntegrityError as error:
        raise InputError(f"there is an experiment {experiment.name} already; take another name") from error


def add_event(connection: sa.Connection, event: Event) -> None:
    """Add a decision within a transaction; the primary key and the turn let only one of two writers do it."""
    connection.execute(events.insert().values(msgspec.to_builtins(event)))


def with_row(event: Event) -> Also:
    """What adds a decision in the transaction of the row of ``releases`` that it makes, with the epoch of that."""
    return lambda connection, epoch: add_event(connection, msgspec.structs.replace(event, epoch=epoch))


def append(engine: sa.Engine, event: Event) -> None:
    """Add a decision in a transaction of its own.

    Raises:
        FencedError: if another decision was faster.
    """
    try:
        with engine.begin() as connection:
            add_event(connection, event)
    except IntegrityError as error:
        raise FencedError(
            f"another decision about {event.experiment}, or another start, was faster; look at it and decide again"
        ) from error


def read(engine: sa.Engine, name: str) -> Record:
    """An experiment.

    Raises:
        UnknownExperimentError: if there is none of that name.
        UnreadableExperimentError: if its rows can't be read.
    """
    with engine.connect() as connection:
        record = _record(connection, name)
    if record is None:
        raise UnknownExperimentError(f"there is no experiment {name[:60]!r}; `churn experiment list` lists them")
    return record


def listed(engine: sa.Engine, *, limit: int) -> list[Record]:
    """The experiments, the newest first."""
    created = sa.select(events.c.experiment).where(events.c.kind == "created")
    latest = created.order_by(events.c.at_s.desc(), events.c.experiment).limit(limit)
    with engine.connect() as connection:
        names = connection.execute(latest).scalars().all()
        return list(_readable(connection, names))


def next_turn(engine: sa.Engine) -> int:
    """The turn of the next start."""
    with engine.connect() as connection:
        return (connection.execute(sa.select(sa.func.max(events.c.turn))).scalar() or 0) + 1


def running(engine: sa.Engine) -> Running | None:
    """The experiment that runs, of which there is at most one; ``None`` also where its rows can't be read.

    So a damaged row ends the assignment and nothing else: releases are followed on.
    """
    latest = sa.select(events.c.experiment).where(events.c.turn.is_not(None)).order_by(events.c.turn.desc()).limit(1)
    with engine.connect() as connection:
        name = connection.execute(latest).scalar()
        record = next(_readable(connection, [] if name is None else [name]), None)
    if record is None or record.state != "running":
        return None
    return Running(record.experiment, record.events[-1].epoch)


def is_served(engine: sa.Engine, record: Record) -> bool:
    """Whether the challenge that an experiment of models rides on is still the newest row of ``releases``."""
    if record.state != "running" or record.experiment.challenger is None:
        return False
    serving = newest(engine)
    return serving is not None and serving.epoch == record.events[-1].epoch


def unfinished(engine: sa.Engine, *, now_s: float) -> list[str]:
    """Names of the experiments whose predictions are still needed: those that run, and those whose last outcome is not matured."""
    with engine.connect() as connection:
        started = sa.select(events.c.experiment).where(events.c.turn.is_not(None)).order_by(events.c.turn)
        names = connection.execute(started).scalars().all()
        matured = {record.experiment.name for record in _readable(connection, names) if _is_matured(record, now_s)}
    return [name for name in names if name not in matured]


def _is_matured(record: Record, now_s: float) -> bool:
    return record.ended is not None and record.ended.at_s + record.experiment.horizon_days * DAY_S <= now_s


def _readable(connection: sa.Connection, names: Iterable[str]) -> Iterator[Record]:
    """The experiments of some names, but for those that can't be read."""
    for name in names:
        with suppress(UnreadableExperimentError):
            if (record := _record(connection, name)) is not None:
                yield record


def _record(connection: sa.Connection, name: str) -> Record | None:
    asked = events.select().where(events.c.experiment == name).order_by(events.c.number)
    try:
        row = connection.execute(experiments.select().where(experiments.c.name == name)).one_or_none()
        if row is None:
            return None
        plan = msgspec.convert(_by_name(row), Experiment, strict=False)
        return Record(plan, tuple(msgspec.convert(_by_name(event), Event) for event in connection.execute(asked)))
    except ValueError as error:  # msgspec's errors and those of JSON are of this kind
        raise UnreadableExperimentError(
            f"the rows of experiment {name} can't be read; restore them, or start another experiment"
        ) from error


def _by_name(row: sa.Row[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row._mapping.items()}
