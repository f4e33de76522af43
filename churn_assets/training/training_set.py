"""The training set: features and labels of mature snapshots, each row with its role.

Also here: the signature, which has the columns of the catalogue with the categories of the training rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from churn_assets.features.feature import Feature
from churn_assets.lake.contents import PERIOD
from churn_assets.lake.lake import Lake
from churn_assets.lake.row_digest import digest
from churn_assets.periods import ALL, day_of
from churn_assets.settings.training import LEAST_ROWS, Training
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.split import roles_by_customer
from churn_store.errors import InputError
from churn_store.model.signature import MISSING_CATEGORY, Signature

KEY = ("customer_id", "snapshot_s")

MOST_WORDS = 1_000
"""Greatest number of words of a category: each is a column of the logistic regressions, and the card and the service list them."""


def joined(features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Features joined with ``churned``; rows without a label are left out.

    Args:
        features: features with ``customer_id``, and ``snapshot_s`` where data has time.
        labels: labels with the same key, and ``churned``.
    """
    key = [name for name in KEY if name in features.columns]
    return features.join(labels.select(*key, "churned"), on=key, how="inner").sort(key)


def rows_by_time(lake: Lake, versions: Mapping[str, int], roles: Mapping[str, str]) -> pl.DataFrame:
    """The labelled rows of some snapshots, each with the role of its snapshot.

    Args:
        lake: the lake to read.
        versions: versions of ``customer_features`` and ``churn_labels`` to read.
        roles: role of each snapshot; others are not read.

    Returns:
        The features' columns, ``churned`` and ``role``, sorted by key.
    """
    with_role = pl.col(PERIOD).is_in(list(roles))
    features, labels = (
        lake.collect(
            table, lake.scan(table, version=versions[table], periods=list(roles)).filter(with_role), version=versions[table]
        )
        for table in ("customer_features", "churn_labels")
    )
    rows = joined(features, labels)
    return rows.with_columns(role=pl.col(PERIOD).replace_strict(roles, return_dtype=pl.String)).drop(PERIOD)


def rows_by_customer(
    lake: Lake, versions: Mapping[str, int], training: Training, *, inputs: Sequence[str] | None = None
) -> pl.DataFrame:
    """All labelled rows of data without time, each with its role.

    Args:
        lake: the lake to read.
        versions: versions of ``customer_features`` and ``churn_labels`` to read.
        training: settings with the held-out share and the seed.
        inputs: features that a model sees; default: all.
    """
    rows = joined(*(lake.read(table, ALL, version=versions[table]) for table in ("customer_features", "churn_labels")))
    return rows.with_columns(role=roles_by_customer(rows, training, inputs=inputs))


def check_enough(rows: pl.DataFrame, training: Training) -> None:
    """Refuse a training set that nothing can be learned from.

    Raises:
        InputError: a role has too few rows, or a single class.
    """
    for role in (TRAIN, SELECT, JUDGE):
        churned = rows.filter(pl.col("role") == role)["churned"]
        needed = rows_needed(role, training.minimum_rows)
        if len(churned) < needed:
            # Below the setting's own bound nothing can be lowered.
            lower = ", or lower `training.minimum_rows`" if len(churned) >= rows_needed(role, LEAST_ROWS) else ""
            raise InputError(
                f"{len(churned)} rows have the role {role!r}; expected at least {needed}, and {rows.height:,} have a label. Bring more "
                f"snapshots, or more customers with a label{lower}"
            )
        if churned.all() or not churned.any():
            raise InputError(
                f"all {len(churned)} rows with the role {role!r} {'churned' if churned.all() else 'stayed'}; expected both. "
                "Look at `label` and `at_risk` in churn.yaml"
            )


def rows_needed(role: str, minimum_rows: int) -> int:
    """The least number of rows of a role."""
    return minimum_rows // 2 if role == SELECT else minimum_rows


def training_set_digest(training_set: pl.DataFrame) -> str:
    """The digest of a training set's rows; their order does not matter."""
    return digest(training_set, key=[name for name in KEY if name in training_set.columns])


def snapshots(rows: pl.DataFrame) -> list[str]:
    """The snapshots of rows as days, oldest first; empty if the data has no time."""
    if "snapshot_s" not in rows.columns:
        return []
    return [day_of(second).isoformat() for second in rows["snapshot_s"].unique().sort()]


def signature_of(features: Sequence[Feature], training_rows: pl.DataFrame) -> Signature:
    """The inputs of a model trained on these rows.

    Args:
        features: features in the order of the model's columns.
        training_rows: rows whose categories become the known ones; the missing category is always known.

    Raises:
        InputError: categories have more than ``MOST_WORDS`` words, as an id of the customer would; the message names all of them.
    """
    columns, too_many = [], {}
    for feature in features:
        column = feature.column
        if feature.kind == "category":
            words = set(training_rows[feature.name].unique().drop_nulls()) - {MISSING_CATEGORY}
            if len(words) > MOST_WORDS:
                too_many[feature.name] = len(words)
            column = msgspec.structs.replace(column, categories=tuple(sorted(words | {MISSING_CATEGORY})))
        columns.append(column)
    if too_many:
        listed = " and ".join(f"{name} holds {count:,} words" for name, count in too_many.items())
        raise InputError(
            f"{listed} in the training rows; expected at most {MOST_WORDS:,}{' each' if len(too_many) > 1 else ''}, as each is an "
            f"input of its own. Name {', '.join(too_many)} in features.exclude, or give {'it' if len(too_many) == 1 else 'them'} "
            "fewer words"
        )
    return Signature(tuple(columns))


def input_example(signature: Signature, training_set: pl.DataFrame) -> dict[str, Any]:
    """An invented row of medians and most frequent words of the training rows; it shows no customer."""
    rows = training_set.filter(pl.col("role") == TRAIN)
    return {
        **{name: rows[name].median() for name in signature.numbers},
        **{name: rows[name].mode().sort().first() for name in signature.categories},
    }
