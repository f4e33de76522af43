"""Training rows of customers who were treated in the window of their label: left out, and those held out weigh for them.

The weight is a column of the training set, which is there only where somebody was treated. Whoever fits or measures takes the rows as often as
they weigh (``as_weighed``), so that a fit, a measure and an interval clustered by customer need to know nothing of weights.

Belongs here: which rows stay, and how often each counts. Does not belong here: the weights of a snapshot's customers (``treatments.weights``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from churn_assets.tables import JUDGE, WEIGHT
from churn_assets.training.split import hash_ranks
from churn_assets.treatments.weights import TreatmentWeights, kish, treatment_weights

SAID: Final = "treated"
"""Metadata of the training set: what treatments did to it, in words."""


@dataclass(frozen=True)
class Untreated:
    """A training set without the rows of treated customers.

    Attributes:
        rows: its rows; with ``WEIGHT`` if anybody was treated or held out, else as they were.
        metadata: what was done, by name; empty if nobody was treated or held out.
    """

    rows: pl.DataFrame
    metadata: Mapping[str, Any]


def without_treated(
    rows: pl.DataFrame, treatments: pl.DataFrame, *, horizon_s: int, everyone: pl.Series, set_aside: int = 0
) -> Untreated:
    """Leave out the rows of customers who were treated in the window of their label, and weigh the others.

    Where the weights of a snapshot can't be known, its treated rows are left out of training and selecting, as their labels show another
    world, and the others count once. Its judging rows stay as they were seen, without a weight, as leaving the treated out alone would be further from the
    truth; what is measured on them is said to be unknown.

    Args:
        rows: labelled rows with ``customer_id``, ``snapshot_s`` and ``role``.
        treatments: as of ``treatment_weights``.
        horizon_s: length of the label's window, in seconds.
        everyone: ids of all customers that a table knows.
        set_aside: number of treatments that the company's table has and that could not be read.
    """
    weighed = [
        (snapshot_s, treatment_weights(of["customer_id"], treatments, snapshot_s=snapshot_s, horizon_s=horizon_s, everyone=everyone, set_aside=set_aside))
        for (snapshot_s,), of in sorted(rows.group_by("snapshot_s"), key=lambda group: group[0])
    ]  # fmt: skip
    if all(weights.state == "untreated" for _, weights in weighed):
        return Untreated(rows, {})
    columns = pl.concat(
        weights.rows.select(
            "customer_id",
            "left_out",
            "weight",
            snapshot_s=pl.lit(snapshot_s, dtype=pl.Int64),
            is_unknown=pl.lit(weights.state == "unknown"),
        )
        for snapshot_s, weights in weighed
    )
    joined = rows.join(columns, on=["customer_id", "snapshot_s"], how="left", maintain_order="left")
    as_seen = pl.col("is_unknown") & (pl.col("role") == JUDGE)
    counted_once = pl.when("is_unknown").then(1.0).otherwise("weight")
    kept = joined.filter(~pl.col("left_out") | as_seen).with_columns(
        pl.when(as_seen).then(None).otherwise(counted_once).alias(WEIGHT)
    )
    judged = set(rows.filter(pl.col("role") == JUDGE)["snapshot_s"].unique())
    return Untreated(
        kept.drop("left_out", "weight", "is_unknown"),
        {
            SAID: _in_words(weighed, judged),
            "treated_left_out": rows.height - kept.height,
            **{
                f"{role}_effective_rows": round(kish(of[WEIGHT].to_numpy())) if not of[WEIGHT].null_count() else None
                for (role,), of in sorted(kept.group_by("role"), key=lambda group: group[0])
            },
        },
    )


def as_weighed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as often as they weigh, without ``WEIGHT``; the same rows where they have none.

    A weight between two whole numbers is rounded up or down by a hash of customer and snapshot, so that it is right on average and the same
    rows give the same copies. Copies have their customer's id, so that intervals by customer stay right.
    """
    if WEIGHT not in rows.columns:
        return rows
    draw = hash_ranks(rows.select(pl.format("{}:{}", "snapshot_s", "customer_id")).to_series(), "treatment weight")
    weight = pl.col(WEIGHT).fill_null(1.0)
    copies = rows.select(weight.floor() + (draw < weight - weight.floor()).cast(pl.Float64)).to_series().cast(pl.UInt32)
    return rows.drop(WEIGHT).select(pl.all().repeat_by(copies).explode()) if copies.ne(1).any() else rows.drop(WEIGHT)


def is_unknown(rows: pl.DataFrame) -> bool:
    """Whether some judging rows are as they were seen, as their weights can't be known: what is measured on them is unknown."""
    return WEIGHT in rows.columns and rows.filter(pl.col("role") == JUDGE)[WEIGHT].null_count() > 0


def why_unknown(rows: pl.DataFrame, treated: object) -> str:
    """Why nothing can be decided by the judging rows of a training set; empty if that can be.

    Args:
        rows: rows of the training set.
        treated: what its manifest says of treated customers.
    """
    if not is_unknown(rows):
        return ""
    return treated if isinstance(treated, str) else "judging rows are without a weight, and the manifest does not say why"


def _in_words(weighed: Sequence[tuple[int, TreatmentWeights]], judged: set[int]) -> str:
    """What was done, the judging snapshots that are not known first."""
    unknown = [(second, weights) for second, weights in weighed if weights.state == "unknown"]
    touched = [weights for _, weights in weighed if weights.state != "untreated"]
    treated, held_out = sum(one.treated for one in touched), sum(one.held_out for one in touched)
    done = f"{treated} rows of treated customers in {len(touched)} of {len(weighed)} snapshots, for which {held_out} rows held out stand"
    if not unknown:
        return f"left out and weighted: {done}"
    days = ", ".join(f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d}" for second, _ in unknown)
    begin = "unknown: " if any(second in judged for second, _ in unknown) else "in part "
    return f"{begin}the labels of {days} can't be weighted, as {unknown[-1][1].reason}; {done}"
