"""Which customers the serving release was trained on: what it says of those is no proof of anything.

Belongs here: data without time, where the customers who are scored may be those who trained. Of a history the scored snapshot is
newer than every label that was trained on.
"""

import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.lake.versions import digest_at, read_at
from churn_assets.periods import ALL
from churn_assets.tables import JUDGE
from churn_store.errors import InputError
from churn_store.releases.manifest import Manifest


def in_sample(customers: pl.Series, manifest: Manifest, lake: Lake) -> pl.Series:
    """Whether the release was fitted, or calibrated, on each customer.

    Args:
        customers: ids.
        manifest: manifest of the release, which names the version of the training set.
        lake: lake with that version.

    Returns:
        ``in_sample``; null for all where the lake no longer has the rows that the release was made of.
    """
    named = manifest.tables.get("training_set")
    try:
        rows = None if named is None else read_at(lake, "training_set", ALL, named.version)
    except InputError:  # another lake, or its files are gone
        rows = None
    if rows is None or named is None or digest_at("training_set", rows) != named.digest:
        return pl.repeat(None, customers.len(), dtype=pl.Boolean, eager=True).alias("in_sample")
    trained = rows.filter(pl.col("role") != JUDGE)["customer_id"]
    return customers.is_in(trained.implode()).alias("in_sample")


def in_words(marks: pl.Series) -> str:
    """How many of the scored customers the release was trained on, for people."""
    if marks.null_count():
        return f"of {marks.null_count():,} scores nobody can say whether the release was trained on them: its training set is gone"
    known = int(marks.sum())
    why = ": their scores are no proof, the release was trained on them" if known else ": the release has seen none of them"
    return f"{known:,} of {marks.len():,} scores{why}"
