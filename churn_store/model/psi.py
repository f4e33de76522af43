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
    population stability index), which is subtracted. An empty bin counts as half a row; one that is empty in both does not count.

    Args:
        before: tally of the reference, at least one row.
        now: tally of the rows that are compared with it, at least one row.

    Returns:
        The index: about 0 without drift; can be slightly negative.
    """
    n, m = before.sum(), now.sum()
    occupied = (before + now) > 0
    p = np.maximum(before[occupied], 0.5) / n
    q = np.maximum(now[occupied], 0.5) / m
    bias = (occupied.sum() - 1) * (1 / n + 1 / m)
    return float(np.sum((q - p) * np.log(q / p)) - bias)
