"""Customers whose true probabilities are known, and two models that each know a part of the signals, for ``gate.py``.

Belongs here: the samples, the decisions of the two models and the true difference between them. Does not belong here: the gate's
verdicts on them (``gate``).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.evaluation.profit import profit_by_row, worth
from churn_assets.settings.profit import Profit

SPREAD = 1.6
"""Standard deviation of the true log odds; the AUC of the truth is then about 0.84."""

BASE = -3.4
"""The log odds of an average customer; about 7 % churn."""

KEPT = 0.5
"""The share of a signal's variance that stays from snapshot to snapshot."""

PROFIT = Profit()
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
"""Gauss-Hermite quadrature for a standard normal signal."""


@dataclass(frozen=True)
class Sample:
    """Rows of customers at some snapshots.

    Attributes:
        customers: customer of each row.
        snapshots: number of each row's snapshot, from 0.
        signals: signals ``[rows, 3]`` that both models, the candidate alone, and the champion alone know; standard normal.
        truth: true probability of churn of each row.
        churned: label of each row; a customer who has churned has no later rows.
    """

    customers: pl.Series
    snapshots: np.ndarray
    signals: np.ndarray
    truth: Scores
    churned: Labels


def weights_of(shared: float, difference: float) -> np.ndarray:
    """The weight of each of the three signals in the true log odds."""
    own = 1 - shared
    variances = np.array([shared, own * (1 + difference) / 2, own * (1 - difference) / 2])
    return np.asarray(SPREAD * np.sqrt(variances))


def draw(customers: int, snapshots: int, weights: np.ndarray, generator: np.random.Generator) -> Sample:
    """Draw customers, their signals and their labels."""
    own = generator.normal(size=(customers, 3))
    present = np.ones(customers, dtype=bool)
    by_snapshot = []
    for snapshot in range(snapshots):
        signals = np.sqrt(KEPT) * own + np.sqrt(1 - KEPT) * generator.normal(size=(customers, 3))
        truth = 1 / (1 + np.exp(-(BASE + signals @ weights)))
        churned = generator.random(customers) < truth
        at_risk = np.flatnonzero(present)
        by_snapshot.append((at_risk, np.full(len(at_risk), snapshot), signals[at_risk], truth[at_risk], churned[at_risk]))
        present &= ~churned
    at_risk, when, signals, truth, churned = (np.concatenate(arrays) for arrays in zip(*by_snapshot, strict=True))
    return Sample(pl.Series(at_risk), when, signals, truth, churned)


def knowing(sample: Sample, weights: np.ndarray, *, unknown: int) -> Scores:
    """The probability of churn given all signals but one; it is calibrated, as the unknown signal is integrated out."""
    known = BASE + sample.signals @ np.where(np.arange(3) == unknown, 0.0, weights)
    inside = 1 / (1 + np.exp(-(known[:, None] + weights[unknown] * NODES)))
    return np.asarray(inside @ WEIGHTS / WEIGHTS.sum())


def decisions(sample: Sample, weights: np.ndarray) -> tuple[Scores, Scores, Labels, Labels]:
    """Scores and decisions of the candidate and of the champion, each at the most profitable threshold."""
    kept, wasted = worth(PROFIT)
    pays = -wasted / (kept - wasted)
    ours, theirs = knowing(sample, weights, unknown=2), knowing(sample, weights, unknown=1)
    return ours, theirs, ours >= pays, theirs >= pays


def true_gain(weights: np.ndarray) -> float:
    """The true gain of the candidate over the champion in profit per customer."""
    sample = draw(500_000, 2, weights, np.random.default_rng(0))
    _, _, ours, theirs = decisions(sample, weights)
    expected = [
        sample.truth * profit_by_row(np.ones_like(called), called, PROFIT)
        + (1 - sample.truth) * profit_by_row(np.zeros_like(called), called, PROFIT)
        for called in (ours, theirs)
    ]
    return float(np.mean(expected[0] - expected[1]))
