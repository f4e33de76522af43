"""Which PSI of a column is still usual in a window: the cut of the drift rule. It falls with the rows.

Without any change a window shows two things. Chance: its rows are a sample, and so are the reference's. And what the year does anyway:
seasons, growth, the days of the month. The first follows from the numbers of rows and bins, the second is learned from windows that came before the
release.

Belongs here: what is usual. Does not belong here: the statistics (``drift_statistics``) and the verdict (``drift``). ``docs/drift.md`` has the
error rates that follow from the constants, and the decision 0053 how they were chosen.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
import scipy

from churn_store.model.psi import Tally, population_stability_index

LEAST_ROWS = 100
"""The least number of rows of a window or of a usual one that is judged."""

CHANCE = 1e-4
"""The probability that chance alone carries a feature of a window above its cut. There are some 45 features, and successive windows hold the
same customers."""

MARGIN = 2.0
"""How many times the greatest usual move is still usual: no year is like the other."""

SUCCESSIVE = 3
"""The number of successive usual windows whose moves are averaged. An alert needs several windows too, and one odd month is not usual."""

MOST_ALLOWED = 0.5
"""The upper limit of a cut: a greater PSI matters whatever was usual, unless the configured effect is greater still. One broken month before
the release must not switch the judging of a feature off."""

YEAR = timedelta(days=365)
MOST_USUAL = 18
"""The greatest number of windows from before the release that are read, spread over a year."""


MOST_ROWS = 20_000
"""The greatest number of rows of a usual window that count."""


@dataclass(frozen=True)
class Usual:
    """How far a feature has moved without a change of the world.

    Attributes:
        move: PSI of the greatest usual move, less what chance adds to it; 0 where no usual window is known.
        windows: number of usual windows that it was learned from.
    """

    move: float
    windows: int


def usual_move(baseline: Tally, snapshots: Sequence[Tally], past: Sequence[Tally]) -> Usual:
    """The greatest usual move of a feature.

    Moves of successive windows are averaged, and of each one standard deviation under chance is subtracted, as the greatest of many would be
    great by chance alone.

    Args:
        baseline: rows of the reference in the bins.
        snapshots: rows of each of its snapshots, in the order of time; each is compared with the others.
        past: rows of other windows from before the release, likewise; each is compared with the reference.
    """
    series = [[(baseline - one, one) for one in snapshots], [(baseline, one) for one in past]]
    moves = [[_beyond_chance(*pair) for pair in pairs if min(map(np.sum, pair)) >= LEAST_ROWS] for pairs in series]
    return Usual(max([0.0, *map(_greatest_stretch, moves)]), sum(map(len, moves)))


def cut(before: Tally, now_rows: int, usual: Usual, effect: float) -> float:
    """The PSI up to which a feature's move does not matter in a window.

    The index times ``1 / (1/n + 1/m)``, with its bias, follows nearly a chi-square distribution with ``bins - 1`` degrees of freedom (Yurdakul
    2018), and where the shares have moved, a noncentral one, as Pearson's statistic does; its quantile is Patnaik's (1949). The cut is the
    quantile at ``1 - CHANCE`` after a usual move, between the configured effect and ``MOST_ALLOWED``.

    Args:
        before: rows of the reference in the bins.
        now_rows: rows of the window.
        usual: greatest usual move of the feature.
        effect: least cut, whatever the rows.
    """
    unit, freedom = 1 / before.sum() + 1 / now_rows, _freedom(before)
    moved = MARGIN * usual.move / unit
    scale = (freedom + 2 * moved) / (freedom + moved)
    reached = scale * scipy.special.chdtri((freedom + moved) / scale, CHANCE)
    return max(effect, min(float(unit * (reached - freedom)), MOST_ALLOWED))


def usual_periods(periods: Iterable[str], trained_on: Collection[str]) -> list[str]:
    """The windows from before the release that tell what is usual: of the year up to its newest training snapshot, evenly spread.

    Args:
        periods: keys of all snapshots that the lake has.
        trained_on: keys of the reference's snapshots, which are known already; none are usual without them.
    """
    if not trained_on:
        return []
    newest = max(trained_on)
    first = (date.fromisoformat(newest) - YEAR).isoformat()
    found = sorted(key for key in periods if first < key < newest and key not in trained_on)
    if len(found) <= MOST_USUAL:
        return found
    return [found[place] for place in np.linspace(0, len(found) - 1, MOST_USUAL).round().astype(int)]


def sampled_window(rows: pl.DataFrame) -> pl.DataFrame:
    """At most ``MOST_ROWS`` rows, the same ones each time: more would say nothing more about what is usual."""
    return rows.gather_every(-(-rows.height // MOST_ROWS)) if rows.height > MOST_ROWS else rows


def _freedom(tally: Tally) -> int:
    return max(1, int((tally > 0).sum()) - 1)


def _beyond_chance(before: Tally, now: Tally) -> float:
    """The index less its standard deviation under chance."""
    deviation = (1 / before.sum() + 1 / now.sum()) * np.sqrt(2 * _freedom(before + now))
    return float(population_stability_index(before, now) - deviation)


def _greatest_stretch(moves: Sequence[float]) -> float:
    """The greatest mean of ``SUCCESSIVE`` moves in a row, or of all if there are fewer; 0 for none."""
    stretches = range(max(1, len(moves) - SUCCESSIVE + 1)) if moves else ()
    return max((float(np.mean(moves[first : first + SUCCESSIVE])) for first in stretches), default=0.0)
