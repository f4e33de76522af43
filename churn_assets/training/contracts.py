"""The contract of the training set."""

from collections.abc import Collection, Mapping, Sequence

import pandera.polars as pa
import polars as pl

from churn_assets.contracts import column_checks, column_types, contract
from churn_assets.features.feature import Feature
from churn_assets.features.protected_attributes import refuse_forbidden
from churn_assets.orchestration.table_writer import Outcome
from churn_assets.tables import JUDGE, SELECT, TRAIN, WEIGHT
from churn_assets.training.leakage import Auc, in_words, leaking, not_measured


def training_contract(
    features: Sequence[Feature],
    *,
    has_time: bool,
    protected: Collection[str] = (),
    allowed: Collection[str] = (),
    is_weighted: bool = False,
) -> pa.DataFrameSchema:
    """The contract of the training set: one row for each customer and snapshot, with features, label and role.

    Args:
        features: features that models see.
        has_time: whether the data is a history.
        protected: protected words in addition to the built-in ones.
        allowed: names of protected features that may be used all the same.
        is_weighted: whether rows stand for others, which were left out (``training.treated``).

    Raises:
        InputError: a feature is one that no model may see.
    """
    for feature in features:
        refuse_forbidden(feature.name, feature.name, protected, allowed=allowed)
    columns = [feature.column for feature in features]
    times = {"snapshot_s": pl.Int64} if has_time else {}
    weight = {WEIGHT: pl.Float64} if is_weighted else {}
    return contract(
        {"customer_id": pl.String, **times, **column_types(columns), "churned": pl.Boolean, "role": pl.String, **weight},
        key=["customer_id", *times],
        checks={
            **column_checks(columns),
            "role": [pa.Check.isin([TRAIN, SELECT, JUDGE])],
            **({WEIGHT: [pa.Check.ge(1)]} if weight else {}),
        },
        nullable=[*(column.name for column in columns if column.nullable), *weight],
    )


def no_single_feature_tells(aucs: Mapping[str, Auc | None], limit: float) -> Outcome:
    """Whether no feature alone orders the rows by their label so well that it must be a leak.

    Args:
        aucs: AUC of each feature alone, by name; `None` where it could not be measured.
        limit: the greatest AUC that is plausible.
    """
    leaks = leaking(aucs, limit)
    measured = [auc.value for auc in aucs.values() if auc is not None]
    return Outcome(
        not leaks,
        in_words(aucs, limit),
        {
            "features": ", ".join(leaks) or "none",
            "not_measured": ", ".join(not_measured(aucs)) or "none",
            **({"largest_auc": max(measured)} if measured else {}),
        },
    )
