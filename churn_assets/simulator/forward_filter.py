"""The forward filter: the state of each customer as far as the tables tell it, and the best prediction that they allow.

Belongs here: the recursion over the days, and the probability of leaving that follows from it. Does not belong here: the law of the
chain (``law``), and what the tables say of a day (``observations``).

The plan of a customer stands in the records; friction and engagement are hidden. The belief is the probability of each of the
``HIDDEN`` pairs of them, given every row that was known before a moment and that the customer is still there. A day multiplies it by the
likelihood of what the day shows and moves it by the law (Rabiner, "A tutorial on hidden Markov models", 1989, section III.A). No
prediction from the tables has a lower expected log loss than the one from this belief. It is exact but for rows of the last day that are
not known yet: of these only the expected number counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from churn_assets.simulator.customers import Block
from churn_assets.simulator.law import (
    ENGAGEMENT_LEVELS,
    FAILED_PAYMENT,
    FRICTION_LEVELS,
    GONE,
    LEAVES,
    NO_TROUBLE,
    OUTCOMES,
    PLAN_CHANGE_OF_OUTCOME,
    PLAN_OF_STATE,
    PLANS,
    RELIEF,
    TICKET,
    TROUBLE_OF_OUTCOME,
    DatedLaws,
    Floats,
    Integers,
    Law,
    arrival_distribution,
)
from churn_assets.simulator.observations import (
    DAYS_UNTIL_ALL_KNOWN,
    FAILURE_SHOWN,
    KNOWN_THE_SAME_DAY,
    NOTHING_SHOWN,
    TICKET_SHOWN,
    Observation,
    observed,
)
from churn_assets.simulator.rows import FEATURES_PER_SESSION, SESSIONS_PER_DAY, season

HIDDEN = FRICTION_LEVELS * ENGAGEMENT_LEVELS
SHOWN = {NO_TROUBLE: NOTHING_SHOWN, RELIEF: NOTHING_SHOWN, TICKET: TICKET_SHOWN, FAILED_PAYMENT: FAILURE_SHOWN}
BY_PLAN = (len(PLANS), HIDDEN)
FILTER_VERSION = 1
"""The version of the filter, raised whenever the same company gets other probabilities."""


@dataclass(frozen=True)
class Belief:
    """What the tables say of the customers of a block at 00:00 of a day.

    Attributes:
        day: day, as days since 1970-01-01.
        position: positions in the block of the customers who have signed up and not left, ascending.
        plan: plan of each, as far as it is known.
        probability: probability of each pair of friction and engagement, shape (customers, HIDDEN).
    """

    day: int
    position: Integers
    plan: Integers
    probability: Floats


class ForwardFilter:
    """The filter of one block of customers. It keeps the newest belief behind which nothing more becomes known.

    Args:
        block: the customers.
        laws: law of each day.
        list_cents: gives the list prices of a day (days since 1970-01-01).
    """

    def __init__(self, block: Block, laws: DatedLaws, list_cents: Callable[[int], Sequence[int]]) -> None:
        self._block, self._laws, self._list_cents = block, laws, list_cents
        self._kernels = {law: kernels(law) for law in (laws.before, laws.after)}
        by_plan = np.stack([arrival_distribution(), laws.before.existing()]).reshape(2, *BY_PLAN)
        self._at_arrival = by_plan / by_plan.sum(axis=2, keepdims=True)
        self._plan_at_arrival = PLAN_OF_STATE[block.arrival_state]
        self._settled = self._arriving(int(block.first_day[0]))

    def belief_before(self, day: int) -> Belief:
        """The belief at 00:00 of a day, given the rows that happened and were known before it."""
        first_day = int(self._block.first_day[0])
        if day < first_day:
            return self._arriving(day)
        settled_day = max(day - DAYS_UNTIL_ALL_KNOWN, first_day)
        if settled_day < self._settled.day:
            self._settled = self._arriving(first_day)
        self._settled = self._moved(self._settled, settled_day, until_day=None)
        return self._moved(self._settled, day, until_day=day)

    def probability_of_leaving(self, day: int, leaving: Floats) -> tuple[Integers, Floats]:
        """The position of each customer at 00:00 of a day, and the probability of leaving, given the rows known before it.

        Args:
            day: day, as days since 1970-01-01.
            leaving: probability of leaving by state and billing day, as of ``DatedLaws.probability_of_leaving``.
        """
        belief = self.belief_before(day)
        by_plan = leaving[:GONE].reshape(*BY_PLAN, -1)
        probability = np.einsum(
            "nh,nh->n", belief.probability, by_plan[belief.plan, :, self._block.billing_day[belief.position] - 1]
        )
        return belief.position, probability

    def _moved(self, belief: Belief, day: int, *, until_day: int | None) -> Belief:
        """The belief moved on to ``day`` by the rows known before ``until_day``; by all rows where it is ``None``."""
        if belief.day == day:
            return belief
        for today in self._block.days(belief.day, day - 1):
            until = today.day + DAYS_UNTIL_ALL_KNOWN + 1 if until_day is None else until_day
            seen = observed(today, self._list_cents(today.day), until)
            belief = joined(moved(belief, seen, self._kernels[self._laws.on(today.day)]), self._arriving(today.day + 1))
        return belief

    def _arriving(self, day: int) -> Belief:
        """The customers whose chain begins on a day."""
        first, last = np.searchsorted(self._block.first_day, [day, day + 1])
        position = np.arange(first, last)
        plan = self._plan_at_arrival[position]
        return Belief(day, position, plan, self._at_arrival[self._block.existing[position].astype(np.int64), plan])


def kernels(law: Law) -> Floats:
    """Probability of what a day shows of trouble and of the hidden pair after it, given the pair before, for those who stay.

    Changes of plan are left out: given the plan, they tell nothing of what is hidden.

    Returns:
        Shape (2, plans, 3, HIDDEN, HIDDEN): by whether a bill is due, plan, trouble shown, pair before and pair after.
    """
    found = np.zeros((2, len(PLANS), len(set(SHOWN.values())), HIDDEN, HIDDEN))
    for outcome in np.flatnonzero((PLAN_CHANGE_OF_OUTCOME == 0) & (np.arange(OUTCOMES) != LEAVES)):
        shown = SHOWN[int(TROUBLE_OF_OUTCOME[outcome])]
        for state in range(GONE):
            plan, before = divmod(state, HIDDEN)
            after = law.next_state[state, outcome] % HIDDEN
            found[:, plan, shown, before, after] += law.probability[:, state, outcome]
    return found


def moved(belief: Belief, seen: Observation, moves: Floats) -> Belief:
    """The belief after a day, without those who have left on it.

    Args:
        belief: belief before the day.
        seen: what the tables say of the day.
        moves: ``kernels`` of the day's law.
    """
    stays = seen.stays[belief.position]
    position = belief.position[stays]
    by_level = belief.probability[stays].reshape(-1, FRICTION_LEVELS, ENGAGEMENT_LEVELS)
    by_level *= activity_likelihood(seen, position)[:, None, :]
    billed = np.searchsorted(position, seen.billed)
    by_level[billed] *= seen.bill_likelihood[:, :, None]
    weight = by_level.reshape(-1, HIDDEN)

    if not seen.complete:
        moves = moves.copy()
        moves[:, :, NOTHING_SHOWN] += (1 - KNOWN_THE_SAME_DAY) * moves[:, :, TICKET_SHOWN]
    due = np.zeros(len(position), dtype=np.int64)
    due[billed] = 1
    case = np.ravel_multi_index((due, seen.plan[position], seen.shown[position]), moves.shape[:3])
    after = np.empty_like(weight)
    for number, kernel in enumerate(moves.reshape(-1, HIDDEN, HIDDEN)):
        of_case = np.flatnonzero(case == number)
        # The matrices are too small to be worth the threads that a matrix product would start.
        after[of_case] = np.einsum("nb,ba->na", weight[of_case], kernel)
    return Belief(seen.day + 1, position, seen.plan_after[position], after / after.sum(axis=1, keepdims=True))


def activity_likelihood(seen: Observation, position: Integers) -> Floats:
    """Likelihood of a day's sessions and uses by level of engagement, up to a factor; shape (customers, ENGAGEMENT_LEVELS).

    Sessions are Poisson distributed. So are uses, given the number of sessions, those included that are not known yet.
    """
    known = 1.0 if seen.complete else KNOWN_THE_SAME_DAY
    sessions, uses = seen.sessions[position], seen.uses[position]
    rate, uses_per_session = SESSIONS_PER_DAY * season(seen.day), FEATURES_PER_SESSION * known
    missing = rate * (1 - known)
    likelihood = np.tile(np.exp(-rate * known - missing * uses_per_session), (len(position), 1))
    active = np.flatnonzero(sessions + uses)
    number, used = sessions[active, None], uses[active, None]
    expected_uses = uses_per_session * (number + missing)
    likelihood[active] *= rate**number * np.exp(-uses_per_session * number) * expected_uses**used
    return likelihood


def joined(belief: Belief, arriving: Belief) -> Belief:
    """The belief with those whose chain begins on its day."""
    return Belief(
        belief.day,
        np.concatenate([belief.position, arriving.position]),
        np.concatenate([belief.plan, arriving.plan]),
        np.concatenate([belief.probability, arriving.probability]),
    )
