"""Proof: where labels say nothing, no family finds anything; where they do, it does."""

from datetime import date
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest

from churn_assets.features.feature import Feature
from churn_assets.features.feature_sets import features_of
from churn_assets.features.snapshot import features_at
from churn_assets.periods import epoch_s
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.company import Settings
from churn_assets.settings.events import EventRoles
from churn_assets.settings.training import Training
from churn_assets.simulator.source import SyntheticSettings, SyntheticSource
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.families import FAMILIES
from churn_assets.training.fitting import fit_family
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table
from churn_store.releases.manifest import TableVersion
from tests.features.company import GIVEN, TABLES

START = date(2024, 1, 1)
SNAPSHOTS = {date(2024, 7, 1): TRAIN, date(2024, 8, 1): TRAIN, date(2024, 10, 1): SELECT, date(2024, 11, 1): SELECT}
RULE = AtRisk()
MADE_OF = TableVersion(0)
Z = 3.5
"""Standard errors that chance does not reach: once in 2,000 trials."""


@cache
def labelled_company() -> tuple[pl.DataFrame, tuple[Feature, ...]]:
    """Features and true labels of the synthetic company at four snapshots, each with its role."""
    source = SyntheticSource(SyntheticSettings(customers=2_000, start=START, months=12, monthly_churn=0.1))
    span = epoch_s(START) - 30 * DAY_S, epoch_s(date(2025, 1, 1))
    tables: dict[Table, Any] = {table: source.read(table, *span).rows for table in TABLES}
    features = features_of(TABLES, source.attributes, has_time=True, given=GIVEN)
    left = tables["events"].filter(event_type=RULE.endings[0])
    parts = []
    for snapshot, role in SNAPSHOTS.items():
        start_s = epoch_s(snapshot)
        gone = left.filter(pl.col("occurred_s").is_between(start_s, start_s + 30 * DAY_S, closed="left"))["customer_id"]
        rows = features_at({table: frame.lazy() for table, frame in tables.items()}, features, start_s, RULE, EventRoles())
        parts.append(rows.with_columns(churned=pl.col("customer_id").is_in(gone.implode()), role=pl.lit(role)))
    return pl.concat(parts), features


def auc_of(family: str, rows: pl.DataFrame, features: tuple[Feature, ...]) -> tuple[float, float]:
    """The AUC that is logged of a family, and its standard error if labels say nothing.

    The error is that of the rank sum (Mann and Whitney 1947).
    """
    measured = rows.filter(role=SELECT)["churned"]
    left, stayed = int(measured.sum()), int((~measured).sum())
    settings = Settings(company="proof", training=Training(seed=1))
    auc = fit_family(family, rows, features, settings.fitting, data=MADE_OF).measures["auc"]
    return auc, float(np.sqrt((left + stayed + 1) / (12 * left * stayed)))


@pytest.mark.parametrize("within", [["role"], ["snapshot_s"]], ids=["among all rows", "within each snapshot"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_shuffled_labels_give_half_within_its_interval(family: str, within: list[str]) -> None:
    rows, features = labelled_company()
    shuffled = rows.with_columns(pl.col("churned").shuffle(seed=7).over(within))
    assert shuffled["churned"].sum() == rows["churned"].sum()
    auc, error = auc_of(family, shuffled, features)
    assert abs(auc - 0.5) < Z * error


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_true_labels_give_more(family: str) -> None:
    rows, features = labelled_company()
    auc, error = auc_of(family, rows, features)
    assert auc > 0.5 + 2 * Z * error
