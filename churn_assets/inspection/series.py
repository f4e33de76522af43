"""Figures of a column, as the numbers that they are: polars types them as anything that a column can hold."""

from typing import cast

import polars as pl


def share(flags: pl.Series) -> float:
    """The share of rows that are true; 0 without rows."""
    return cast("float", flags.mean() or 0.0)


def least(values: pl.Series) -> float:
    """The smallest number; 0 without rows."""
    return cast("float", values.min() or 0)


def most(values: pl.Series) -> float:
    """The largest number; 0 without rows."""
    return cast("float", values.max() or 0)
