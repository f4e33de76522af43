"""What a model is worth on each kind of churn: by payment failure, and by the customer's own will.

Belongs here: kinds beside the rows of a training set, and the measures of each. Does not belong here: how a kind is told
(``features.churn_kinds``).
"""

import msgspec
import polars as pl

from churn_assets.evaluation.measures import Scores, auc
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.tables import KIND, PAYMENT_FAILURE, VOLUNTARY
from churn_store.releases.manifest import KindQuality


def with_kinds_of(lake: Lake, rows: pl.DataFrame, *, labels_version: int) -> pl.DataFrame:
    """Rows with the kind of each churn, as the labels tell it; as they are where the labels tell none.

    Args:
        lake: lake with ``churn_labels``.
        rows: labelled rows: ``customer_id``, ``snapshot_s``.
        labels_version: version of ``churn_labels`` that they are made of.
    """
    labels = lake.scan("churn_labels", version=labels_version)
    if KIND not in labels.collect_schema():
        return rows
    key = ["customer_id", "snapshot_s"]
    used = pl.col("snapshot_s").is_in(rows["snapshot_s"].unique().implode())
    kinds = labels.drop(PERIOD).filter(used).select(*key, KIND).collect()
    return rows.join(kinds, on=key, how="left", maintain_order="left")


def quality_by_kind(
    judging: pl.DataFrame, scores: Scores, *, threshold: float
) -> dict[str, KindQuality] | msgspec.UnsetType:
    """The quality of a model on the churners of each kind, beside everybody who stayed.

    Args:
        judging: judging rows: ``churned``, and ``churn_kind`` where kinds are told apart.
        scores: probabilities, one a row.
        threshold: at or above it a customer is called a churner.
    """
    if KIND not in judging.columns:
        return msgspec.UNSET
    churned = judging["churned"].to_numpy()
    found = {}
    for kind in (PAYMENT_FAILURE, VOLUNTARY):
        own = (judging[KIND] == kind).fill_null(value=False).to_numpy()
        count = int(own.sum())
        beside = own | ~churned
        both = bool(count) and not churned.all()
        found[kind] = KindQuality(
            churners=count,
            auc=auc(churned[beside], scores[beside]) if both else None,
            recall=float((scores[own] >= threshold).mean()) if count else None,
        )
    return found


def kinds_as_metadata(kinds: dict[str, KindQuality] | msgspec.UnsetType) -> dict[str, float]:
    """The quality by kind as numbers by name, such as ``auc_voluntary``; none where kinds are not told apart."""
    found = kinds if isinstance(kinds, dict) else {}
    by_name = {f"{name}_{kind}": value for kind, of in found.items() for name, value in msgspec.structs.asdict(of).items()}
    return {name: value for name, value in by_name.items() if value is not None}
