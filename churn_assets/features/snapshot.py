"""Features at a snapshot: what was known of each customer at risk, one row a customer.

Each table is cut at the snapshot and aggregated to one row a customer before it is joined, so a join never multiplies.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import polars as pl

from churn_assets.features.catalogue import Feature
from churn_assets.features.population import at_risk, current_records, known_before
from churn_assets.raw.source import Table
from churn_assets.settings import AtRisk


def features_at(tables: Mapping[Table, Any], features: Sequence[Feature], snapshot_s: int, rule: AtRisk) -> pl.DataFrame:
    """The features of every customer at risk at a snapshot.

    Args:
        tables: lazy frames of the raw tables, of any engine that Narwhals knows; at least what arrived before the snapshot
            within the longest window.
        features: which.
        snapshot_s: T in epoch seconds; rows that happened or became known at or after it change nothing.
        rule: who is at risk.

    Returns:
        ``customer_id``, ``snapshot_s`` and one column a feature (Float64 or String), sorted by customer.
    """
    rows = {name: known_before(nw.from_native(frame), snapshot_s) for name, frame in tables.items() if name != "customers"}
    people = at_risk(
        current_records(nw.from_native(tables["customers"]), snapshot_s), rows.get("events"), rows.get("payments"), rule
    )
    whole = people
    for name, known in rows.items():
        aggregates = {
            key: expr for feature in features if feature.table == name for key, expr in feature.aggregates.items()
        }
        if not aggregates:
            continue
        by_customer = known.group_by("customer_id").agg(*(expr.alias(key) for key, expr in aggregates.items()))
        whole = whole.join(by_customer, on="customer_id", how="left").with_columns(
            nw.col(key).fill_null(0) for key in aggregates if not key.startswith("age_of_")
        )
    return _collected(
        whole.select(
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


def _value(feature: Feature) -> nw.Expr:
    return feature.value.cast(nw.Float64 if feature.kind == "number" else nw.String)


def _collected(whole: nw.LazyFrame[Any]) -> pl.DataFrame:
    frame: pl.DataFrame = whole.collect(backend="polars").to_native()
    return frame.sort("customer_id")
