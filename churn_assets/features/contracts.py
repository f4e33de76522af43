"""The contracts of features and labels."""

from collections.abc import Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.features.feature import Feature
from churn_assets.orchestration.table_writer import Outcome

LABEL_RATE = (0.001, 0.95)
"""A share of churn outside of these is taken for a wrong definition of churn."""


def features_contract(features: Sequence[Feature], *, has_time: bool) -> pa.DataFrameSchema:
    """What a snapshot's features must keep: a row a customer, every feature inside the catalogue's range."""
    columns = [feature.column for feature in features]
    times = {"snapshot_s": pl.Int64} if has_time else {}
    return contract(
        {"customer_id": pl.String, **times, **column_types(columns)},
        key=["customer_id", *times],
        checks=column_checks(columns),
        nullable=[column.name for column in columns if column.nullable],
        described={column.name: f"{column.description} ({column.unit})" for column in columns},
    )


def labels_contract(*, has_time: bool) -> pa.DataFrameSchema:
    """What a snapshot's labels must keep."""
    times = {"snapshot_s": pl.Int64} if has_time else {}
    return contract({"customer_id": pl.String, **times, "churned": pl.Boolean}, key=["customer_id", *times])


def someone_at_risk(frame: pl.DataFrame) -> Outcome:
    """A snapshot without anyone at risk can't be trained on or scored."""
    return Outcome(
        frame.height > 0,
        f"{frame.height} customers at risk"
        + ("" if frame.height else "; look at `at_risk` in churn.yaml and at the raw tables"),
        {"at_risk": frame.height},
    )


def plausible_label_rate(labels: pl.DataFrame) -> Outcome:
    """A share of churn near none or near all says that the definition of churn does not fit the data."""
    rate = float(labels["churned"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    low, high = LABEL_RATE
    return Outcome(
        low <= rate <= high,
        f"{rate:.2%} of {labels.height} churned; allowed {low:.1%} to {high:.0%}",
        {"churn_rate": rate},
    )
