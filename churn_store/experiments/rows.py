"""The rows of experiments as the database has them, one by one: a damaged row hides its own experiment, is named, and hides no other.

Belongs here: reading them, and what is wrong with one. Does not belong here: adding rows, and what follows for other experiments (``history``).
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from churn_store.database.lenient import AsideRow, raw_rows
from churn_store.database.schema import experiment_events as events
from churn_store.database.schema import experiments
from churn_store.experiments.plan import Experiment
from churn_store.experiments.record import ENDS, Event, Record, UnreadableExperimentError

_PLANS: Final = tuple(experiments.c)
_EVENTS: Final = tuple(events.c)

_AFTER_START: Final = ENDS | {"kept"}


@dataclass(frozen=True)
class ExperimentRows:
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
        return self.may_have_started and not any(row["kind"] in ENDS for row in self.events)


def readable(found: Iterable[ExperimentRows]) -> list[Record]:
    """The experiments of those that can be read."""
    return [one.read for one in found if one.read is not None]


def read_rows(connection: sa.Connection, name: str | None = None) -> dict[str, ExperimentRows]:
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


def _rows(name: str, plans: list[dict[str, Any]], decided: list[dict[str, Any]]) -> ExperimentRows:
    decided.sort(key=lambda row: row["number"] if isinstance(row["number"], int) else math.inf)
    read: list[Event] = []
    try:
        experiment = _plan(plans)
    except ValueError as error:
        return ExperimentRows(name, None, AsideRow("experiments", name, _why(error)), tuple(decided))
    for place, row in enumerate(decided, start=1):
        try:
            read.append(_event(row, place))
        except ValueError as error:
            return ExperimentRows(
                name, None, AsideRow("experiment_events", f"{name}, decision {place}", _why(error)), tuple(decided)
            )
    if not read:
        return ExperimentRows(name, None, AsideRow("experiments", name, "no decision says who created it"), ())
    return ExperimentRows(name, Record(experiment, tuple(read)), None, tuple(decided))


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
