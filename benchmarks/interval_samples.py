"""Samples of customers of whom the truth is known, for counting how often an interval holds it.

A customer churns by a signal that changes from snapshot to snapshot, and by something that stays and that no model sees. Who churns may come
back and churn again, so the rows of a customer depend on each other strongly: an interval that takes them for those of different
customers is too narrow. The scores of the model are calibrated: they are the probability of churn, given the signal.

Belongs here: what is drawn, and its truth. Does not belong here: which intervals are tried on it (``intervals``).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import brentq

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.evaluation.profit import worth
from churn_assets.settings.profit import Profit

PROFIT = Profit()
SIGNAL, UNSEEN = 1.4, 2.5
"""Standard deviations of the log odds: of what the model sees, and of what stays and nobody sees."""

KEPT = 0.7
"""The share of the signal's variance that stays from snapshot to snapshot."""

SEEN_BY_OTHER = 0.8
"""The correlation of the signal with what the other model sees of it."""

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
POPULATION = 200_000
"""So many customers stand for all."""


@dataclass(frozen=True)
class Cell:
    """What is drawn: how many customers, at how many snapshots, and how many of a hundred churn at each."""

    customers: int
    snapshots: int
    percent: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.customers:,} customers, {self.snapshots} row{'s' if self.snapshots > 1 else ''} each, {self.percent} % churn"


@dataclass(frozen=True)
class Sample:
    """Rows of customers.

    Attributes:
        customers: whose row it is.
        snapshots: which snapshot, from 0.
        churned: what happened.
        scores: of the model.
        other: scores of another model that sees less, such as the champion, an aged model, or a simple rule.
    """

    customers: pl.Series
    snapshots: npt.NDArray[np.int64]
    churned: Labels
    scores: Scores
    other: Scores


def threshold() -> float:
    """The probability from which on asking pays."""
    kept, wasted = worth(PROFIT)
    return -wasted / (kept - wasted)


def draw(cell: Cell, generator: np.random.Generator) -> Sample:
    """Draw a sample; both classes have at least two customers."""
    while True:
        sample = _drawn(cell, generator)
        if min(sample.customers.filter(part).n_unique() for part in (sample.churned, ~sample.churned)) > 1:
            return sample


@cache
def population(percent: int, snapshots: int) -> Sample:
    """All customers, near enough."""
    return _drawn(Cell(POPULATION, snapshots, percent), np.random.default_rng(0))


def _drawn(cell: Cell, generator: np.random.Generator) -> Sample:
    whose = np.tile(np.arange(cell.customers), cell.snapshots)
    own, unseen = generator.normal(size=(2, cell.customers))
    signal = np.sqrt(KEPT) * own[whose] + np.sqrt(1 - KEPT) * generator.normal(size=len(whose))
    other = SEEN_BY_OTHER * signal + np.sqrt(1 - SEEN_BY_OTHER**2) * generator.normal(size=len(whose))
    base = _base(cell.percent)
    return Sample(
        customers=pl.Series(whose),
        snapshots=np.repeat(np.arange(cell.snapshots), cell.customers),
        churned=generator.random(len(whose)) < _sigmoid(base + SIGNAL * signal + UNSEEN * unseen[whose]),
        scores=_averaged(base + SIGNAL * signal, UNSEEN),
        other=_averaged(base + SEEN_BY_OTHER * SIGNAL * other, np.hypot(SIGNAL * np.sqrt(1 - SEEN_BY_OTHER**2), UNSEEN)),
    )


@cache
def _base(percent: int) -> float:
    """The log odds of an average customer."""
    spread = np.array([np.hypot(SIGNAL, UNSEEN)])
    return float(brentq(lambda base: float(_averaged(np.array([base]), spread)[0]) - percent / 100, -15, 5))


def _averaged(log_odds: Scores, spread: float | Scores) -> Scores:
    """The probability of churn, averaged over what is not seen."""
    return np.asarray(_sigmoid(log_odds[:, None] + spread * NODES) @ WEIGHTS / WEIGHTS.sum())


def _sigmoid(values: Scores) -> Scores:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))
