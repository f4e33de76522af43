"""A hand-made company whose law is known: in the lake, a year of snapshots of customers whose churn may drift."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.periods import epoch_s, text
from churn_assets.settings.company import Settings
from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings
from churn_store.model.signature import Column

START = date(2023, 12, 1)
"""Fourteen snapshots from the first of January 2024 on."""
SNAPSHOTS = 14
AS_OF = date(2025, 4, 1)
CUSTOMERS = 400
NUMBERS = ("here", "there")


def features() -> tuple[Feature, ...]:
    """Two numbers and a category."""
    columns = [*(Column(name=name, kind="number", nullable=True) for name in NUMBERS), Column(name="plan", kind="category")]
    return features_of(["customers"], columns, has_time=False)


def settings_of(home: Path, **sections: Any) -> Settings:
    """A monthly history whose labels look 30 days ahead."""
    given: dict[str, Any] = {
        "training": Training(minimum_rows=100, families=("logistic_regression",)),
        "evaluation": EvaluationSettings(draws=100, folds=6, ages=4),
        **sections,
    }
    made = Settings(company="shop", home=home, source=SyntheticSettings(start=START), **given)
    made.clock.fix(datetime(AS_OF.year, AS_OF.month, AS_OF.day, tzinfo=UTC))
    return made


def snapshots(number: int = SNAPSHOTS) -> list[date]:
    """The first so many."""
    return [date(2024 + month // 12, month % 12 + 1, 1) for month in range(number)]


def rows_at(place: int, *, turn: float, seed: int, customers: int = CUSTOMERS) -> pl.DataFrame:
    """The rows of a snapshot: the direction in which churn lies has turned by ``turn`` radians at each one."""
    generator = np.random.default_rng((seed, place))
    numbers = generator.normal(size=(customers, len(NUMBERS)))
    direction = np.array([np.cos(turn * place), np.sin(turn * place)])
    plans = generator.choice(["free", "pro"], customers)
    odds = 2.0 * numbers @ direction - 1.0 + 0.5 * (plans == "free")
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:04}" for number in range(customers)],
            **dict(zip(NUMBERS, numbers.T, strict=True)),
            "plan": plans,
            "churned": generator.random(customers) < 1 / (1 + np.exp(-odds)),
        }
    )


def write(settings: Settings, by_snapshot: Mapping[date, pl.DataFrame]) -> Lake:
    """The tables ``customer_features`` and ``churn_labels`` of some snapshots, in the lake of a company."""
    lake = Lake(settings.lake_url)
    timed = {text(day): rows.with_columns(snapshot_s=pl.lit(epoch_s(day), pl.Int64)) for day, rows in by_snapshot.items()}
    lake.replace("customer_features", {key: rows.drop("churned") for key, rows in timed.items()}, run_id="test")
    labels = {key: rows.select("customer_id", "snapshot_s", "churned") for key, rows in timed.items()}
    lake.replace("churn_labels", labels, run_id="test")
    return lake


def turning(settings: Settings, turn: float, *, seed: int = 1, number: int = SNAPSHOTS) -> Lake:
    """The lake of a company whose churn turns."""
    days = snapshots(number)
    return write(settings, {day: rows_at(place, turn=turn, seed=seed) for place, day in enumerate(days)})
