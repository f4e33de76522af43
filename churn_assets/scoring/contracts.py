"""The contract of scores."""

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import SHA256_LENGTH, contract
from churn_store.batch.reasons import ACTIONABLE, CONTRIBUTION, REASON_COLUMNS, TEXT


def scores_contract(*, has_time: bool) -> pa.DataFrameSchema:
    """The contract of scores: one probability a customer, between 0 and 1, with the release that gave it, and its strongest reasons.

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
            **REASON_COLUMNS,
            **proof,
        },
        key=["customer_id", *times],
        checks={
            "probability": [pa.Check.in_range(0.0, 1.0)],
            "release": [pa.Check.str_length(SHA256_LENGTH, SHA256_LENGTH)],
        },
        nullable=[*REASON_COLUMNS, *proof],
        described={
            "customer_id": "the company's own id of the customer",
            "snapshot_s": "time T of the snapshot, in epoch seconds (UTC): nothing later was known to the model",
            "probability": "probability, from 0 to 1, that the customer churns within the horizon after T",
            "churn": "whether the probability reaches the release's threshold, at which an offer pays",
            "release": "sha256 of the release that gave the probability",
            **{name: _reason(name) for name in REASON_COLUMNS},
            "in_sample": "whether that release was trained on the customer, so that the score is no proof; empty where nobody can say",
        },
    )


def _reason(column: str) -> str:
    """What a column of reasons holds."""
    number = column.split("_")[1]
    if column.endswith(TEXT):
        return f"reason {number} in plain words, with the customer's own value and the usual one"
    if column.endswith(CONTRIBUTION):
        return f"what reason {number} adds to the log odds of churn, above 0"
    if column.endswith(ACTIONABLE):
        return f"whether a team can act on reason {number}"
    return f"code of reason {number} for the risk, the strongest first; empty where fewer raise it"
