"""The quality of a model on each kind of churn: by payment failure, and voluntary.

Belongs here: the join of kinds to the rows of a training set, and the measures of each kind. Does not belong here: how labels get a kind
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
    """Rows with the kind of each churn from the labels; unchanged if the labels have no kinds.

    Args:
        lake: lake with ``churn_labels``.
        rows: labelled rows with ``customer_id`` and ``snapshot_s``.
        labels_version: version of ``churn_labels`` that the rows were made from.
    """
    labels = lake.scan("churn_labels", version=labels_version)
    if KIND not in labels.collect_schema():
        return rows
    key = ["customer_id", "snapshot_s"]
    used = pl.col("snapshot_s").is_in(rows["snapshot_s"].unique().implode())
    kinds = lake.collect("churn_labels", labels.drop(PERIOD).filter(used).select(*key, KIND), version=labels_version)
    return rows.join(kinds, on=key, how="left", maintain_order="left")


def quality_by_kind(
    judging: pl.DataFrame, scores: Scores, *, threshold: float
) -> dict[str, KindQuality] | msgspec.UnsetType:
    """The quality of a model on the churners of each kind and everybody who stayed.

    Args:
        judging: judging rows with ``churned``, and with ``churn_kind`` if the labels have kinds.
        scores: probability of each row.
        threshold: decision threshold; at or above it a customer is called a churner.
    """
    if KIND not in judging.columns:
        return msgspec.UNSET
    churned = judging["churned"].to_numpy()
    quality = {}
    for kind in (PAYMENT_FAILURE, VOLUNTARY):
        of_kind = (judging[KIND] == kind).fill_null(value=False).to_numpy()
        count = int(of_kind.sum())
        compared = of_kind | ~churned
        has_both = bool(count) and not churned.all()
        quality[kind] = KindQuality(
            churners=count,
            auc=auc(churned[compared], scores[compared]) if has_both else None,
            recall=float((scores[of_kind] >= threshold).mean()) if count else None,
        )
    return quality


def kinds_as_metadata(kinds: dict[str, KindQuality] | msgspec.UnsetType) -> dict[str, float]:
    """The quality by kind as numbers by name, such as ``auc_voluntary``; empty if the labels have no kinds."""
    by_kind = kinds if isinstance(kinds, dict) else {}
    by_name = {
        f"{name}_{kind}": value
        for kind, quality in by_kind.items()
        for name, value in msgspec.structs.asdict(quality).items()
    }
    return {name: value for name, value in by_name.items() if value is not None}
