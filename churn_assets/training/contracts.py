"""The contract of the training set."""

from collections.abc import Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.features.catalogue import Feature
from churn_assets.training.split import JUDGE, SELECT, TRAIN


def training_contract(features: Sequence[Feature], *, has_time: bool) -> pa.DataFrameSchema:
    """What the training set must keep: a row a customer and snapshot, with its features, its label and its role."""
    columns = [feature.column for feature in features]
    times = {"snapshot_s": pl.Int64} if has_time else {}
    return contract(
        {"customer_id": pl.String, **times, **column_types(columns), "churned": pl.Boolean, "role": pl.String},
        key=["customer_id", *times],
        checks={**column_checks(columns), "role": [pa.Check.isin([TRAIN, SELECT, JUDGE])]},
        nullable=[column.name for column in columns if column.nullable],
    )
