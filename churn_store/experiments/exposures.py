"""Who was in which arm, and what became of them: one value for each unit, however often it was asked about.

Belongs here: which units count, and when. Of a unit counts the first request whose window was open, and what counts is the arm it was given,
whoever answered; the costs of acting count if any answer before the close of that window said so.
An outcome counts once its window has closed, also of those who are known to have left: who left is known earlier than who stayed. Whoever
had left, or whose window had closed, before the first request could not be influenced and counts in no arm. A posted outcome counts before
the label of the lake for the same customer and snapshot. Does not belong here: what the values prove (``results``), and which outcome or label
is about a prediction (``windows``, ``lake_labels``).
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, Final, Literal, NamedTuple

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.schema import NO_SNAPSHOT, outcomes, prediction_log
from churn_store.experiments.lake_labels import LakeLabels
from churn_store.experiments.plan import ARMS, CONTROL, Arm, Experiment, GuardMetric
from churn_store.experiments.windows import Said, Window, fate_in
from churn_store.outcomes.log import latest_s
from churn_store.outcomes.published_labels import Label
from churn_store.releases.manifest import ProfitTerms

AT_ONCE: Final = 1_000
"""Units that are read and counted together."""

GIL_YIELD_S: Final = 0.001
"""Sleep between them, so that the service's event loop gets the GIL."""

LEAST_PROBABILITY: Final = 1e-6
"""A probability is not taken to be nearer to 0 or 1 than this, so that no single customer decides by the log loss."""

_log = prediction_log
_COLUMNS: Final = (
    _log.c.customer_id, _log.c.snapshot_s, _log.c.arm, _log.c.role, _log.c.probability, _log.c.churn, _log.c.latency_us,
)  # fmt: skip
_ENDS: Final[dict[str, Callable[[Any], Any]]] = {"first": sa.func.min, "last": sa.func.max}


Source = Literal["posted", "labelled"]
"""Where an outcome comes from: ``POST /outcomes``, or the labels of the lake."""


State = Literal["matured", "open", "late", "gone", "unknown"]
"""Of a unit: its outcome counts; its window has not closed yet, or had closed before each request; the customer had left before the first; the
window has closed, and no outcome is known."""


class Known(NamedTuple):
    """What is known of a customer: whether they left, whether that was before the first request, and who says so."""

    churned: bool
    is_gone: bool
    source: Source


class Unit(NamedTuple):
    """A unit: the row of the request that counts, and the versions of its customer's outcome, the oldest first."""

    row: Any
    said: list[Said]


@dataclass(slots=True)
class ArmUnits:
    """The units of an arm.

    Attributes:
        units: all that were asked about.
        strayed: those that the other arm's release answered, as the challenger was not loaded yet.
        states: those that don't count, by their state.
        sources: matured units by the source of their outcome.
        values: value of each matured unit, by measure.
        latencies_ms: milliseconds of each request that counts and asked for this prediction alone: the rows of a batch share a time, which
            hangs on how many of them the release had to score.
    """

    units: int = 0
    strayed: int = 0
    states: Counter[State] = field(default_factory=Counter)
    sources: Counter[Source] = field(default_factory=Counter)
    values: dict[GuardMetric, list[float]] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)

    def of(self, metric: GuardMetric) -> Sequence[float]:
        """The values of a measure."""
        return self.latencies_ms if metric == "latency_ms" else self.values.get(metric, [])


@dataclass(frozen=True, slots=True)
class Exposures:
    """The units of both arms.

    Attributes:
        crossed: units and customers that were in both arms; they count in neither.
        both: matured units with a posted outcome and a label of the lake.
        differing: those of which the two say something else.
        unread: published labels that could not be read, a sentence each.
        left_out: units whose window has closed that have no outcome because of that.
        words: what else has to be known of the labels of the lake, in sentences.
        early: units without an outcome of whom it was only posted before their window closed that they stay.
    """

    arms: dict[Arm, ArmUnits]
    crossed: int
    both: int = 0
    differing: int = 0
    unread: tuple[str, ...] = ()
    left_out: int = 0
    words: tuple[str, ...] = ()
    early: int = 0


