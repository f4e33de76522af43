"""The population stability index: how far the shares of bins have moved.

Belongs here: the formula, which the graph's drift report and the service's validation share. Does not belong here: which bins there
are, and from which value on a shift matters.
"""

import numpy as np
import numpy.typing as npt

Tally = npt.NDArray[np.float64]
"""Number of rows in each bin."""


def population_stability_index(before: Tally, now: Tally) -> float:
    """Population stability index of two tallies of the same bins, less its bias under no drift.

    The index is ``sum((q - p) ln(q / p))`` over the bins (Siddiqi 2006, Credit Risk Scorecards, ch. 10). Under no drift its
    expectation is about ``(bins - 1) (1/n + 1/m)``, by the chi-square argument (Yurdakul 2018, Statistical properties of the
    population stability index), which is subtracted. A bin has at least half a row of the smaller tally, as that can't be told from
    none; a bin that is empty in both does not count.

    Args:
        before: tally of the reference, at least one row.
        now: tally of the rows that are compared with it, at least one row.

    Returns:
        The index: about 0 without drift; can be slightly negative.
    """
    n, m = before.sum(), now.sum()
    occupied = (before + now) > 0
    least = 0.5 / min(n, m)
    p, q = np.maximum(before[occupied] / n, least), np.maximum(now[occupied] / m, least)
    bias = (occupied.sum() - 1) * (1 / n + 1 / m)
    return float(np.sum((q - p) * np.log(q / p)) - bias)
