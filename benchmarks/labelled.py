"""The labelled rows of a company, by the platform's own source, contracts, features and labels, without Dagster or a lake.

Belongs here: what the benchmarks of models and of the gate are fed with. Does not belong here: what is fitted on it.
"""

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import narwhals as nw
import polars as pl

from churn_assets.connectors.open_source import open_source
from churn_assets.contracts import sift
from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import company_features, features_in_use
from churn_assets.features.labels import churn_labels
from churn_assets.features.lookback import lookback_days
from churn_assets.features.snapshot import features_at, features_of_table
from churn_assets.periods import epoch_s
from churn_assets.raw.contracts import labelled_contract, raw_contract
from churn_assets.settings.company import Settings
from churn_assets.settings.label import matures_on
from churn_assets.tables import Source
from churn_assets.training.training_set import joined
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Company:
    """A company and its labelled rows.

    Attributes:
        settings: as in its ``churn.yaml``.
        source: of its tables.
        features: that its models see.
        rows: ``customer_id``, ``snapshot_s`` where data has time, the features, ``churned``.
    """

    settings: Settings
    source: Source
    features: tuple[Feature, ...]
    rows: pl.DataFrame


def example(name: str, *, as_of: date | None = None) -> Company:
    """A company of ``examples``, whose data its ``prepare.py`` writes.

    Args:
        name: of the folder.
        as_of: the end of its history; none where data has no time.
    """
    folder = ROOT / "examples" / name
    runpy.run_path(str(folder / "prepare.py"))
    with _configured(folder / "churn.yaml"):
        settings = Settings.load()
        source = open_source(settings)
        return labelled(settings, source, as_of=as_of)


def labelled(settings: Settings, source: Source, *, as_of: date | None) -> Company:
    """A company's rows: of everybody, or at each snapshot of a history whose labels are mature."""
    features = company_features(source, settings.source, settings.features, settings.events.types)
    if as_of is None:
        contract = labelled_contract(source.attributes)
        customers = sift(contract, source.read("customers", 0, 0).rows.select(list(contract.columns))).kept
        rows = joined(features_of_table(customers, features), customers.select("customer_id", "churned"))
    else:
        rows = pl.concat(_at_snapshots(settings, source, features, as_of))
    return Company(settings, source, features_in_use(features, settings.features), rows)


def _at_snapshots(settings: Settings, source: Source, features: tuple[Feature, ...], as_of: date) -> Iterator[pl.DataFrame]:
    tables = {
        table: sift(
            contract := raw_contract(table, source.attributes, source.given(table)),
            source.read(table, epoch_s(settings.start), epoch_s(as_of)).rows.select(list(contract.columns)),
        ).kept
        for table in settings.tables
    }
    first = settings.features.first_snapshot or settings.start
    for snapshot in settings.calendar.keys(as_of):
        if snapshot < first or snapshot <= settings.start or matures_on(snapshot, settings.label) > as_of:
            continue
        before = {table: _within_reach(table, rows, features, snapshot, settings) for table, rows in tables.items()}
        at_risk = features_at(before, features, epoch_s(snapshot), settings.at_risk, settings.events.roles)
        after = {
            table: nw.from_native(rows.lazy().filter(pl.col("known_s") >= epoch_s(snapshot)))
            for table, rows in tables.items()
        }
        labels = churn_labels(
            at_risk.select("customer_id"),
            after.get("events"),
            after.get("payments"),
            snapshot=snapshot,
            label=settings.label,
            rule=settings.at_risk,
            known_until=as_of,
        ).labels
        yield joined(at_risk, labels)


def _within_reach(
    table: Table, rows: pl.DataFrame, features: tuple[Feature, ...], snapshot: date, settings: Settings
) -> pl.LazyFrame:
    days = lookback_days(table, features, settings.at_risk)
    if days is None:
        return rows.lazy()
    wanted = pl.col("occurred_s") >= epoch_s(snapshot) - days * DAY_S
    if table == "events":
        wanted |= pl.col("event_type").is_in(settings.at_risk.endings)
    return rows.lazy().filter(wanted)


@contextmanager
def _configured(file: Path) -> Iterator[None]:
    before = os.environ.get("CHURN_CONFIG")
    os.environ["CHURN_CONFIG"] = str(file)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CHURN_CONFIG"]
        else:
            os.environ["CHURN_CONFIG"] = before