def exposures(engine: sa.Engine, experiment: Experiment, labels: LakeLabels, *, now_s: float) -> Exposures:
    """Gather the units of an experiment.

    Args:
        engine: the serving database.
        experiment: the plan.
        labels: labels of the lake, as this experiment may use them.
        now_s: time by the platform's clock, in epoch seconds.
    """
    tally = _Tally(experiment, now_s)
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=AT_ONCE).execute(_first_requests(experiment))
        units = _units(rows)
        while part := list(islice(units, AT_ONCE)):
            counted = [unit for unit in part if tally.takes(unit.row)]
            told = labels.of(
                (row.customer_id, row.snapshot_s)
                for row, _ in counted
                if row.snapshot_s is not None and tally.is_closed(row)
            )
            for unit in counted:
                if tally.add(unit, told.get((unit.row.customer_id, unit.row.snapshot_s))) == "unknown":
                    labels.note_unknown(unit.row.snapshot_s)
            time.sleep(GIL_YIELD_S)
    return Exposures(
        tally.arms,
        tally.crossed,
        tally.both,
        tally.differing,
        unread=tuple(labels.unread),
        left_out=labels.left_out,
        words=tuple(labels.words()),
        early=tally.early,
    )


def _units(rows: Iterable[Any]) -> Iterator[Unit]:
    """The units, of rows with one version of an outcome each."""
    for _, each in groupby(rows, key=lambda row: (row.request_id, row.item)):
        versions = list(each)
        said = [Said(bool(row.churned), row.occurred_s, row.received_s) for row in versions if row.churned is not None]
        yield Unit(versions[0], said)


class _Tally:
    """The units as they are counted, one row after the other; the attributes are as in ``Exposures``."""

    def __init__(self, experiment: Experiment, now_s: float) -> None:
        self._experiment = experiment
        self._now_s = now_s
        self._wanted = {experiment.metric, *(rail.metric for rail in experiment.guard_rails)} - {"latency_ms"}
        self._seen: set[str] = set()
        self.arms: dict[Arm, ArmUnits] = {arm: ArmUnits() for arm in ARMS}
        self.crossed = self.both = self.differing = self.early = 0

    def takes(self, row: Any) -> bool:
        """Whether a unit counts: it was in one arm only, and so was its customer, who was not counted yet."""
        if row.first_of_unit != row.last_of_unit:
            self.crossed += 1
            return False
        if self._experiment.header is None:
            return True
        if row.first_of_customer != row.last_of_customer:
            self.crossed += 1
            return False
        is_new = row.customer_id not in self._seen
        self._seen.add(row.customer_id)
        return is_new

    def closes_s(self, row: Any) -> float:
        """The end of a unit's window, in epoch seconds."""
        begun_s = row.answered_s if row.snapshot_s is None else row.snapshot_s
        return float(begun_s + self._experiment.horizon_days * DAY_S)

    def is_closed(self, row: Any) -> bool:
        """Whether the window of a unit has closed after its first request."""
        return bool(row.answered_s < self.closes_s(row) <= self._now_s)

    def add(self, unit: Unit, label: Label | None) -> State:
        """Count a unit, and say as what.

        Args:
            unit: the unit.
            label: label of the lake, if there is one.
        """
        row = unit.row
        window = Window(row.first_s, row.answered_s, self.closes_s(row), row.snapshot_s is not None)
        units, known = self.arms[row.arm], _known(unit, window, label)
        units.units += 1
        if not row.is_of_batch:
            units.latencies_ms.append(row.latency_us / 1000)
        units.strayed += self._experiment.subject == "models" and (row.role == "champion") != (row.arm == CONTROL)
        state = self._state(row, known)
        if known is None or state != "matured":
            units.states[state] += 1
            self.early += state == "unknown" and any(not said.churned for said in unit.said)
            return state
        units.sources[known.source] += 1
        if known.source == "posted" and label is not None:
            self.both += 1
            self.differing += label.churned != known.churned
        for metric in self._wanted:
            is_acted_on = row.arm != CONTROL and row.acted_s is not None and row.acted_s < window.closes_s
            units.values.setdefault(metric, []).append(
                _value(metric, row, known.churned, self._experiment, is_acted_on=is_acted_on)
            )
        return state

    def _state(self, row: Any, known: Known | None) -> State:
        if self.closes_s(row) <= row.answered_s:
            return "late"
        if not self.is_closed(row):
            return "open"
        if known is None:
            return "unknown"
        return "gone" if known.is_gone else "matured"


