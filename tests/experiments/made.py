"""Experiments in a database without a release: what the tests of results and retention begin with."""

from typing import Any

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.experiments.history import Event, append, insert
from churn_store.experiments.plan import Experiment
from churn_store.releases.manifest import ProfitTerms
from tests.release_factory import NOW_S

PROFIT = ProfitTerms(200.0, 10.0, 1.0, 6.0, 14.0)
"""An offer is taken by 30 % of the churners."""


def event(name: str, number: int, kind: Any, *, at_s: int = NOW_S, **more: Any) -> Event:
    """A decision of Ada."""
    return Event(experiment=name, number=number, kind=kind, actor="Ada", reason="to know", at_s=at_s, **more)


def an_experiment(engine: sa.Engine, *, at_s: int = NOW_S - 300 * DAY_S, **changes: Any) -> Experiment:
    """An experiment that runs: of actions on half of the customers, by retention, unless told otherwise."""
    told: dict[str, Any] = {
        "name": "calls", "subject": "actions", "control": None, "challenger": None, "share": 0.5, "unit": "customer", "salt": "salt",
        "metric": "retention", "horizon_days": 30, "guard_rails": (), "effect": 0.02, "deviation": 0.3, "power": 0.8,
        "alpha": 0.05, "planned_size": 4_000, "minimum_size": 200, "profit": PROFIT,
    }  # fmt: skip
    made = Experiment(**{**told, **changes})
    insert(engine, made, event(made.name, 1, "created", at_s=at_s))
    append(engine, event(made.name, 2, "started", at_s=at_s, turn=1))
    return made
