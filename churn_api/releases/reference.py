"""The release's reference sample, boiled down to what a column of new rows is held against.

Belongs here: deciles, tallies and the population stability index. Does not belong here: a verdict on drift, which is the
graph's (``churn_assets.monitoring``): one request is no window.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_store.errors import ReleaseError
from churn_store.model.psi import Tally, population_stability_index
from churn_store.model.signature import MISSING_CATEGORY, Column, Signature
from churn_store.releases.reference_sample import read_sample

BINS = 10
LEAST_ROWS = 100
"""With fewer rows, chance alone gives any index."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number's deciles and how many rows of the reference lie between them; the last bin is of missing values."""

    edges: npt.NDArray[np.float64]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference sample of a release.

    Attributes:
        rows: its size.
        missing: share of missing values by column.
        numbers: by column.
        words: how often each word occurs, by column; a missing one is ``MISSING_CATEGORY``.
    """

    rows: int
    missing: Mapping[str, float]
    numbers: Mapping[str, Numbers]
    words: Mapping[str, Counter[str]]

    def psi(self, column: Column, values: Sequence[float | str | None]) -> float:
        """The population stability index of new values over the reference's deciles (or its words), as in the graph's drift report.

        Missing values are a bin of their own.

        Args:
            column: of the release.
            values: at least one.

        Returns:
            0 or about 0 without drift; can be slightly negative.
        """
        return population_stability_index(*self._tallies(column, values))

    def _tallies(self, column: Column, values: Sequence[float | str | None]) -> tuple[Tally, Tally]:
        if column.kind == "number":
            known = self.numbers[column.name]
            return known.tally, _binned(known.edges, values)
        before, now = self.words[column.name], Counter(MISSING_CATEGORY if word is None else str(word) for word in values)
        words = sorted({*before, *now})
        return np.array([before[word] for word in words], dtype=np.float64), np.array(
            [now[word] for word in words], np.float64
        )


def read_reference(content: bytes, signature: Signature) -> Reference:
    """Boil a release's ``reference.parquet`` down.

    Raises:
        ReleaseError: no Parquet, damaged, more than a sample, without rows, or without a column of the signature.
    """
    try:
        frame = read_sample(content).select(
            *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in signature.numbers),
            *(pl.col(name).cast(pl.String) for name in signature.categories),
        )
    except pl.exceptions.PolarsError as error:
        raise ReleaseError(f"reference.parquet can't be read: {type(error).__name__}") from error
    if frame.is_empty():
        raise ReleaseError("reference.parquet has no rows")
    return Reference(
        rows=frame.height,
        missing={name: frame[name].null_count() / frame.height for name in signature.names},
        numbers={name: _numbers(frame[name]) for name in signature.numbers},
        words={name: Counter(frame[name].fill_null(MISSING_CATEGORY).to_list()) for name in signature.categories},
    )


def _numbers(values: pl.Series) -> Numbers:
    present = values.drop_nulls().to_numpy()
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(present, inner)) if present.size else np.empty(0)
    return Numbers(edges=edges, tally=_binned(edges, values.to_list()))


def _binned(edges: npt.NDArray[np.float64], values: Sequence[float | str | None]) -> Tally:
    present = np.array([value for value in values if value is not None], dtype=np.float64)
    tally = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return np.append(tally, len(values) - present.size).astype(np.float64)
