"""A company in a real lake whose rows lie on the edges of every window, come late, repeat and contradict each other."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.snapshot import features_at
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.periods import Calendar, day_of, epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from tests.features.company import FEATURES, customer_rows, event_rows, payment_rows

CALENDAR = Calendar("monthly", date(2023, 1, 1))
SNAPSHOTS = [date(2025, month, 1) for month in (4, 5, 7, 8)]
"""One period is left out, so that the engine must also go on over a gap."""

EDGES = np.array([days * DAY_S + off for days in (0, 7, 30, 60, 84, 90, 180) for off in (-1, 0, 1)])


def lake_of_edges(
    folder: Path, *, seed: int = 1, customers: int = 60, rule: AtRisk | None = None, roles: EventRoles | None = None
) -> History:
    """Write the company's raw tables by period of arrival.

    Args:
        folder: the lake's root.
        seed: of what is drawn.
        customers: how many.
        rule: who is at risk.
        roles: what the types of events mean.
    """
    drawn = np.random.default_rng(seed)

    def ages(count: int) -> list[int]:
        moved = drawn.choice([0, 0, 31, 61, -31], count) * DAY_S
        return np.where(
            drawn.random(count) < 0.7, drawn.choice(EDGES, count) + moved, drawn.integers(1, 500 * DAY_S, count)
        ).tolist()

    def delays(count: int) -> list[int]:
        return np.where(drawn.random(count) < 0.6, 0, drawn.choice([1, 2, 9 * DAY_S, 100 * DAY_S], count)).tolist()

    def some(values: list[Any], count: int) -> list[Any]:
        return [values[i] for i in drawn.integers(0, len(values), count)]

    names = [f"c{i}" for i in range(customers)]
    changed = customers * 2
    versions = [(name, 500 * DAY_S, 0, 600 * DAY_S, "free", 1.0) for name in names]
    versions += zip(
        some(names, changed), ages(changed), delays(changed), drawn.integers(0, 400 * DAY_S, changed).tolist(),
        some(["free", "pro", "team", None], changed), some([None, 0.0, 1.0, 40.5], changed), strict=True,
    )  # fmt: skip
    acts, paid = customers * 40, customers * 15
    kinds = ["session", "session", "session", "feature_used", "support_ticket", "export", "login"] * 20 + ["cancelled"]
    values = some([None, 0, 3, 10**12], acts)
    events = list(zip(some(names, acts), some(kinds, acts), ages(acts), delays(acts), values, strict=True))
    payments = list(
        zip(
            some(names, paid), some(["settled", "settled", "failed", "refunded"], paid), drawn.integers(0, 10_000, paid).tolist(),
            ages(paid), delays(paid), some([None, -DAY_S, DAY_S, DAY_S + 1], paid), some([None, 0, 1_900, 4_900], paid), strict=True,
        )
    )  # fmt: skip
    rows: dict[Table, pl.DataFrame] = {
        "customers": customer_rows([*versions, *versions[::7]]),
        "events": event_rows([*events, *events[::9]]),
        "payments": payment_rows([*payments, *payments[::9]]),
    }
    lake = Lake(str(folder))
    for table, frame in rows.items():
        arrived = frame.with_columns(known_s=pl.max_horizontal("known_s", "occurred_s"))
        keys = [CALENDAR.floor(day_of(second)).isoformat() for second in arrived["known_s"]]
        by_period = arrived.with_columns(pl.Series(PERIOD, keys)).partition_by(PERIOD, as_dict=True, include_key=False)
        lake.replace(table, {str(period): part for (period,), part in by_period.items()}, run_id="edges")
    return History(
        lake, {table: lake.version(table) for table in rows}, CALENDAR, FEATURES, rule or AtRisk(), roles or EventRoles()
    )


def from_all_rows(history: History, snapshot: date) -> pl.DataFrame:
    """The features at a snapshot from every row that the lake has, whenever it arrived."""
    tables = {table: history.lake.scan(table, version=version).drop(PERIOD) for table, version in history.versions.items()}
    return features_at(tables, history.features, epoch_s(snapshot), history.rule, history.roles)
