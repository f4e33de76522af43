"""The release's reference sample, summarized for comparison with new rows, by column.

Belongs here: deciles, tallies and the population stability index. Does not belong here: a verdict on drift, which the graph
gives (``churn_assets.monitoring``): one request is no window.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churn_store.errors import ReleaseError
from churn_store.model.psi import Tally, population_stability_index
from churn_store.model.signature import MISSING_CATEGORY, Column, Signature, trained_words
from churn_store.releases.reference_sample import read_sample

if TYPE_CHECKING:
    import polars as pl

BINS = 10
LEAST_ROWS = 100
"""Fewest rows for an index; with fewer, chance alone gives any index."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The deciles of a number column, and the number of reference rows in each bin; the last bin holds missing values."""

    edges: npt.NDArray[np.float64]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference sample of a release.

    Attributes:
        rows: size of the sample.
        missing: share of missing values, by column.
        numbers: deciles and tallies, by number column.
        words: count of each category, by category column; a missing one counts as ``MISSING_CATEGORY``.
    """

    rows: int
    missing: Mapping[str, float]
    numbers: Mapping[str, Numbers]
    words: Mapping[str, Counter[str]]

    def psi(self, column: Column, values: Sequence[float | str | None]) -> float:
        """The population stability index of new values over the reference's deciles or categories, as in the graph's drift report.

        Missing values are a bin of their own.

        Args:
            column: column of the release.
            values: new values, at least one.

        Returns:
            The index: about 0 without drift; can be slightly negative.
        """
        return population_stability_index(*self._tallies(column, values))

    def _tallies(self, column: Column, values: Sequence[float | str | None]) -> tuple[Tally, Tally]:
        if column.kind == "number":
            known = self.numbers[column.name]
            return known.tally, _binned(known.edges, values)
        trained = trained_words(column)
        told = (MISSING_CATEGORY if word is None else str(word) for word in values)
        before, now = self.words[column.name], Counter(trained.get(word, word) for word in told)
        words = sorted({*before, *now})
        return np.array([before[word] for word in words], dtype=np.float64), np.array(
            [now[word] for word in words], np.float64
        )


def read_reference(content: bytes, signature: Signature) -> Reference:
    """Summarize a release's ``reference.parquet``.

    Raises:
        ReleaseError: if it is no Parquet, damaged, more than a sample, without rows, or without a column of the signature.
    """
    import polars as pl  # noqa: PLC0415 - half a second that predictions need not wait for

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


def _numbers(values: "pl.Series") -> Numbers:
    present = values.drop_nulls().to_numpy()
    inner = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(present, inner)) if present.size else np.empty(0)
    return Numbers(edges=edges, tally=_binned(edges, values.to_list()))


def _binned(edges: npt.NDArray[np.float64], values: Sequence[float | str | None]) -> Tally:
    present = np.array([value for value in values if value is not None], dtype=np.float64)
    tally = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return np.append(tally, len(values) - present.size).astype(np.float64)
