"""What the drift rule says of every feature in every window of a year, as arrays ``[window, feature]``.

It calls the rule's own statistics, cut and correction, without those that are only shown; a test holds it to ``judge_windows``. Belongs here: the
rule on a replay. Does not belong here: the replay (``replays``), and counting (``figures``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn_assets.detector.replays import Year
from churn_assets.monitoring.drift import Baseline
from churn_assets.monitoring.drift_cuts import cut
from churn_assets.monitoring.drift_statistics import Sample, corrected, p_value
from churn_assets.settings.monitoring import Monitoring
from churn_store.model.psi import population_stability_index

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """The figures that decide, each ``[window, feature]``.

    Attributes:
        p: p values before correction.
        psi: bias-corrected population stability indices.
        cut: cuts.
    """

    p: Numbers
    psi: Numbers
    cut: Numbers

    def drifted(self, rule: Monitoring) -> Flags:
        """Which features moved materially in which window."""
        significant = corrected(self.p) < rule.significance
        return np.asarray(significant & (self.psi > self.cut))

    def part(self, windows: slice) -> "Moves":
        """Those of some windows."""
        return Moves(self.p[windows].copy(), self.psi[windows].copy(), self.cut[windows].copy())


def moves_of(year: Year, rule: Monitoring) -> Moves:
    """The rule's figures of all windows of a year."""
    names = [column.name for column in year.columns]
    found = np.array([[figures(year.baseline, name, window[name], rule) for name in names] for window in year.windows])
    return Moves(found[:, :, 0], found[:, :, 1], found[:, :, 2])


def figures(baseline: Baseline, name: str, now: Sample, rule: Monitoring) -> tuple[float, float, float]:
    """P value, PSI and cut of a column in a window."""
    before, tallies = baseline.samples[name], (baseline.tallies[name], baseline.bins[name].tally(now))
    moved = population_stability_index(*tallies)
    return p_value(before, now, tallies), moved, cut(tallies[0], now.rows, baseline.usual[name], rule.effect)


def alerts(drifted: Flags, rule: Monitoring) -> Flags:
    """Which features are an alert at each window: they moved in ``rule.agreeing`` of the newest ``rule.windows``."""
    votes = np.array([drifted[max(0, place - rule.windows + 1) : place + 1].sum(axis=0) for place in range(len(drifted))])
    return np.asarray(votes >= rule.agreeing)


def first_alert(alerts_of_feature: Sequence[bool] | Flags) -> int | None:
    """The number of windows until the first alert, 1 for the first window; ``None`` without one."""
    found = np.flatnonzero(np.asarray(alerts_of_feature))
    return int(found[0]) + 1 if found.size else None
