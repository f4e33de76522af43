"""Counts rows whose id another row has, too: such scores can't be joined row by row.

Belongs here: counting in little memory, 8 bytes a row. Does not belong here: what an id is (``rows``).
"""

import numpy as np
import numpy.typing as npt
import polars as pl


class RepeatedIds:
    """The ids of a file, as 64-bit digests; two ids have the same one with a chance of 1 in 10 million in a million rows."""

    def __init__(self) -> None:
        self._digests: list[npt.NDArray[np.uint64]] = []

    def add(self, ids: pl.Series) -> None:
        """Count ids."""
        self._digests.append(ids.cast(pl.String).hash().to_numpy())

    def rows(self) -> int:
        """The number of rows whose id occurs more than once."""
        if not self._digests:
            return 0
        _, counts = np.unique(np.concatenate(self._digests), return_counts=True)
        return int(counts[counts > 1].sum())
