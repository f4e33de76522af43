"""Conditions on rows before a model is fitted on them, and which of their columns are uninformative.

Does not belong here: the contract of the table (``training.contracts``), whose checks run earlier and say more.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.features.feature import Feature
from churn_store.errors import InputError
from churn_store.model.signature import FLOAT32_MAX, MISSING_CATEGORY, Signature

Labels = npt.NDArray[np.bool_]


def require_two_classes(rows: pl.DataFrame, what: str) -> None:
    """Refuse rows of a single class, and no rows.

    Raises:
        InputError: all of them churned, or all stayed.
    """
    churned = rows["churned"]
    if churned.all() or not churned.any():
        raise InputError(
            f"all {rows.height} rows {what} {'churned' if rows.height and churned.all() else 'stayed'}; expected both. Look at `label` "
            "and `at_risk` in churn.yaml"
        )


def require_both_to_calibrate(churned: Labels) -> None:
    """Refuse rows to calibrate on that have a single class.

    Raises:
        InputError: all of them churned, or all stayed.
    """
    if churned.all() or not churned.any():
        raise InputError(
            f"all {len(churned)} rows to calibrate on {'churned' if churned.all() else 'stayed'}; expected both. Bring more "
            "customers, or raise training.selecting_snapshots"
        )


def require_both_halves(churned: Labels, half: Labels) -> None:
    """Refuse rows to calibrate on if one half of the customers has a single class.

    Args:
        churned: labels, one for each row.
        half: whether a row is of the first half.

    Raises:
        InputError: one half has a single class.
    """
    if any(churned[side].all() or not churned[side].any() for side in (half, ~half)):
        fewer = min(int(churned.sum()), int((~churned).sum()))
        raise InputError(
            f"{fewer} of {len(churned)} rows to calibrate on {'churned' if churned.sum() == fewer else 'stayed'}: too few to "
            "calibrate on one half of the customers and measure on the other. Bring more customers, or raise "
            "training.selecting_snapshots"
        )


def require_finite(rows: pl.DataFrame, signature: Signature, what: str) -> None:
    """Refuse infinite numbers and those beyond 3.4e38, the range of a 32-bit float. Missing values are allowed.

    Raises:
        InputError: some numbers are not finite; the message names each column and its number of rows.
    """
    not_finite = rows.select(
        (~(pl.col(name).cast(pl.Float64).abs() <= FLOAT32_MAX) & ~pl.col(name).cast(pl.Float64).is_nan()).sum()
        for name in signature.numbers
    )
    columns = (
        [f"{name} in {count:,} rows" for name, count in zip(not_finite.columns, not_finite.row(0), strict=True) if count]
        if not_finite.width
        else []
    )
    if columns:
        raise InputError(
            f"of {rows.height:,} rows {what} an infinite value, or one beyond 3.4e38, is in {', '.join(columns)}; expected finite "
            "numbers, or none where they are missing. Look at the raw tables, or name the feature in features.exclude"
        )


def constant_features(rows: pl.DataFrame, features: Sequence[Feature]) -> tuple[str, ...]:
    """The names of the features with one value in every row; a missing value counts as a value.

    Args:
        rows: rows to fit on.
        features: features of a model, which are columns of the rows.
    """
    return tuple(
        feature.name for feature in features if _is_constant(rows, feature.name, is_number=feature.kind == "number")
    )


def _is_constant(rows: pl.DataFrame, name: str, *, is_number: bool) -> bool:
    filled = rows[name].cast(pl.Float64).fill_nan(None) if is_number else rows[name].fill_null(MISSING_CATEGORY)
    return bool(filled.eq_missing(filled.first()).all()) if len(filled) else True


def uninformative_numbers(rows: pl.DataFrame, signature: Signature, *, minimum_correlation: float = 0.0) -> list[str]:
    """The numbers that a pipeline drops: without any value, constant, or too little correlated with churn.

    Args:
        rows: rows to fit on.
        signature: inputs of the model.
        minimum_correlation: least absolute correlation with churn of a number that is kept.

    Raises:
        InputError: no informative column is left.
    """
    rows = rows.with_columns(pl.col(name).cast(pl.Float64).fill_nan(None) for name in signature.numbers)
    empty = [name for name in signature.numbers if rows[name].count() == 0]
    if len(empty) == len(signature.columns):
        raise InputError(
            f"no feature has any value in the {rows.height} rows to train on; look at customer_features and the raw tables"
        )
    constant = [name for name in signature.numbers if name not in empty and _is_constant(rows, name, is_number=True)]
    constant_categories = [name for name in signature.categories if _is_constant(rows, name, is_number=False)]
    if len(empty) + len(constant) + len(constant_categories) == len(signature.columns):
        raise InputError(
            f"no feature differs between the {rows.height} rows to train on; look at customer_features and the raw tables"
        )
    without_variation = {*empty, *constant}
    varying = [name for name in signature.numbers if name not in without_variation] if minimum_correlation > 0 else []
    weak = [name for name in varying if correlation(rows, name) < minimum_correlation]
    if len(without_variation) + len(weak) == len(signature.columns):
        raise InputError(
            f"no number is correlated with churn by training.minimum_correlation {minimum_correlation:g}, and there is no category; "
            "lower it"
        )
    return [name for name in signature.numbers if name in without_variation or name in weak]


def correlation(rows: pl.DataFrame, name: str) -> float:
    """The absolute point-biserial correlation of a number with churn, on rows where it is not missing; 0 for a constant."""
    value = rows.select(pl.corr(pl.col(name), pl.col("churned").cast(pl.Float64)).fill_nan(None).abs()).item()
    return 0.0 if value is None else float(value)
