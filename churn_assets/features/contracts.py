"""The contracts of features and labels."""

from collections.abc import Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.features.feature import Feature
from churn_assets.orchestration.table_writer import Outcome
from churn_assets.tables import KIND, PAYMENT_FAILURE, VOLUNTARY
from churn_store.mapping.labels import LabelCounts

LABEL_RATE = (0.001, 0.95)
"""The plausible shares of churn, least and greatest; outside of them the definition of churn is taken for wrong."""


def features_contract(features: Sequence[Feature], *, has_time: bool) -> pa.DataFrameSchema:
    """The contract of a snapshot's features: a row a customer, every feature inside the catalogue's range."""
    columns = [feature.column for feature in features]
    times = {"snapshot_s": pl.Int64} if has_time else {}
    return contract(
        {"customer_id": pl.String, **times, **column_types(columns)},
        key=["customer_id", *times],
        checks=column_checks(columns),
        nullable=[column.name for column in columns if column.nullable],
        described={column.name: f"{column.description} ({column.unit})" for column in columns},
    )


def labels_contract(*, has_time: bool, has_kinds: bool = False) -> pa.DataFrameSchema:
    """The contract of a snapshot's labels.

    Args:
        has_time: whether the data is a history.
        has_kinds: whether each churn has a kind.
    """
    times = {"snapshot_s": pl.Int64} if has_time else {}
    return contract(
        {"customer_id": pl.String, **times, "churned": pl.Boolean, **({KIND: pl.String} if has_kinds else {})},
        key=["customer_id", *times],
        checks={KIND: [pa.Check.isin([PAYMENT_FAILURE, VOLUNTARY])]},
        nullable=[KIND],
    )


def someone_at_risk(frame: pl.DataFrame) -> Outcome:
    """Whether anyone is at risk: an empty snapshot can be neither trained on nor scored."""
    return Outcome(
        frame.height > 0,
        f"{frame.height} customers at risk"
        + ("" if frame.height else "; look at `at_risk` in churn.yaml and at the raw tables"),
        {"at_risk": frame.height},
    )


def plausible_label_rate(labels: pl.DataFrame) -> Outcome:
    """Whether the share of churn is plausible: near 0 or near 1, the definition of churn does not fit the data."""
    rate = float(labels["churned"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    low, high = LABEL_RATE
    return Outcome(
        low <= rate <= high,
        f"{rate:.2%} of {labels.height} churned; allowed {low:.1%} to {high:.0%}",
        {"churn_rate": rate},
    )


def nobody_labelled(counts: LabelCounts) -> Outcome:
    """The outcome of the label rate where no customer of a table without time has a label: nothing can be learned."""
    return Outcome(
        False,
        f"none of {counts.unlabelled:,} customers has a label; expected some who churned and some who stayed. Add rows of customers "
        "whose outcome is known, or look at `label.unknown` of source.customers in churn.yaml",
    )
