"""What was really served of a snapshot: the predictions of the service by its features, and the scores of everyone at risk.

A prediction counts if it was made before the outcome could be known: a release that was made after the window had closed, or was trained on
labels of the snapshot, was not served but replayed. Of a customer counts the first prediction of each release, and of each arm.

Belongs here: reading both sources. Does not belong here: what became of the customers (``evidence``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl
import sqlalchemy as sa

from churn_store.database.schema import prediction_log
from churn_store.releases.log import history
from churn_store.releases.manifest import Manifest

SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "customer_id": pl.String, "release": pl.String, "arm": pl.String, "probability": pl.Float64, "called": pl.Boolean,
    "first_s": pl.Float64, "source": pl.String,
}  # fmt: skip
"""``arm`` is empty outside of experiments, ``source`` is ``service`` or ``scores``."""

AT_ONCE: Final = 50_000


@dataclass(frozen=True)
class Served:
    """The predictions of a snapshot.

    Attributes:
        rows: one row a customer, release and arm, by ``SCHEMA``; of a customer and release also one with an empty arm.
        counts: predictions that don't count, by name.
    """

    rows: pl.DataFrame
    counts: dict[str, int]


def by_the_service(engine: sa.Engine, *, snapshot_s: int, closes_s: int) -> tuple[pl.DataFrame, int]:
    """The first prediction of each customer by each release and arm, from features of the snapshot, and how many customers were asked about too late.

    Args:
        engine: the serving database.
        snapshot_s: time T of the snapshot, in epoch seconds.
        closes_s: end of the label's window.

    Raises:
        SQLAlchemyError: if the database does not answer.
    """
    log = prediction_log.c
    arm = sa.case((log.experiment.is_not(None), log.experiment + "/" + sa.func.coalesce(log.arm, "")), else_="")
    order = (log.answered_s, log.request_id, log.item)
    placed = (
        sa.select(
            log.customer_id, log.release, arm.label("arm"), log.probability, log.churn, log.answered_s,
            sa.func.row_number().over(partition_by=(log.customer_id, log.release, arm), order_by=order).label("place"),
        )
        .where(log.snapshot_s == snapshot_s, log.customer_id.is_not(None))
        .subquery()
    )  # fmt: skip
    asked = sa.select(placed).where(placed.c.place == 1)
    parts = [pl.DataFrame(schema=SCHEMA)]
    with engine.connect() as connection:
        for part in connection.execution_options(yield_per=AT_ONCE).execute(asked).partitions():
            values = [
                (row.customer_id, row.release, row.arm, row.probability, bool(row.churn), row.answered_s, "service")
                for row in part
            ]
            parts.append(pl.DataFrame(values, schema=SCHEMA, orient="row"))
    found = pl.concat(parts)
    in_time = found.filter(pl.col("first_s") < closes_s)
    return in_time, found["customer_id"].n_unique() - in_time["customer_id"].n_unique()


def by_the_scores(scores: pl.DataFrame, begun: Mapping[str, int], *, snapshot_s: int) -> pl.DataFrame:
    """The scores of everyone at risk as predictions.

    Args:
        scores: rows of ``churn_scores`` of the snapshot.
        begun: when each release first served, in epoch seconds: before that it can't have scored.
        snapshot_s: time T of the snapshot.
    """
    first = pl.max_horizontal(
        pl.col("release").replace_strict(dict(begun), default=snapshot_s, return_dtype=pl.Int64), pl.lit(snapshot_s)
    )
    return scores.select(
        "customer_id",
        "release",
        arm=pl.lit(""),
        probability="probability",
        called="churn",
        first_s=first.cast(pl.Float64),
        source=pl.lit("scores"),
    )


def first_served(engine: sa.Engine) -> dict[str, int]:
    """When each release first served, as champion or challenger, in epoch seconds."""
    begun: dict[str, int] = {}
    for row in history(engine, limit=None):  # the newest first
        begun |= {digest: row.published_s for digest in (row.champion, row.challenger) if digest}
    return begun


def served(
    service: pl.DataFrame,
    scores: pl.DataFrame,
    manifests: Mapping[str, Manifest | str],
    *,
    snapshot: str,
    closes_s: int,
    late: int,
) -> Served:
    """Both sources as one, each customer once for each release and arm, and without what was replayed.

    Args:
        service: predictions of the service, from ``by_the_service``.
        scores: scores, from ``by_the_scores``.
        manifests: manifest of each release, or why it can't be read.
        snapshot: key of the snapshot.
        closes_s: end of the label's window, in epoch seconds.
        late: number of customers who were asked about too late.
    """
    both = pl.concat([service, scores])
    replayed = [
        digest for digest, manifest in manifests.items() if is_replay(manifest, snapshot=snapshot, closes_s=closes_s)
    ]
    counted = both.filter(~pl.col("release").is_in(replayed))
    order = ["customer_id", "release", "first_s", "source"]
    whole = (
        counted.with_columns(arm=pl.lit(""))
        .sort(order)
        .unique(["customer_id", "release"], keep="first", maintain_order=True)
    )
    of_arms = counted.filter(pl.col("arm") != "").sort(order)
    counts = {
        "asked_too_late": late,
        "replayed": _customers(both, replayed),
        "by_the_service": service.filter(~pl.col("release").is_in(replayed))["customer_id"].n_unique(),
        "by_the_scores": scores.filter(~pl.col("release").is_in(replayed))["customer_id"].n_unique(),
    }
    return Served(pl.concat([whole, of_arms]), counts)


def is_replay(manifest: Manifest | str, *, snapshot: str, closes_s: int) -> bool:
    """Whether a release can't have predicted the outcomes of a snapshot: it is younger than the window, or was trained on them."""
    if isinstance(manifest, str):
        return False
    return manifest.created_s >= closes_s or snapshot in manifest.trained_on


def _customers(rows: pl.DataFrame, releases: Collection[str]) -> int:
    return rows.filter(pl.col("release").is_in(list(releases)))["customer_id"].n_unique()
