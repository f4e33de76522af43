"""Worlds for the benchmark of degradation: companies by the simulator's own law, month after month, and releases that serve them.

A world has a season and months that differ by chance, a company that grows, customers who come back each month with a hidden state that
moves slowly, and models that see only a part of it. Nothing changes in it, or one thing does. A year after the other a new release
replaces the former one, trained and judged on the months before, as the product does.

Does not belong here: whether a release has degraded (``churn_assets.performance.degradation``), and what is promised (``degradation``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression

from churn_assets.evaluation import calibration
from churn_assets.evaluation.measures import Labels, Scores, log_losses
from churn_assets.performance.excess import NORMAL_REACH, GateFigure
from churn_assets.simulator.customers import COUNTRIES, COUNTRY_SHARES
from churn_assets.simulator.law import (
    ENGAGEMENT_OF_STATE,
    FRICTION_OF_STATE,
    GONE,
    PLAN_OF_STATE,
    PLANS,
    TICKETS_PER_DAY,
    Effects,
    Floats,
    Integers,
    Law,
    arrival_distribution,
)
from churn_assets.simulator.rows import SESSIONS_PER_DAY
from churn_assets.simulator.scenarios import EFFECTS

MONTHLY_CHURN = 0.06
DAYS = 30
BILLS = 1
FITTED, CALIBRATED, JUDGED = 6, 2, 2
"""Months that a release is fitted, calibrated and judged on."""

BEFORE = FITTED + CALIBRATED + JUDGED
SERVES = 12
"""Months until the next release."""

SESSIONS = DAYS * SESSIONS_PER_DAY
"""Mean sessions in 30 days at each level of engagement, of which the model sees the number alone."""

TRACES = 1.6
"""Rows that tell of friction, for each ticket."""

GRID = 0.01
"""Shifts of the hazard are rounded to it, so that equal months share a matrix."""


@dataclass(frozen=True)
class World:
    """A company.

    Attributes:
        seed: seed of everything that happens in it.
        customers: customers at the beginning.
        growth: new customers in a month above those who replace who left, as a share of all.
        season: greatest shift of the log odds of leaving on a day within a year.
        chance: standard deviation of the shift of a month by chance.
        change: effects from ``change_at`` on; ``None`` where nothing changes.
        change_at: month of the change.
    """

    seed: int
    customers: int = 7_400
    growth: float = 0.01
    season: float = 0.15
    chance: float = 0.07
    change: Effects | None = None
    change_at: int = 0


@dataclass(frozen=True)
class Month:
    """A mature snapshot, as it was served.

    Attributes:
        number: number of the month, counted from the first that is served.
        release: number of the release.
        gate: what the gate found of it.
    """

    number: int
    release: int
    gate: GateFigure
    churned: Labels
    scores: Scores
    customers: pl.Series
    plan: Integers
    country: Integers


COMPETITOR = EFFECTS["competitor"]


@cache
def _steps(shift: int, effects: Effects) -> Floats:
    """Cumulative probabilities of the state after 30 days with one bill, one row above the other for a single search."""
    law = Law(_law().intercept + shift * GRID, effects)
    without, with_bill = law.transition
    half = np.linalg.matrix_power(without, DAYS // 2)
    whole = half @ with_bill @ np.linalg.matrix_power(without, DAYS - DAYS // 2 - BILLS)
    cumulative = np.minimum(np.cumsum(whole, axis=1), 1.0)
    cumulative[:, -1] = 1.0
    stacked: Floats = (cumulative + np.arange(GONE + 1)[:, None]).ravel()
    return stacked


@cache
def _law() -> Law:
    return Law.calibrated(MONTHLY_CHURN)


def months(world: World, served: int) -> Iterator[Month]:
    """The months of a world that are served, each with the release that serves it."""
    random = np.random.default_rng(world.seed)
    rows: list[tuple[Floats, Labels, Integers, Integers, Integers]] = []
    phase = random.uniform(0, 2 * np.pi)
    existing, arriving = _law().existing(), arrival_distribution()
    state = random.choice(GONE, world.customers, p=existing)
    ids = np.arange(world.customers)
    country = random.choice(len(COUNTRIES), world.customers, p=COUNTRY_SHARES)
    release, model = -1, None
    for number in range(-BEFORE, served):
        shift = world.season * np.sin(2 * np.pi * number / 12 + phase) + world.chance * random.standard_normal()
        is_changed = world.change is not None and number >= world.change_at
        effects = world.change if is_changed and world.change is not None else Effects()
        after = np.searchsorted(_steps(round(shift / GRID), effects), state + random.random(len(state)), side="right")
        after -= state * (GONE + 1)
        churned = after == GONE
        seen = features(state, random)
        rows.append((seen, churned, ids, PLAN_OF_STATE[state], country))
        if number >= 0:
            if number % SERVES == 0:
                release, model = release + 1, Release(rows[-BEFORE - 1 : -1])
            assert model is not None
            customers = pl.Series(ids)
            yield Month(number, release, model.gate, churned, model.scores(seen), customers, PLAN_OF_STATE[state], country)
        rows = rows[-BEFORE:]
        stays = ~churned
        new = int(churned.sum() + round(world.growth * len(state)))
        state = np.concatenate([after[stays], random.choice(GONE, new, p=arriving)])
        first = int(ids.max()) + 1 if len(ids) else 0
        ids = np.concatenate([ids[stays], np.arange(first, first + new)])
        country = np.concatenate([country[stays], random.choice(len(COUNTRIES), new, p=COUNTRY_SHARES)])


def features(state: Integers, random: np.random.Generator) -> Floats:
    """What the tables show of customers: the plan, sessions and tickets of a month; friction and engagement are hidden."""
    sessions = random.poisson(SESSIONS[ENGAGEMENT_OF_STATE[state]])
    tickets = random.poisson(TRACES * DAYS * TICKETS_PER_DAY[FRICTION_OF_STATE[state]])
    trouble = np.minimum(tickets, 4)
    plan = PLAN_OF_STATE[state]
    used = np.log1p(sessions)
    return np.column_stack(
        [*(plan == word for word in range(1, len(PLANS))), used, used**2, trouble, np.sqrt(trouble)]
    ).astype(float)


class Release:
    """A model as the product makes one: fitted, then calibrated and judged on later months.

    Args:
        rows: features, labels and more of ``BEFORE`` months.
    """

    def __init__(self, rows: list[tuple[Floats, Labels, Integers, Integers, Integers]]) -> None:
        fit, calibrate, judge = rows[:FITTED], rows[FITTED:-JUDGED], rows[-JUDGED:]
        self._model = LogisticRegression(C=1.0, solver="newton-cholesky").fit(
            np.concatenate([part[0] for part in fit]), np.concatenate([part[1] for part in fit])
        )
        left = np.concatenate([part[1] for part in calibrate]).astype(float)
        odds = self._model.decision_function(np.concatenate([part[0] for part in calibrate]))
        self._centre = float(odds.mean())
        self._at = calibration.slope(left, odds, np.ones(len(left)))
        churned, scores = (
            np.concatenate([part[1] for part in judge]),
            self.scores(np.concatenate([part[0] for part in judge])),
        )
        self.gate = gate_figure(churned, scores)

    def scores(self, seen: Floats) -> Scores:
        """The probabilities."""
        odds = self._at[0] + self._at[1] * (self._model.decision_function(seen) - self._centre)
        return np.asarray(0.5 * (1 + np.tanh(odds / 2)))


def gate_figure(churned: Labels, scores: Scores) -> GateFigure:
    """What a gate finds on its rows, as a manifest holds it; the error of the slope is that of its information."""
    odds, ones = calibration.log_odds(scores), np.ones(len(scores))
    slope = calibration.slope(churned.astype(float), odds, ones)[1]
    spread = scores * (1 - scores)
    centred = odds - np.average(odds, weights=spread)
    error = 1 / np.sqrt(np.sum(spread * centred**2))
    low, high = slope - NORMAL_REACH * error, slope + NORMAL_REACH * error
    return GateFigure(slope, (high - low) / (2 * NORMAL_REACH), len(scores), float(log_losses(churned, scores).mean()))
