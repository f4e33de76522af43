"""What `churn demo` and `churn train` say of data without time: labels, equal rows, and whom the scores are of.

Belongs here: figures of the lake as words. Does not belong here: what they mean (``features.todays_customers``,
``training.equal_rows``, ``scoring.in_sample``).
"""

from collections.abc import Iterator

import polars as pl

from churn_assets.lake.lake import Lake
from churn_assets.periods import ALL
from churn_assets.scoring.in_sample import in_words
from churn_assets.settings.training import Training
from churn_assets.tables import LABEL
from churn_assets.training.equal_rows import EqualRows, equal_rows
from churn_assets.training.split import roles_by_id
from churn_store.mapping.labels import LabelCounts


def trained_on(lake: Lake, training: Training) -> Iterator[tuple[str, str]]:
    """Name and value of the lines about the labels and the training set."""
    yield "labels", f"{_counts(lake)}; who has none neither trains nor judges"
    if said := str(_equal(lake, training)):
        yield "equal rows", said


def scored(lake: Lake) -> Iterator[tuple[str, str]]:
    """Name and value of the lines about the scores."""
    scores = lake.read("churn_scores", ALL)
    yield "had left", f"{had_left(lake):,} of {scores.height:,} scores"
    yield "in sample", in_words(scores["in_sample"])


def had_left(lake: Lake) -> int:
    """The number of scored customers whose label says that they left; there must be none."""
    gone = lake.read("customers", ALL, columns=["customer_id", LABEL]).filter(pl.col(LABEL))
    return lake.read("churn_scores", ALL, columns=["customer_id"]).join(gone, on="customer_id", how="semi").height


def _counts(lake: Lake) -> LabelCounts:
    return LabelCounts.of(lake.read("customers", ALL, columns=[LABEL])[LABEL])


def _equal(lake: Lake, training: Training) -> EqualRows:
    rows = lake.read("training_set", ALL)
    return equal_rows(rows, by_id=roles_by_id(rows["customer_id"], training), roles=rows["role"])
