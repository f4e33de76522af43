"""Who was in which arm, and what became of them: one value for each unit, however often it was asked about.

Belongs here: which units count, and when. Only the first request of a unit counts, and what counts is the arm it was given, whoever answered.
An outcome counts once its window has closed, also of those who are known to have left: who left is known earlier than who stayed. Whoever
had left, or whose window had closed, before the first request could not be influenced and counts in no arm. Does not belong here: what the
values prove (``results``).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.schema import NO_SNAPSHOT, outcomes, prediction_log
from churn_store.experiments.plan import ARMS, CONTROL, Arm, Experiment, GuardMetric
from churn_store.outcomes.counts import is_newest
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


@dataclass(slots=True)
class ArmUnits:
    """The units of an arm.

    Attributes:
        units: all that were asked about.
        strayed: those that the other arm's release answered, as the challenger was not loaded yet.
        open: those whose window has not closed yet.
        late: those whose window had closed before the first request.
        gone: those who had left before the first request.
        unknown: those whose window has closed, without an outcome.
        values: value of each matured unit, by measure.
        latencies_ms: milliseconds of each first request.
    """

    units: int = 0
    strayed: int = 0
    open: int = 0
    late: int = 0
    gone: int = 0
    unknown: int = 0
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
    """

    arms: dict[Arm, ArmUnits]
    crossed: int


def exposures(engine: sa.Engine, experiment: Experiment, *, now_s: float) -> Exposures:
    """Gather the units of an experiment.

    Args:
        engine: the serving database.
        experiment: the plan.
        now_s: time by the platform's clock, in epoch seconds.
    """
    arms: dict[Arm, ArmUnits] = {arm: ArmUnits() for arm in ARMS}
    wanted = {experiment.metric, *(rail.metric for rail in experiment.guard_rails)} - {"latency_ms"}
    seen: set[str] = set()
    crossed = 0
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=AT_ONCE).execute(_first_requests(experiment))
        for part in rows.partitions(AT_ONCE):
            for row in part:
                if row.first_of_unit != row.last_of_unit:
                    crossed += 1
                    continue
                if experiment.header is not None:
                    if row.first_of_customer != row.last_of_customer:
                        crossed += 1
                        continue
                    if row.customer_id in seen:
                        continue
                    seen.add(row.customer_id)
                units = arms[row.arm]
                units.units += 1
                units.latencies_ms.append(row.latency_us / 1000)
                units.strayed += experiment.subject == "models" and (row.role == "champion") != (row.arm == CONTROL)
                if _is_known(row, experiment, units, now_s):
                    for metric in wanted:
                        units.values.setdefault(metric, []).append(_value(metric, row, experiment))
            time.sleep(GIL_YIELD_S)
    return Exposures(arms, crossed)


def _is_known(row: Any, experiment: Experiment, units: ArmUnits, now_s: float) -> bool:
    """Whether the outcome of a unit counts; if not, the reason is counted."""
    begun_s = row.answered_s if row.snapshot_s is None else row.snapshot_s
    closes_s = begun_s + experiment.horizon_days * DAY_S
    if closes_s <= row.answered_s:
        units.late += 1
    elif closes_s > now_s:
        units.open += 1
    elif row.churned is None:
        units.unknown += 1
    elif row.churned and row.occurred_s is not None and row.occurred_s < row.answered_s:
        units.gone += 1
    else:
        return True
    return False


def _value(metric: GuardMetric, row: Any, experiment: Experiment) -> float:
    """The value of a matured unit."""
    if metric == "log_loss":
        probability = min(max(row.probability, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        return -math.log(probability if row.churned else 1 - probability)
    if metric == "retention":
        return 0.0 if row.churned else 1.0
    assert experiment.profit is not None  # noqa: S101 - the plan needed it
    if experiment.subject == "models":
        return _expected(row, experiment.profit) if row.churn else 0.0
    return _earned(row, is_acted_on=row.churn and row.arm != CONTROL, terms=experiment.profit)


def _expected(row: Any, terms: ProfitTerms) -> float:
    """The expected profit of an offer to a customer of whom it is known whether they leave without one."""
    if row.churned:
        return terms.acceptance * (terms.customer_value - terms.offer_cost) - terms.contact_cost
    return -(terms.offer_cost + terms.contact_cost)


def _earned(row: Any, *, is_acted_on: bool, terms: ProfitTerms) -> float:
    """What a customer brought: the value of one who stayed, less the costs of the action; whoever stayed is taken to have the offer."""
    value = 0.0 if row.churned else terms.customer_value
    if not is_acted_on:
        return value
    return value - terms.contact_cost - (0.0 if row.churned else terms.offer_cost)


def _first_requests(experiment: Experiment) -> sa.Select[Any]:
    """The first request of each unit, in the order of time, with the newest outcome of its customer and snapshot."""
    unit = _log.c.customer_id if experiment.header is None else sa.func.coalesce(_log.c.unit, _log.c.customer_id)
    order = (_log.c.answered_s, _log.c.request_id, _log.c.item)

    def ends(column: Any, name: str) -> list[Any]:
        """The first and the last arm in the alphabet of a unit or customer; they differ where it was in both."""
        return [function(_log.c.arm).over(partition_by=column).label(f"{end}_{name}") for end, function in _ENDS.items()]

    placed = (
        sa.select(
            *_COLUMNS,
            *order,
            sa.func.row_number().over(partition_by=unit, order_by=order).label("place"),
            *ends(unit, "of_unit"),
            *(ends(_log.c.customer_id, "of_customer") if experiment.header is not None else []),
        )
        .where(_log.c.experiment == experiment.name, _log.c.arm.in_(ARMS), _log.c.customer_id.is_not(None))
        .subquery()
    )
    about = (outcomes.c.customer_id == placed.c.customer_id) & (
        outcomes.c.snapshot_s == sa.func.coalesce(placed.c.snapshot_s, NO_SNAPSHOT)
    )
    return (
        sa.select(placed, outcomes.c.churned, outcomes.c.occurred_s)
        .select_from(placed.outerjoin(outcomes, about & is_newest()))
        .where(placed.c.place == 1)
        .order_by(placed.c.answered_s, placed.c.request_id, placed.c.item)
    )
