"""A unit that has changed: the numbers of a column are a known factor larger or smaller than before.

The distribution of the logarithms is compared with that of earlier periods, moved by each known factor, for all rows or for a part of
them. It counts as a changed unit where this explains the new distribution, which has moved further than the column ever does. Distances
are those of Wasserstein on the logarithms, in decades, so that a price that rises is a small distance and a wide distribution is judged as
sharply as a narrow one.

Belongs here: the comparison of two distributions. Does not belong here: how they are counted (``profile``).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from churn_assets.quality.fault import Fault
from churn_assets.quality.findings import UNIT
from churn_assets.quality.profile import BINS_PER_DECADE, Profile
from churn_assets.settings.quality import Quality

Floats = npt.NDArray[np.float64]

FACTORS: Final = (10, 60, 100, 1000)
"""Known factors, up and down: digits, minutes and hours, hundredths, thousandths."""

SHARES: Final = tuple(tenths / 10 for tenths in range(10, 0, -1))
"""The shares of rows that may have another unit, the largest first."""

LEAST_BLOCKING_SHARE: Final = 0.5
"""A new unit in fewer rows is reported alone: a company that begins to sell by the year has payments ten times as large."""

LEAST_ROWS: Final = 20
"""A column with fewer positive values is not judged."""

REFERENCE: Final = 3
"""The number of newest earlier periods that make the distribution of before."""

LEAST_DECADES: Final = 0.1
"""A shorter distance is no changed unit."""

TIMES_USUAL: Final = 4.0
"""How many times as far as the column usually moves a distribution must have moved."""

UNEXPLAINED: Final = 0.2
"""The largest part of the distance that may remain once a factor is taken into account."""


@dataclass(frozen=True)
class UnitChange:
    """A factor that explains a distribution.

    Attributes:
        factor: new value by old value.
        share: share of the rows that have it.
    """

    factor: float
    share: float

    def __str__(self) -> str:
        """The factor in words."""
        return f"{self.factor:g} times as large" if self.factor > 1 else f"{round(1 / self.factor):g} times as small"


def unit_changes(now: Profile, before: Sequence[Profile], rules: Quality) -> Iterator[Fault]:  # noqa: ARG001 - as all rules
    """Columns of numbers whose unit has changed."""
    for name, column in now.columns.items():
        earlier = [logs for one in before if name in one.columns and _enough(logs := one.columns[name].logarithms)]
        if not _enough(column.logarithms) or len(earlier) < REFERENCE:
            continue
        change = unit_change(column.logarithms, earlier)
        if change is not None:
            yield Fault(
                UNIT,
                f"{change.share:.0%} of the values of {name} are {change} as before",
                f"the unit of the {len(earlier)} earlier periods",
                column=name,
                blocking=change.share >= LEAST_BLOCKING_SHARE,
            )


def unit_change(now: Mapping[int, int], earlier: Sequence[Mapping[int, int]]) -> UnitChange | None:
    """The known factor by which a distribution has moved; `None` where none explains it.

    Args:
        now: positive values by bin of their logarithm.
        earlier: those of earlier periods, the oldest first.
    """
    reference: dict[int, float] = {}
    for one in earlier[-REFERENCE:]:
        rows = sum(one.values())
        for log, count in one.items():
            reference[log] = reference.get(log, 0.0) + count / rows
    longest = math.ceil(math.log10(FACTORS[-1]) * BINS_PER_DECADE) + 1
    bins = [*now, *(log for one in earlier for log in one)]
    first, size = min(bins) - longest, max(bins) - min(bins) + 2 * longest + 2
    usual = max(
        (_distance(_cumulated(a, first, size), _cumulated(b, first, size)) for a, b in pairwise(earlier)), default=0.0
    )
    there, then = _cumulated(now, first, size), _cumulated(reference, first, size)
    moved = _distance(there, then)
    if moved < max(LEAST_DECADES, TIMES_USUAL * usual):
        return None
    remaining, change = min(
        (
            (_distance(there, (1 - share) * then + share * _moved(then, factor)), UnitChange(factor, share))
            for known in FACTORS
            for factor in (float(known), 1 / known)
            for share in SHARES
        ),
        key=lambda tried: tried[0],
    )
    return change if remaining <= UNEXPLAINED * moved else None


def _enough(logarithms: Mapping[int, int]) -> bool:
    return sum(logarithms.values()) >= LEAST_ROWS


def _cumulated(logarithms: Mapping[int, float], first: int, size: int) -> Floats:
    counts = np.zeros(size)
    counts[np.array(list(logarithms), dtype=np.int64) - first] = list(logarithms.values())
    return np.asarray(counts.cumsum() / counts.sum(), dtype=np.float64)


def _moved(cumulated: Floats, factor: float) -> Floats:
    """A cumulated distribution moved by a factor, between bins by interpolation."""
    place = np.arange(len(cumulated)) - math.log10(factor) * BINS_PER_DECADE
    return np.asarray(np.interp(place, np.arange(len(cumulated)), cumulated, left=0.0, right=1.0), dtype=np.float64)


def _distance(one: Floats, other: Floats) -> float:
    """The Wasserstein distance of two cumulated distributions, in decades."""
    return float(np.abs(one - other).sum()) / BINS_PER_DECADE
