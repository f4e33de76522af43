"""Experiments in a database without a release: what the tests of results and retention begin with."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.experiments.history import append, insert
from churn_store.experiments.plan import Experiment
from churn_store.experiments.record import Event
from churn_store.outcomes.published_labels import About, Published, name_of, publish_labels
from churn_store.releases.manifest import ProfitTerms
from churn_store.storage.digest_store import DigestStore
from tests.release_factory import NOW_S

PROFIT = ProfitTerms(200.0, 10.0, 1.0, 6.0, 14.0)
"""An offer is taken by 30 % of the churners."""


def publish(
    files: DigestStore, labels: Mapping[str, bool | float], *, snapshot_s: int, days: int = 30, **changes: Any
) -> Published:
    """Publish labels as the graph does: who stayed (``False``), left (``True``), or left at a time in epoch seconds."""
    told: dict[str, Any] = {
        "snapshot": name_of(snapshot_s), "snapshot_s": snapshot_s, "horizon_days": days,
        "matured_s": snapshot_s + (days + 3) * DAY_S, "definition": f"cancelled within {days} days", "rows": len(labels),
        "churned": sum(label is not False for label in labels.values()),
    }  # fmt: skip
    rows = [(one, label is not False, None if isinstance(label, bool) else int(label)) for one, label in labels.items()]
    return publish_labels(files, About(**{**told, **changes}), sorted(rows))


def event(name: str, number: int, kind: Any, *, at_s: int = NOW_S, **more: Any) -> Event:
    """A decision of Ada."""
    return Event(experiment=name, number=number, kind=kind, actor="Ada", reason="to know", at_s=at_s, **more)


def an_experiment(engine: sa.Engine, *, at_s: int = NOW_S - 300 * DAY_S, turn: int = 1, **changes: Any) -> Experiment:
    """An experiment that runs: of actions on half of the customers, by retention, unless told otherwise."""
    told: dict[str, Any] = {
        "name": "calls", "subject": "actions", "control": None, "challenger": None, "share": 0.5, "unit": "customer", "salt": "salt",
        "metric": "retention", "horizon_days": 30, "guard_rails": (), "effect": 0.02, "deviation": 0.3, "power": 0.8,
        "alpha": 0.05, "planned_size": 4_000, "minimum_size": 200, "profit": PROFIT,
    }  # fmt: skip
    made = Experiment(**{**told, **changes})
    insert(engine, made, event(made.name, 1, "created", at_s=at_s))
    append(engine, event(made.name, 2, "started", at_s=at_s, turn=turn))
    return made