def _known(unit: Unit, window: Window, label: Label | None) -> Known | None:
    """What the posted outcome says of the window, else the label of the lake; ``None`` without either.

    When a customer left who is posted without a time, is known from the label.
    """
    fate = fate_in(window, unit.said) if unit.said else None
    left_s = None if label is None else label.left_s
    is_before = left_s is not None and latest_s(left_s) < window.first_s
    if fate is not None:
        return Known(fate.churned, fate.is_gone or (fate.churned and fate.left_s is None and is_before), "posted")
    return None if label is None else Known(label.churned, label.churned and is_before, "labelled")


def _value(metric: GuardMetric, row: Any, churned: bool, experiment: Experiment, *, is_acted_on: bool) -> float:
    """The value of a matured unit; ``is_acted_on`` tells whether it caused the costs of an action."""
    if metric == "log_loss":
        probability = min(max(row.probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        return -math.log(probability if churned else 1 - probability)
    if metric == "retention":
        return 0.0 if churned else 1.0
    assert experiment.profit is not None  # noqa: S101 - the plan needed it
    if experiment.subject == "models":
        return _expected(churned, experiment.profit) if row.churn else 0.0
    return _earned(churned, is_acted_on=is_acted_on, terms=experiment.profit)


def _expected(churned: bool, terms: ProfitTerms) -> float:
    """The expected profit of an offer to a customer of whom it is known whether they leave without one."""
    if churned:
        return terms.acceptance * (terms.customer_value - terms.offer_cost) - terms.contact_cost
    return -(terms.offer_cost + terms.contact_cost)


def _earned(churned: bool, *, is_acted_on: bool, terms: ProfitTerms) -> float:
    """What a customer brought: the value of one who stayed, less the costs of the action; whoever stayed is taken to have the offer."""
    value = 0.0 if churned else terms.customer_value
    if not is_acted_on:
        return value
    return value - terms.contact_cost - (0.0 if churned else terms.offer_cost)


def _first_requests(experiment: Experiment) -> sa.Select[Any]:
    """The request of each unit that counts, in the order of time, with each version of the outcome of its customer and snapshot."""
    unit = _log.c.customer_id if experiment.header is None else sa.func.coalesce(_log.c.unit, _log.c.customer_id)
    order = (_log.c.answered_s, _log.c.request_id, _log.c.item)

    def ends(column: Any, name: str) -> list[Any]:
        """The first and the last arm in the alphabet of a unit or customer; they differ where it was in both."""
        return [function(_log.c.arm).over(partition_by=column).label(f"{end}_{name}") for end, function in _ENDS.items()]

    is_late = sa.case((_log.c.answered_s >= _log.c.snapshot_s + experiment.horizon_days * DAY_S, 1), else_=0)
    acted_s = sa.case((_log.c.churn, _log.c.answered_s))
    placed = (
        sa.select(
            *_COLUMNS,
            *order,
            sa.func.row_number().over(partition_by=unit, order_by=(is_late, *order)).label("place"),
            sa.func.min(_log.c.answered_s).over(partition_by=_log.c.customer_id).label("first_s"),
            sa.func.min(acted_s).over(partition_by=_log.c.customer_id).label("acted_s"),
            *ends(unit, "of_unit"),
            *(ends(_log.c.customer_id, "of_customer") if experiment.header is not None else []),
        )
        .where(_log.c.experiment == experiment.name, _log.c.arm.in_(ARMS), _log.c.customer_id.is_not(None))
        .subquery()
    )
    about = (outcomes.c.customer_id == placed.c.customer_id) & (
        outcomes.c.snapshot_s == sa.func.coalesce(placed.c.snapshot_s, NO_SNAPSHOT)
    )
    other = prediction_log.alias("other")
    is_of_batch = (placed.c.item > 0) | sa.exists().where(other.c.request_id == placed.c.request_id, other.c.item > 0)
    return (
        sa.select(
            placed, is_of_batch.label("is_of_batch"), outcomes.c.churned, outcomes.c.occurred_s, outcomes.c.received_s
        )
        .select_from(placed.outerjoin(outcomes, about))
        .where(placed.c.place == 1)
        .order_by(placed.c.answered_s, placed.c.request_id, placed.c.item, outcomes.c.version)
    )
