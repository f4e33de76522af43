"""Features at a snapshot: what was known of each customer at risk, one row a customer.

Each table is cut at the snapshot and aggregated to one row a customer before it is joined, so that no join multiplies rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.feature import Feature, aggregates_of
from churn_assets.features.population import at_risk, known_before, newest_versions, records_at, signs
from churn_assets.features.recency_flags import with_recency_flags
from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.events import EventRoles
from churn_store.mapping.tables import Table


def features_at(
    tables: Mapping[Table, Any], features: Sequence[Feature], snapshot_s: int, rule: AtRisk, roles: EventRoles
) -> pl.DataFrame:
    """The features of every customer at risk at a snapshot.

    Args:
        tables: lazy frames of the raw tables, of any engine that Narwhals knows, with at least the rows that arrived before the
            snapshot and lie within the longest window.
        features: features to compute.
        snapshot_s: T in epoch seconds; rows that happened or became known at or after it change nothing.
        rule: definition of who is at risk.
        roles: what the types of events mean.

    Returns:
        ``customer_id``, ``snapshot_s`` and one column a feature (Float64 or String), sorted by customer.
    """
    known = {name: _known(name, nw.from_native(rows), snapshot_s, roles) for name, rows in tables.items()}
    records = records_at(newest_versions(known["customers"]), snapshot_s)
    return features_of_known(records, known, features, snapshot_s, rule)


def features_of_known(
    records: nw.LazyFrame[Any],
    known: Mapping[Table, nw.LazyFrame[Any]],
    features: Sequence[Feature],
    snapshot_s: int,
    rule: AtRisk,
) -> pl.DataFrame:
    """The features of every customer at risk, from rows that are already cut at the snapshot; see ``features_at``.

    Args:
        records: records of the customers, as ``records_at`` returns them.
        known: rows known at the snapshot, with ``age_s``; events also have their ``role`` and ``PLACES``. ``known_s`` is not needed.
        features: features to compute.
        snapshot_s: time T of the snapshot, in epoch seconds.
        rule: definition of who is at risk.
    """
    people = records
    zeros: list[str] = []
    for name, rows in known.items():
        aggregates = aggregates_of(features, name)
        wanted = {**aggregates, **signs(name, rule)}
        if not wanted:
            continue
        zeros += [key for key in aggregates if not key.startswith("age_of_")]
        by_customer = rows.group_by("customer_id").agg(*(expr.alias(key) for key, expr in wanted.items()))
        people = people.join(by_customer, on="customer_id", how="left")
    customers = at_risk(people, rule)
    return _collected(
        (customers.with_columns(nw.col(*zeros).fill_null(0)) if zeros else customers).select(
            "customer_id",
            nw.lit(snapshot_s).cast(nw.Int64).alias("snapshot_s"),
            *(_value(feature).alias(feature.name) for feature in features),
        )
    )


def features_of_table(customers: Any, features: Sequence[Feature]) -> pl.DataFrame:
    """The features of data without time: the attributes of every customer.

    Returns:
        ``customer_id`` and one column a feature, sorted by customer.
    """
    return _collected(
        nw.from_native(customers)
        .lazy()
        .select("customer_id", *(_value(feature).alias(feature.name) for feature in features))
    )


def _known(table: Table, rows: nw.LazyFrame[Any], snapshot_s: int, roles: EventRoles) -> nw.LazyFrame[Any]:
    known = known_before(rows, snapshot_s)
    return with_recency_flags(known, roles) if table == "events" else known


def _value(feature: Feature) -> nw.Expr:
    return feature.value.cast(nw.Float64 if feature.kind == "number" else nw.String)


def _collected(whole: nw.LazyFrame[Any]) -> pl.DataFrame:
    streaming = {"engine": "streaming"} if whole.implementation.is_polars() else {}
    frame: pl.DataFrame = whole.collect(backend="polars", **streaming).to_native()
    return frame.sort("customer_id")
