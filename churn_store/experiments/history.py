"""The experiments in the serving database: plans that never change, and decisions that are only ever added.

Belongs here: reading and adding rows, and the fence between two writers. Does not belong here: which decisions are allowed
(``lifecycle``).
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from churn_store.clock import DAY_S
from churn_store.database.lenient import AsideRow, raw_rows
from churn_store.database.schema import experiment_events as events
from churn_store.database.schema import experiments
from churn_store.errors import FencedError, InputError
from churn_store.experiments.plan import Experiment
from churn_store.releases.log import Also, newest
from churn_store.releases.manifest import EpochSeconds

Kind = Literal["created", "started", "stopped", "promoted", "kept"]
State = Literal["created", "running", "stopped"]

_STATES: Final[dict[Kind, State]] = {
    "created": "created",
    "started": "running",
    "stopped": "stopped",
    "promoted": "stopped",
    "kept": "stopped",
}

AWAITED_HORIZONS: Final = 2
"""Horizons after the end until an experiment is finished: the last window closes after one, and one more is for outcomes and labels that come late."""


class UnknownExperimentError(InputError):
    """There is no experiment of a name."""


_PLANS: Final = tuple(experiments.c)
_EVENTS: Final = tuple(events.c)

_ENDS: Final = frozenset({"stopped", "promoted"})
_AFTER_START: Final = _ENDS | {"kept"}


class UnreadableExperimentError(InputError):
    """The rows of an experiment are not what this code writes.

    Args:
        aside: row that can't be read.
    """

    def __init__(self, name: str, aside: AsideRow) -> None:
        super().__init__(
            f"the rows of experiment {name} can't be read ({aside.sentence}), so nobody is assigned by it; restore them from a backup, or "
            f"remove them from experiments and experiment_events, and decide again"
        )


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A decision about an experiment.

    Attributes:
        number: counted from 1 within the experiment.
        epoch: row of ``releases`` that it made; ``None`` if it made none.
        found: what the results said then; empty before the end, and the whole result as JSON where it is kept.
        turn: counts the starts of all experiments; ``None`` for other decisions.
    """

    experiment: str
    number: int
    kind: Kind
    actor: str
    reason: str
    at_s: EpochSeconds
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
        return next((event for event in self.events if event.kind in {"stopped", "promoted"}), None)

    @property
    def is_promoted(self) -> bool:
        """Whether its challenger became the champion by it."""
        return any(event.kind == "promoted" for event in self.events)

    @property
    def kept(self) -> Event | None:
        """The result as it was before predictions were removed; ``None`` as long as all are there."""
        return next((event for event in self.events if event.kind == "kept"), None)

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
        found = _read(connection, name).get(name)
    if found is None:
        raise UnknownExperimentError(f"there is no experiment {name[:60]!r}; `churn experiment list` lists them")
    return found.record()


def listed(engine: sa.Engine, *, limit: int) -> list[Record]:
    """The experiments, the newest first, but for those that can't be read (``put_aside``)."""
    with engine.connect() as connection:
        records = _readable(_read(connection).values())
    records.sort(key=lambda record: (-record.events[0].at_s, record.experiment.name))
    return records[:limit]


def put_aside(engine: sa.Engine) -> list[AsideRow]:
    """For each experiment that can't be read, the first row that is not as it was written; such as a plan whose share is no number."""
    with engine.connect() as connection:
        return [one.aside for one in _read(connection).values() if one.aside is not None]


def turn_of_start(engine: sa.Engine) -> int:
    """The turn of a start now.

    Raises:
        InputError: if an experiment runs, or may run: its rows can't be read, and none says that it has ended.
    """
    with engine.connect() as connection:
        found = _read(connection)
    for name, one in found.items():
        if one.aside is None and one.record().state == "running":
            raise InputError(f"experiment {name} runs; one runs at a time, so stop that one first")
        if one.aside is not None and one.may_run:
            raise UnreadableExperimentError(name, one.aside)
    turns = [row["turn"] for one in found.values() for row in one.events]
    return max((turn for turn in turns if isinstance(turn, int)), default=0) + 1


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
        records = _readable(_read(connection, name).values())
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
    with engine.connect() as connection:
        return [record for record in _readable(_read(connection).values()) if _is_finished(record, now_s)]


def _started(engine: sa.Engine, is_wanted: Callable[["_Rows"], bool]) -> list[str]:
    with engine.connect() as connection:
        found = _read(connection)
    started = [(one.turn, name) for name, one in found.items() if one.may_have_started and is_wanted(one)]
    return [name for _, name in sorted(started)]


def _is_finished(record: Record, now_s: float) -> bool:
    awaited_s = AWAITED_HORIZONS * record.experiment.horizon_days * DAY_S
    return record.ended is not None and record.ended.at_s + awaited_s <= now_s


