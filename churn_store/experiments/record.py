"""An experiment as its rows tell it: the plan, the decisions that were made about it, and where it stands.

Does not belong here: the rows in the database (``rows``, ``history``), and which decisions are allowed (``lifecycle``).
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from churn_store.database.lenient import AsideRow
from churn_store.errors import InputError
from churn_store.experiments.plan import Experiment
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

ENDS: Final[frozenset[Kind]] = frozenset({"stopped", "promoted"})
"""Decisions that end an experiment."""


class UnknownExperimentError(InputError):
    """There is no experiment of a name."""


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
        return self._first({"started"})

    @property
    def ended(self) -> Event | None:
        """The stop or the promotion; ``None`` before it."""
        return self._first(ENDS)

    @property
    def is_promoted(self) -> bool:
        """Whether its challenger became the champion by it."""
        return self._first({"promoted"}) is not None

    @property
    def kept(self) -> Event | None:
        """The result as it was before predictions were removed; ``None`` as long as all are there."""
        return self._first({"kept"})

    def _first(self, kinds: Set[Kind]) -> Event | None:
        return next((event for event in self.events if event.kind in kinds), None)

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
