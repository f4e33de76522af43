"""The treatments of a stretch of time as one frame: those of the company's own table, and those that the service received.

Belongs here: reading both and joining them. Does not belong here: what a treatment does to a label (``weights``).
"""

from typing import Final

import polars as pl
import sqlalchemy as sa

from churn_assets.lake.lake import Lake
from churn_assets.tables import quarantine_of
from churn_store.mapping.tables import Table
from churn_store.treatments.newest import SUBJECT, newest_between

TABLE: Final[Table] = "treatments"
"""The raw table of a company that keeps its campaigns in a table of its own."""

COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "customer_id": pl.String, "assigned_s": pl.Int64, "treated": pl.Boolean, "propensity": pl.Float64,
}  # fmt: skip

_ALL: Final[dict[str, type[pl.DataType]]] = {
    "customer_id": pl.String, "assigned_s": pl.Int64, "channel": pl.String, "offer": pl.String, "treated": pl.Boolean,
    "propensity": pl.Float64, "received_s": pl.Float64,
}  # fmt: skip


def treatments_between(
    lake: Lake | None, engine: sa.Engine | None, *, start_s: int, end_s: int, version: int | None = None
) -> pl.DataFrame:
    """The treatments that were assigned in ``[start_s, end_s)``, in epoch seconds.

    What both sources say of a customer, time, channel and offer counts once, as the one that heard of it later says it.

    Args:
        lake: the lake, which has the company's own table if there is one; ``None`` to leave it out.
        engine: the serving database; ``None`` to leave it out.
        start_s: beginning of the stretch.
        end_s: its end, which does not belong to it.
        version: version of the lake's table to read; default: the newest.

    Returns:
        ``customer_id``, ``assigned_s``, ``treated``, and ``propensity``, which is null where it is not known; sorted.

    Raises:
        SQLAlchemyError: if the database does not answer.
        ChurnError: if the lake's table can't be read.
    """
    found = [pl.DataFrame(schema=_ALL)]
    if lake is not None and lake.has(TABLE):
        found.append(_of_lake(lake, start_s, end_s, version))
    if engine is not None:
        rows = list(newest_between(engine, start_s, end_s))
        found.append(pl.DataFrame(rows, schema=_ALL, orient="row"))
    newest = pl.concat(found).sort(*SUBJECT, "received_s", "treated", "propensity").unique(SUBJECT, keep="last")
    return newest.sort(*SUBJECT).select(list(COLUMNS))


def set_aside_between(lake: Lake, *, start_s: int, end_s: int) -> int:
    """The number of treatments in quarantine that became known in ``[start_s, end_s)`` or at an unknown time; repeated rows are not among them.

    Raises:
        ChurnError: if the quarantine can't be read.
    """
    quarantine = quarantine_of(TABLE)
    if not lake.has(quarantine):
        return 0
    within = pl.col("known_s").is_null() | pl.col("known_s").is_between(start_s, end_s, closed="left")
    rows = lake.scan(quarantine).filter(within, ~pl.col("rule").str.starts_with("one row a ")).select(pl.len())
    return int(lake.collect(quarantine, rows).item())


def known_customers(lake: Lake) -> pl.Series:
    """The ids of all customers in the lake's ``customers``.

    Raises:
        ChurnError: if the table can't be read.
    """
    rows = lake.scan("customers").select("customer_id").unique()
    return lake.collect("customers", rows)["customer_id"]


def _of_lake(lake: Lake, start_s: int, end_s: int, version: int | None) -> pl.DataFrame:
    within = pl.col("occurred_s").is_between(start_s, end_s, closed="left")
    renamed = {
        "customer_id": pl.col("customer_id"),
        "assigned_s": pl.col("occurred_s"),
        "channel": pl.col("channel").fill_null(""),
        "offer": pl.col("offer").fill_null(""),
        "treated": pl.col("treated"),
        "propensity": pl.col("propensity"),
        "received_s": pl.col("known_s").cast(pl.Float64),
    }

    rows = lake.scan(TABLE, version=version).filter(within).select(**renamed)
    return lake.collect(TABLE, rows, version=version)
