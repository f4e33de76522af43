"""The contract of scores."""

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import contract

SHA256_LENGTH = 64


def scores_contract(*, has_time: bool) -> pa.DataFrameSchema:
    """The contract of scores: one probability a customer, between 0 and 1, with the release that gave it.

    Data without time has ``in_sample`` besides: whether that release was trained on the customer; missing where nobody can say.
    """
    times = {"snapshot_s": pl.Int64} if has_time else {}
    proof = {} if has_time else {"in_sample": pl.Boolean}
    return contract(
        {
            "customer_id": pl.String,
            **times,
            "probability": pl.Float64,
            "churn": pl.Boolean,
            "release": pl.String,
            **proof,
        },
        key=["customer_id", *times],
        checks={
            "probability": [pa.Check.in_range(0.0, 1.0)],
            "release": [pa.Check.str_length(SHA256_LENGTH, SHA256_LENGTH)],
        },
        nullable=list(proof),
    )
