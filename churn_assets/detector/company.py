"""Weekly snapshots of a synthetic company in which nothing changes, as the graph computes its features.

The company grows, its winters are busy, and most customers of a week are those of the week before. Belongs here: making the snapshots and keeping
them in a folder. Does not belong here: cutting small companies out of them and the years that are replayed (``replays``).
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from churn_assets.features.engines.base import History
from churn_assets.features.engines.polars_engine import PolarsEngine
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import LIE_BY
from churn_assets.periods import Calendar
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_store.mapping.tables import KEYS, Table

CALENDAR = Calendar("weekly", date(2024, 1, 1))


@dataclass(frozen=True)
class Company:
    """A synthetic company's weeks.

    Attributes:
        features: features of the catalogue.
        weeks: rows of everybody at risk, by the snapshot, oldest first.
    """

    features: tuple[Feature, ...]
    weeks: dict[date, pl.DataFrame]


def company(customers: int, seed: int, weeks: Sequence[int], *, folder: Path) -> Company:
    """The features at some weekly snapshots.

    Args:
        customers: customers who have signed up within two years.
        seed: seed of the company.
        weeks: numbers of the snapshots, from the first day with data.
        folder: folder in which the snapshots are kept for the next time.
    """
    settings = SyntheticSettings(customers=customers, seed=seed, start=CALENDAR.first)
    source = SyntheticSource(settings)
    features = features_of(
        settings.tables, source.attributes, has_time=True, given={table: source.given(table) for table in settings.tables}
    )
    days = [CALENDAR.first + timedelta(weeks=week) for week in sorted(weeks)]
    kept = folder / f"{source.fingerprint()[:16]}-{days[0]}-{days[-1]}-{len(days)}.parquet"
    if not kept.exists():
        _computed(source, settings.tables, features, days).write_parquet(kept)
    rows = pl.read_parquet(kept)
    parts = rows.partition_by("week", as_dict=True, include_key=False)
    return Company(features, {day: parts[(day,)] for day in days})


def _computed(
    source: SyntheticSource, tables: Sequence[Table], features: tuple[Feature, ...], days: Sequence[date]
) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        for key in CALENDAR.complete(days[-1]):
            for table in tables:
                rows = source.read(table, *CALENDAR.bounds_s(key.isoformat())).rows
                order = [*LIE_BY.get(table, ()), *KEYS[table]]
                lake.replace(table, {key.isoformat(): rows.sort(order)}, run_id="benchmark")
        versions: dict[Table, int] = {table: lake.versions(tables)[table] for table in tables}
        history = History(lake, versions, CALENDAR, features, AtRisk(), EventRoles())
        numbers = pl.col([feature.name for feature in features if feature.kind == "number"]).cast(pl.Float32)
        return pl.concat(
            rows.with_columns(numbers, week=pl.lit(day)) for day, rows in PolarsEngine().snapshots(history, days)
        )
