"""The experiments in the serving database: plans that never change, and decisions that are only ever added.

Belongs here: reading and adding rows, and the fence between two writers. Does not belong here: which decisions are allowed
(``lifecycle``).
"""

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store.clock import DAY_S
from churn_store.database.lenient import AsideRow, raw_rows
from churn_store.database.schema import experiment_events as events
from churn_store.database.schema import experiments
from churn_store.errors import FencedError, InputError
from churn_store.experiments.plan import Experiment
from churn_store.experiments.record import Event, Record, Running, UnknownExperimentError, UnreadableExperimentError
from churn_store.experiments.rows import ExperimentRows, read_rows, readable
from churn_store.releases.log import Also, newest

AWAITED_HORIZONS: Final = 2
"""Horizons after the end until an experiment is finished: the last window closes after one, and one more is for outcomes and labels that come late."""


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
    """What adds a decision in the transaction of the row of ``releases`` that it makes, with the epoch of that.

    It raises a FencedError where another decision was faster, so that nobody looks for a release that was.
    """

    def add(connection: sa.Connection, epoch: int) -> None:
        try:
            add_event(connection, msgspec.structs.replace(event, epoch=epoch))
        except IntegrityError as error:
            raise _overtaken(event) from error

    return add


def append(engine: sa.Engine, event: Event) -> None:
    """Add a decision in a transaction of its own.

    Raises:
        FencedError: if another decision was faster.
    """
    try:
        with engine.begin() as connection:
            add_event(connection, event)
    except IntegrityError as error:
        raise _overtaken(event) from error


def _overtaken(event: Event) -> FencedError:
    faster = (
        f"another experiment, or {event.experiment} itself, was started meanwhile, and one runs at a time"
        if event.turn is not None
        else f"another decision about experiment {event.experiment} was faster"
    )
    return FencedError(f"{faster}; look at the experiments and decide again")


def read(engine: sa.Engine, name: str) -> Record:
    """An experiment.

    Raises:
        UnknownExperimentError: if there is none of that name.
        UnreadableExperimentError: if its rows can't be read.
    """
    with engine.connect() as connection:
        found = read_rows(connection, name).get(name)
    if found is None:
        raise UnknownExperimentError(f"there is no experiment {name[:60]!r}; `churn experiment list` lists them")
    return found.record()


def listed(engine: sa.Engine, *, limit: int) -> list[Record]:
    """The experiments, the newest first, but for those that can't be read (``put_aside``)."""
    records = readable(_all(engine).values())
    records.sort(key=lambda record: (-record.events[0].at_s, record.experiment.name))
    return records[:limit]


def put_aside(engine: sa.Engine) -> list[AsideRow]:
    """For each experiment that can't be read, the first row that is not as it was written; such as a plan whose share is no number."""
    return [one.aside for one in _all(engine).values() if one.aside is not None]


def turn_of_start(engine: sa.Engine) -> int:
    """The turn of a start now.

    Raises:
        InputError: if an experiment runs, or may run: its rows can't be read, and none says that it has ended.
    """
    found = _all(engine)
    for name, one in found.items():
        if one.aside is None and one.record().state == "running":
            raise InputError(f"experiment {name} runs; one runs at a time, so stop that one first")
        if one.aside is not None and one.may_run:
            raise UnreadableExperimentError(name, one.aside)
    return max((one.turn for one in found.values()), default=0) + 1


def running(engine: sa.Engine) -> Running | None:
    """The experiment that runs, of which there is at most one; ``None`` also where its rows can't be read.

    So a damaged row ends the assignment and nothing else: releases are followed on.
    """
    with engine.connect() as connection:
        starts = list(
            raw_rows(
                connection, (events.c.turn, events.c.experiment), lambda asked: asked.where(events.c.turn.is_not(None))
            )
        )
        known = [one for one in starts if isinstance(one["turn"], int) and isinstance(one["experiment"], str)]
        if not known:
            return None
        name = max(known, key=lambda one: one["turn"])["experiment"]
        records = readable(read_rows(connection, name).values())
    if not records or records[0].state != "running":
        return None
    return Running(records[0].experiment, records[0].events[-1].epoch)


def is_served(engine: sa.Engine, record: Record) -> bool:
    """Whether the challenge that an experiment of models rides on is still the newest row of ``releases``."""
    if record.state != "running" or record.experiment.challenger is None:
        return False
    serving = newest(engine)
    return serving is not None and serving.epoch == record.events[-1].epoch


def unfinished(engine: sa.Engine, *, now_s: float) -> list[str]:
    """Names of the experiments whose outcomes are still awaited, the first started first.

    They run, their last outcome is not known, or they can't be read and may have been started.
    """
    return _started(engine, lambda one: one.read is None or not _is_finished(one.read, now_s))


def unkept(engine: sa.Engine) -> list[str]:
    """Names of the experiments whose predictions are still needed, as their result is not kept; the first started first."""
    return _started(engine, lambda one: not any(row["kind"] == "kept" for row in one.events))


def finished(engine: sa.Engine, *, now_s: float) -> list[Record]:
    """The experiments that are over, and whose outcomes are not awaited any more."""
    return [record for record in readable(_all(engine).values()) if _is_finished(record, now_s)]


def _all(engine: sa.Engine) -> dict[str, ExperimentRows]:
    with engine.connect() as connection:
        return read_rows(connection)


def _started(engine: sa.Engine, is_wanted: Callable[[ExperimentRows], bool]) -> list[str]:
    started = [(one.turn, name) for name, one in _all(engine).items() if one.may_have_started and is_wanted(one)]
    return [name for _, name in sorted(started)]


def _is_finished(record: Record, now_s: float) -> bool:
    awaited_s = AWAITED_HORIZONS * record.experiment.horizon_days * DAY_S
    return record.ended is not None and record.ended.at_s + awaited_s <= now_s