@dataclass(frozen=True)
class _Rows:
    """The rows of one experiment as the database has them, and the first one that can't be read."""

    name: str
    read: Record | None
    aside: AsideRow | None
    events: tuple[dict[str, Any], ...]

    def record(self) -> Record:
        """The experiment.

        Raises:
            UnreadableExperimentError: if it can't be read.
        """
        if self.read is None:
            raise UnreadableExperimentError(self.name, self.aside or AsideRow("experiments", self.name, "it is empty"))
        return self.read

    @property
    def turn(self) -> int:
        """That of its start; 0 where no row says one."""
        return max((row["turn"] for row in self.events if isinstance(row["turn"], int)), default=0)

    @property
    def may_have_started(self) -> bool:
        """Whether there is anything behind the plan."""
        return any(row["number"] != 1 for row in self.events)

    @property
    def may_run(self) -> bool:
        """Whether it may have been started and no row says that it has ended."""
        return self.may_have_started and not any(row["kind"] in _ENDS for row in self.events)


def _readable(found: Iterable[_Rows]) -> list[Record]:
    return [one.read for one in found if one.read is not None]


def _read(connection: sa.Connection, name: str | None = None) -> dict[str, _Rows]:
    """The experiments by name, or the one of a name; each with what can't be read of it."""
    found: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    # Decisions first: a plan and its first decision are one transaction, and one that is added in between is asked for once more.
    for row in _decided(connection, name):
        found.setdefault(_name(row["experiment"]), ([], []))[1].append(row)
    plans = raw_rows(connection, _PLANS, None if name is None else lambda asked: asked.where(experiments.c.name == name))
    for row in list(plans):
        plan, decided = found.setdefault(_name(row["name"]), ([], []))
        plan.append(row)
        if not decided and isinstance(row["name"], str):
            decided += _decided(connection, row["name"])
    return {one: _rows(one, *rows) for one, rows in found.items()}


def _decided(connection: sa.Connection, name: str | None) -> list[dict[str, Any]]:
    condition = None if name is None else lambda asked: asked.where(events.c.experiment == name)
    return list(raw_rows(connection, _EVENTS, condition))


def _name(value: Any) -> str:
    """A name, also where the database holds none: in words that are nobody's name."""
    return value if isinstance(value, str) else f"({ascii(value)[:40]})"


def _rows(name: str, plans: list[dict[str, Any]], decided: list[dict[str, Any]]) -> _Rows:
    decided.sort(key=lambda row: row["number"] if isinstance(row["number"], int) else math.inf)
    read: list[Event] = []
    try:
        experiment = _plan(plans)
    except ValueError as error:
        return _Rows(name, None, AsideRow("experiments", name, _why(error)), tuple(decided))
    for place, row in enumerate(decided, start=1):
        try:
            read.append(_event(row, place))
        except ValueError as error:
            return _Rows(
                name, None, AsideRow("experiment_events", f"{name}, decision {place}", _why(error)), tuple(decided)
            )
    if not read:
        return _Rows(name, None, AsideRow("experiments", name, "no decision says who created it"), ())
    return _Rows(name, Record(experiment, tuple(read)), None, tuple(decided))


def _plan(rows: list[dict[str, Any]]) -> Experiment:
    if not rows:
        raise ValueError("there are decisions about it, but no plan")
    made = msgspec.convert(rows[0], Experiment)
    for name, number, least, greatest in (
        ("share", made.share, 0.0, 1.0),
        ("alpha", made.alpha, 0.0, 1.0),
        ("power", made.power, 0.0, 1.0),
        ("effect", made.effect, 0.0, math.inf),
        ("deviation", made.deviation, 0.0, math.inf),
        ("horizon_days", made.horizon_days, 0, 10**5),
    ):
        if not least < number < greatest:  # also where it is not a number
            raise ValueError(f"its {name} is not between {least:g} and {greatest:g}")
    return made


def _event(row: dict[str, Any], place: int) -> Event:
    event = msgspec.convert(row, Event)
    if event.number != place:
        raise ValueError(f"expected number {place}; a decision before it is missing")
    expected = {1: {"created"}, 2: {"started"}}.get(place, _AFTER_START)
    if event.kind not in expected:
        raise ValueError(f"its kind does not follow the one before; expected {' or '.join(sorted(expected))}")
    if (event.turn is None) is (event.kind == "started"):
        raise ValueError("a start has a turn, and nothing else has one")
    return event


def _why(error: ValueError) -> str:
    """What is wrong, without the value."""
    return re.sub(r" '.*'", "", str(error).partition(" - at ")[0] + _place(error))[:200]


def _place(error: ValueError) -> str:
    """The column of one of msgspec's errors."""
    _, at, path = str(error).rpartition(" - at `$.")
    return f" in column {path.rstrip('`')}" if at else ""
