"""What the tables of the synthetic company say of a day of its customers, by a moment.

Belongs here: counts of sessions and uses, tickets, plans and the fate of bills, and how likely a bill's fate is by friction. Does not
belong here: the rows themselves (``rows``, ``bills``), and what follows for the state (``forward_filter``).

Errors in the delivery (``dirt``) are left out: they only hide or delay rows, so these tables say at least as much as the delivered ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn_assets.simulator import bills, rows
from churn_assets.simulator.customers import CustomerDay
from churn_assets.simulator.law import FRICTION_LEVELS, GONE, PLAN_OF_STATE, Floats, Integers
from churn_assets.simulator.scenarios import NEVER
from churn_store.clock import DAY_S

DAYS_UNTIL_ALL_KNOWN = bills.LOOKBACK_DAYS
"""Before the snapshot so many days may have rows that are not known yet; of earlier days every row is known."""
KNOWN_THE_SAME_DAY = 1 - rows.LATE_SHARE / 2
"""The share of a day's events that are known by its end: a late one has, at a random second, about even odds of being so."""

NOTHING_SHOWN, TICKET_SHOWN, FAILURE_SHOWN = range(3)
"""What a day shows of trouble. Relief does not show."""

FIRST_ATTEMPT, RETRY, REFUND = range(bills.PAYMENTS_PER_BILL)


@dataclass(frozen=True)
class Observation:
    """What the tables say of one day. Arrays are by position in the block unless said otherwise.

    Attributes:
        day: day, as days since 1970-01-01.
        complete: whether every event of the day is known; else ``KNOWN_THE_SAME_DAY`` of them are.
        stays: whether a customer has not left by the end of the day.
        plan: plan at the beginning of the day.
        plan_after: plan at its end, as far as it is known.
        sessions: number of sessions that are known.
        uses: number of uses of a product feature that are known.
        shown: trouble of the day, one of ``NOTHING_SHOWN`` to ``FAILURE_SHOWN``.
        billed: positions of the customers with a bill on the day, ascending.
        bill_likelihood: probability of what became of each of these bills, by friction; shape (bills, FRICTION_LEVELS).
    """

    day: int
    complete: bool
    stays: npt.NDArray[np.bool_]
    plan: Integers
    plan_after: Integers
    sessions: Integers
    uses: Integers
    shown: Integers
    billed: Integers
    bill_likelihood: Floats


def observed(today: CustomerDay, list_cents: Sequence[int], until_day: int) -> Observation:
    """What the tables say of a day at 00:00 of a later one.

    Args:
        today: customers of a block on the day.
        list_cents: list price of each plan on the day, in cents.
        until_day: the later day, as days since 1970-01-01; only rows that happened and were known before it count.
    """
    customers, until_s = len(today.state), until_day * DAY_S
    events = rows.events(today)
    known = events["known_s"] < until_s
    position, kind = events["customer"][known] - today.block.first_customer, events["type"][known]
    sessions, uses, tickets = (
        np.bincount(position[kind == wanted], minlength=customers)
        for wanted in (rows.SESSION, rows.FEATURE_USED, rows.SUPPORT_TICKET)
    )
    plan = np.append(PLAN_OF_STATE, 0)[today.state]
    payments = bills.bills(today, list_cents)
    payments = {name: column[payments["known_s"] < until_s] for name, column in payments.items()}
    failed = (_number(payments) == FIRST_ATTEMPT) & (payments["status"] == bills.FAILED)
    shown = np.where(tickets > 0, TICKET_SHOWN, NOTHING_SHOWN)
    shown[payments["position"][failed]] = FAILURE_SHOWN
    return Observation(
        today.day,
        until_day > today.day + 1,
        today.state_after != GONE,
        plan,
        _plan_after(today, plan, until_s),
        sessions,
        uses,
        shown,
        today.bill_due,
        _bill_likelihood(today, payments, until_day),
    )


def _plan_after(today: CustomerDay, plan: Integers, until_s: int) -> Integers:
    changes = rows.plan_changes(today)
    known = changes["known_s"] < until_s
    after = plan.copy()
    after[changes["customer"][known] - today.block.first_customer] = changes["plan"][known]
    return after


def _bill_likelihood(today: CustomerDay, known: rows.Columns, until_day: int) -> Floats:
    """The probability of what is known of each bill, by friction: paid in time or late, refunded or not.

    Whether a first attempt fails is a part of the law; it counts as ``FAILURE_SHOWN``.
    """
    number, status, position = _number(known), known["status"], known["position"]
    occurred_day = known["occurred_s"] // DAY_S

    def day_of(wanted: npt.NDArray[np.bool_]) -> Integers:
        day = np.full(len(today.state), NEVER)
        day[position[wanted]] = occurred_day[wanted]
        return day[today.bill_due]

    settled = day_of((number == FIRST_ATTEMPT) & (status == bills.SETTLED))
    failed = day_of((number == FIRST_ATTEMPT) & (status == bills.FAILED))
    retried = day_of((number == RETRY) & (status == bills.SETTLED))
    refunded = day_of(number == REFUND)

    trouble = 1 + np.arange(FRICTION_LEVELS)
    in_time = 1 - bills.LATE_PAYMENTS * trouble
    if until_day == today.day + 1:
        in_time = in_time * KNOWN_THE_SAME_DAY
    attempt = np.where((settled == today.day)[:, None], in_time, 1 - in_time)
    attempt[failed < NEVER] = 1

    least, most = bills.REFUND_DAYS
    shows = np.clip((until_day - np.minimum(settled, retried) - least) / (most - least + 1), 0, 1)
    refund = bills.REFUND_SHARE * trouble
    return attempt * np.where((refunded < NEVER)[:, None], refund, 1 - refund * shows[:, None])


def _number(payments: rows.Columns) -> Integers:
    """Which of a bill's payments a row is: ``FIRST_ATTEMPT``, ``RETRY`` or ``REFUND``."""
    return payments["id"] % bills.BILL_NUMBERS
