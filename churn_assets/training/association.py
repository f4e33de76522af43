"""How strongly two columns go together, from 0 to 1, whatever their kinds.

Belongs here: the measure. Does not belong here: what follows from it (``reason_plan``).
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_store.model.signature import MISSING_CATEGORY

LEAST_ROWS: Final = 50
"""Of fewer rows in which both are known nothing is said."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def association(left: pl.Series, right: pl.Series) -> float:
    """The strength of the association of two columns.

    Two numbers: Spearman's correlation, absolute, on rows where both are known. A number and words: the square root of epsilon squared of
    the number's ranks (Kelley 1935), which is about 0 for unrelated columns also where there are many words. Words and words: Cramer's V
    with the correction of Bergsma (2013).

    Args:
        left: numbers or texts; a missing text is a word of its own.
        right: as many of the other column.
    """
    if left.dtype == pl.String and right.dtype == pl.String:
        return _of_words(_codes(left), _codes(right))
    if left.dtype == pl.String:
        left, right = right, left
    numbers = left.cast(pl.Float64).fill_nan(None)
    known = numbers.is_not_null()
    if right.dtype == pl.String:
        if int(known.sum()) < LEAST_ROWS:
            return 0.0
        return _of_number_and_words(_ranks(numbers.filter(known)), _codes(right.filter(known)))
    others = right.cast(pl.Float64).fill_nan(None)
    both = known & others.is_not_null()
    if int(both.sum()) < LEAST_ROWS:
        return 0.0
    return _of_numbers(_ranks(numbers.filter(both)), _ranks(others.filter(both)))


def _ranks(values: pl.Series) -> Floats:
    return values.rank("average").to_numpy().astype(np.float64)


def _codes(words: pl.Series) -> Codes:
    _, codes = np.unique(words.fill_null(MISSING_CATEGORY).to_numpy().astype(str), return_inverse=True)
    return codes.astype(np.int64)


def _of_numbers(left: Floats, right: Floats) -> float:
    left, right = left - left.mean(), right - right.mean()
    spread = float(np.sqrt((left @ left) * (right @ right)))
    return abs(float(left @ right)) / spread if spread else 0.0


def _of_number_and_words(ranks: Floats, codes: Codes) -> float:
    total = float(((ranks - ranks.mean()) ** 2).sum())
    sizes = np.bincount(codes)
    words = int((sizes > 0).sum())
    if not total or words < 2 or len(ranks) <= words:  # noqa: PLR2004 - one word tells nothing
        return 0.0
    means = np.bincount(codes, ranks) / np.maximum(sizes, 1)
    within = float(((ranks - means[codes]) ** 2).sum())
    return float(np.sqrt(max(0.0, 1 - within / total * (len(ranks) - 1) / (len(ranks) - words))))


def _of_words(left: Codes, right: Codes) -> float:
    counts = np.zeros((left.max() + 1, right.max() + 1))
    np.add.at(counts, (left, right), 1)
    rows, (height, width) = counts.sum(), counts.shape
    if min(height, width) == 1 or rows < LEAST_ROWS:
        return 0.0
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / rows
    squared = float(((counts - expected) ** 2 / expected).sum()) / rows
    unbiased = max(0.0, squared - (height - 1) * (width - 1) / (rows - 1))
    least = min(height - (height - 1) ** 2 / (rows - 1), width - (width - 1) ** 2 / (rows - 1))
    return float(np.sqrt(unbiased / (least - 1))) if least > 1 else 0.0
