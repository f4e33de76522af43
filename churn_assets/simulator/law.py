"""The law of the synthetic company: the Markov chain that decides who leaves, and its exact predictions.

Belongs here: the state of a customer, the possible outcomes of a day with their probabilities, and the probability of leaving that
follows. Does not belong here: which effects a scenario changes (``scenarios``), random numbers (``customers``) and rows (``rows``).

The state of a customer at 00:00 UTC of a day is (plan, friction, engagement), numbered
``(plan * FRICTION_LEVELS + friction) * ENGAGEMENT_LEVELS + engagement``. On each day exactly one outcome is drawn: the
customer leaves, or stays and meets one of the troubles, one of ``MOVES`` of the engagement and one of
``PLAN_CHANGES``. The hazard of leaving on a day is logistic in the state::

    logit h = intercept + effects.plan[plan] + effects.friction * friction + effects.engagement[engagement]

The effects may change on a day; the hazard then follows from the state and the day's law. Simulation and prediction read the same
tables of outcomes, so the prediction is exact by construction: it is the absorption probability
of a finite Markov chain (Kemeny and Snell, "Finite Markov Chains", 1960, chapter 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
States = npt.NDArray[np.uint8]

PLANS = ("free", "basic", "pro")
FRICTION_LEVELS = 4
ENGAGEMENT_LEVELS = 6
SHAPE = (len(PLANS), FRICTION_LEVELS, ENGAGEMENT_LEVELS)
GONE = len(PLANS) * FRICTION_LEVELS * ENGAGEMENT_LEVELS
"""The absorbing state: the customer has left."""
PLAN_OF_STATE, FRICTION_OF_STATE, ENGAGEMENT_OF_STATE = np.unravel_index(np.arange(GONE), SHAPE)

NO_TROUBLE, TICKET, FAILED_PAYMENT, RELIEF = range(4)
FRICTION_CHANGE = np.array([0, 1, 2, -1])
MOVES = np.array([0, -1, 1])
PLAN_CHANGES = np.array([0, -1, 1])
OUTCOMES = len(FRICTION_CHANGE) * len(MOVES) * len(PLAN_CHANGES) + 1
NOTHING, LEAVES = 0, OUTCOMES - 1
"""The first outcome, a day on which the state stays as it is, and the last one, leaving."""
TROUBLE_OF_OUTCOME, MOVE_OF_OUTCOME, PLAN_CHANGE_OF_OUTCOME = (
    np.append(part.ravel(), 0) for part in np.meshgrid(np.arange(len(FRICTION_CHANGE)), MOVES, PLAN_CHANGES, indexing="ij")
)


@dataclass(frozen=True)
class Effects:
    """The effects that a scenario may change from a day on.

    Attributes:
        plan: effect of each plan on the logit of the daily hazard.
        friction: effect of a level of friction on that logit.
        engagement: effect of each level of engagement on that logit.
        downgrades_per_day: probability that a paid plan becomes the next cheaper one.
    """

    plan: tuple[float, ...] = (1.2, 0.0, -1.2)
    friction: float = 0.9
    engagement: tuple[float, ...] = (0.0, -0.6, -1.5, -2.5, -3.3, -3.9)
    downgrades_per_day: float = 0.0006


TICKETS_PER_DAY = 0.0045 * 3.5 ** np.arange(FRICTION_LEVELS)
FAILURES_PER_BILL = 0.05
RELIEF_PER_DAY = 1 / 14
"""The probabilities by which friction rises (trouble breeds tickets), and by which it falls by a level."""

DOWN_PER_DAY = 0.0007 * 2.2 ** np.arange(FRICTION_LEVELS)
UP_PER_DAY = 0.0005
"""The probabilities that engagement falls or rises by a level, so slowly that 90 days reveal it; friction makes it fall more often."""

UPGRADES_PER_DAY = 0.0003

ARRIVAL_PLAN = (0.40, 0.40, 0.20)
ARRIVAL_ENGAGEMENT = np.array([0.06, 0.15, 0.27, 0.29, 0.16, 0.07])
"""The shares of plans and levels of engagement among new customers, who have no friction."""

DAYS_PER_BILL = 365.25 / 12
CALIBRATED_DAYS = 30
CALIBRATION_TOLERANCE = 1e-9


def arrival_distribution(plan_shares: Sequence[float] = ARRIVAL_PLAN) -> Floats:
    """Probability of each state at sign-up, shape (GONE,): no friction, plan and engagement independent."""
    distribution = np.zeros(SHAPE)
    distribution[:, 0, :] = np.outer(plan_shares, ARRIVAL_ENGAGEMENT)
    return distribution.ravel()


def next_states() -> Integers:
    """The state after each outcome, shape (GONE + 1, OUTCOMES); levels stop at their ends, ``GONE`` stays ``GONE``."""
    plan = np.clip(PLAN_OF_STATE[:, None] + PLAN_CHANGE_OF_OUTCOME, 0, SHAPE[0] - 1)
    friction = np.clip(FRICTION_OF_STATE[:, None] + FRICTION_CHANGE[TROUBLE_OF_OUTCOME], 0, SHAPE[1] - 1)
    engagement = np.clip(ENGAGEMENT_OF_STATE[:, None] + MOVE_OF_OUTCOME, 0, SHAPE[2] - 1)
    states = np.full((GONE + 1, OUTCOMES), GONE)
    states[:GONE, :LEAVES] = np.ravel_multi_index((plan, friction, engagement), SHAPE)[:, :LEAVES]
    return states


def outcome_probabilities(intercept: float, effects: Effects) -> Floats:
    """Probability of each outcome of a day, shape (2, GONE + 1, OUTCOMES): without a bill due, and with one.

    A change past the last level has probability 0, and only paid plans have bills that can fail.
    """
    hazard = 1 / (1 + np.exp(-(intercept + linear_predictor(effects))))
    probabilities = np.zeros((2, GONE + 1, OUTCOMES))
    for bill_due in (0, 1):
        ticket = TICKETS_PER_DAY[FRICTION_OF_STATE]
        failure = bill_due * FAILURES_PER_BILL * (PLAN_OF_STATE > 0)
        relief = RELIEF_PER_DAY * (FRICTION_OF_STATE > 0)
        down = DOWN_PER_DAY[FRICTION_OF_STATE] * (ENGAGEMENT_OF_STATE > 0)
        up = UP_PER_DAY * (SHAPE[2] > ENGAGEMENT_OF_STATE + 1)
        downgrade = effects.downgrades_per_day * (PLAN_OF_STATE > 0)
        upgrade = UPGRADES_PER_DAY * (SHAPE[0] > PLAN_OF_STATE + 1)
        trouble = np.stack([1 - ticket - failure - relief, ticket, failure, relief])
        move = np.stack([1 - down - up, down, up])
        plan_change = np.stack([1 - downgrade - upgrade, downgrade, upgrade])
        staying = np.einsum("ts,ms,ps->stmp", trouble, move, plan_change).reshape(GONE, LEAVES)
        probabilities[bill_due, :GONE, :LEAVES] = staying * (1 - hazard)[:, None]
        probabilities[bill_due, :GONE, LEAVES] = hazard
    probabilities[:, GONE, NOTHING] = 1
    return probabilities


def linear_predictor(effects: Effects) -> Floats:
    """The logit of the daily hazard without its intercept, shape (GONE,)."""
    plan, engagement = np.array(effects.plan), np.array(effects.engagement)
    logit: Floats = plan[PLAN_OF_STATE] + effects.friction * FRICTION_OF_STATE + engagement[ENGAGEMENT_OF_STATE]
    return logit


class Law:
    """The chain of a day.

    Attributes:
        intercept: intercept of the hazard's logit.
        next_state: state after each outcome, shape (GONE + 1, OUTCOMES).
        probability: probability of each outcome, shape (2, GONE + 1, OUTCOMES), by whether a bill is due on the day.
        cumulative: cumulative probability over the outcomes, shape (2 * (GONE + 1), OUTCOMES).
        transition: daily transition matrices between the states, shape (2, GONE + 1, GONE + 1).
    """

    def __init__(self, intercept: float, effects: Effects) -> None:
        self.intercept = intercept
        self.next_state = next_states()
        self.probability = outcome_probabilities(intercept, effects)
        self.cumulative = np.cumsum(self.probability, axis=2).reshape(-1, OUTCOMES)
        self.transition = np.zeros((2, GONE + 1, GONE + 1))
        for bill_due in (0, 1):
            rows = np.broadcast_to(np.arange(GONE + 1)[:, None], self.next_state.shape)
            np.add.at(self.transition[bill_due], (rows, self.next_state), self.probability[bill_due])
        self._average = (1 - 1 / DAYS_PER_BILL) * self.transition[0] + self.transition[1] / DAYS_PER_BILL

    @classmethod
    def calibrated(cls, monthly_churn: float) -> "Law":
        """The law with default effects under which the share ``monthly_churn`` of customers leave within 30 days.

        The intercept is found by bisection.
        """
        low, high = -20.0, 10.0
        while high - low > CALIBRATION_TOLERANCE:
            law = cls((low + high) / 2, Effects())
            if law.existing() @ law._leaving_on_average(CALIBRATED_DAYS) < monthly_churn:
                low = law.intercept
            else:
                high = law.intercept
        return law

    def existing(self) -> Floats:
        """The distribution of states of a random customer in a company with steady arrivals, shape (GONE,)."""
        # Expected days in each state before leaving: the fundamental matrix of Kemeny and Snell, theorem 3.2.4.
        staying = self._average[:GONE, :GONE]
        days = np.linalg.solve((np.eye(GONE) - staying).T, arrival_distribution())
        return np.asarray(days / days.sum())

    def _leaving_on_average(self, days: int) -> Floats:
        return np.asarray(np.linalg.matrix_power(self._average, days)[:GONE, GONE])


@dataclass(frozen=True)
class DatedLaws:
    """The law of each day.

    Attributes:
        before: law of the days before ``from_day``.
        after: law from ``from_day`` on.
        from_day: first day of ``after``, as days since 1970-01-01.
    """

    before: Law
    after: Law
    from_day: int

    def on(self, day: int) -> Law:
        """The law of a day (days since 1970-01-01)."""
        return self.before if day < self.from_day else self.after

    def probability_of_leaving(self, first_day: int, bills_due: npt.NDArray[np.bool_]) -> Floats:
        """P(gone after the last day | state before the first day), exact even if the law changes in between.

        Args:
            first_day: first day, as days since 1970-01-01.
            bills_due: shape (days, columns): whether a bill is due on each day of the horizon, one column per kind of
                customer (the billing day decides).

        Returns:
            Shape (GONE + 1, columns).
        """
        gone = np.zeros((GONE + 1, bills_due.shape[1]))
        gone[GONE] = 1
        for day in range(first_day + len(bills_due) - 1, first_day - 1, -1):
            without, with_bill = self.on(day).transition
            gone = np.where(bills_due[day - first_day], with_bill @ gone, without @ gone)
        return gone
