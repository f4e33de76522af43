"""Who is at risk where the data has no time, and the features of those who are.

A row without a label is one of today's customers, and those are at risk. Where every row has a label, the customers who stayed
are. Who left is never at risk.

Belongs here: the population that is scored, served and watched for drift. Does not belong here: who trains and judges
(``training.training_set``), and the population of a history (``population``), whose features are of nobody else.
"""

import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.periods import ALL
from churn_assets.tables import LABEL


def at_risk(customers: pl.DataFrame) -> pl.DataFrame:
    """The customers at risk.

    Args:
        customers: one row each: ``churned``, null for one without a label.
    """
    unlabelled = customers.filter(pl.col(LABEL).is_null())
    return unlabelled if unlabelled.height else customers.filter(~pl.col(LABEL))


def features_at_risk(lake: Lake, key: str, *, version: int, has_time: bool) -> pl.DataFrame:
    """The rows of ``customer_features`` whose customers are at risk.

    Args:
        lake: the lake to read.
        key: the snapshot; ``all`` where the data has no time.
        version: version of ``customer_features``.
        has_time: whether the data is a history, whose features are of customers at risk alone. Without time they are of all, as
            models learn from who left.
    """
    rows = lake.read("customer_features", key, version=version)
    return rows if has_time else _of(rows, at_risk(_customers(lake, key, version)))


def features_of_today(lake: Lake, *, version: int) -> pl.DataFrame:
    """The rows of ``customer_features`` of data without time that may have moved away from those that were trained on.

    They are those of customers without a label. Where every customer has a label, they are all: of those who stayed alone every
    feature that tells of churn would differ.
    """
    rows, customers = lake.read("customer_features", ALL, version=version), _customers(lake, ALL, version)
    return _of(rows, at_risk(customers)) if customers[LABEL].null_count() else rows


def _customers(lake: Lake, key: str, version: int) -> pl.DataFrame:
    """The labels of the customers that a version of ``customer_features`` was made from; where it does not say, the newest."""
    made_from = lake.sources("customer_features", version=version).get("customers")
    return lake.read("customers", key, version=made_from, columns=["customer_id", LABEL])


def _of(rows: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    return rows.join(customers, on="customer_id", how="semi", maintain_order="left")
