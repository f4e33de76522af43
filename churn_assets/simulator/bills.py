"""The payments of the synthetic company's bills: in time or late, failures and retries, refunds.

Belongs here: how the state of a customer shows, noisily, in payments. Does not belong here: whether a payment fails, which
moves the state (``law``); list prices (``scenarios``); sessions and records (``rows``).

A bill is due by the end of the customer's billing day. Discounts, which some customers have for a while, and the delays of late
payments are independent noise and decide nothing else.
"""

from collections.abc import Sequence

import numpy as np

from churn_assets.simulator.customers import CustomerDay, Stream
from churn_assets.simulator.law import FRICTION_OF_STATE, PLAN_OF_STATE
from churn_assets.simulator.rows import Columns, arrival_delay_s, numbered
from churn_store.clock import DAY_S
from churn_store.mapping.tables import STATUSES

SETTLED, FAILED, REFUNDED = (STATUSES.index(status) for status in ("settled", "failed", "refunded"))
RETRY_DAYS = (3, 5)
RETRY_FAILS = 0.3
LATE_DAYS = (1, 9)
LATE_PAYMENTS = 0.05
"""The share of payments of a customer without friction that are late; each level of friction adds as much again."""
REFUND_DAYS = (2, 10)
REFUND_SHARE = 0.008
"""The share of payments of a customer without friction that are refunded; each level of friction adds as much again."""
PAYMENTS_PER_BILL = 3
BILL_NUMBERS = 10
"""The number of ids that are reserved for the payments of a bill."""

LOOKBACK_DAYS = 1 + LATE_DAYS[1] + REFUND_DAYS[1]
"""The greatest number of days between the due day of a bill and the day on which a row of it becomes known."""


def bills(today: CustomerDay, list_cents: Sequence[int]) -> Columns:
    """The payments of the bills of a day, including late payments, retries and refunds of later days.

    Args:
        today: customers of a block on one day.
        list_cents: list price of each plan on that day, in cents.

    Returns:
        ``id``, ``position`` (in the block), ``customer``, ``amount_cents``, ``status`` (index into
        ``STATUSES``), ``due_s``, ``list_cents``, ``occurred_s``, ``known_s``. A row after the customer's leaving must be dropped.
    """
    random = today.random(Stream.PAYMENTS)
    position, fails = today.bill_due, today.bill_fails
    state = today.state[position]
    second = random.integers(0, DAY_S, (PAYMENTS_PER_BILL, len(position)))
    retry_day = today.day + random.integers(*RETRY_DAYS, len(position), endpoint=True)
    retry_fails = random.random(len(position)) < RETRY_FAILS
    refunded = random.random(len(position)) < REFUND_SHARE * (1 + FRICTION_OF_STATE[state])
    refund_after = random.integers(*REFUND_DAYS, len(position), endpoint=True)
    delay_s = arrival_delay_s(random, second.size).reshape(second.shape)
    late = random.random(len(position)) < LATE_PAYMENTS * (1 + FRICTION_OF_STATE[state])
    late_day = today.day + random.integers(*LATE_DAYS, len(position), endpoint=True)

    first_day = np.where(late & ~fails, late_day, today.day)
    paid_day = np.where(fails, retry_day, first_day)
    happens = np.stack([np.ones_like(fails), fails, refunded & ~(fails & retry_fails)])
    day = np.stack([first_day, retry_day, paid_day + refund_after])
    status = np.stack(
        [np.where(fails, FAILED, SETTLED), np.where(retry_fails, FAILED, SETTLED), np.full_like(position, REFUNDED)]
    )
    payment, bill = np.nonzero(happens)
    occurred_s = (day * DAY_S + second)[payment, bill]
    listed = np.array(list_cents)[PLAN_OF_STATE[state]]
    paid = listed * (100 - today.block.discount_percent(today.day)[position]) // 100
    return {
        "id": numbered(today, position, BILL_NUMBERS)[bill] + payment,
        "position": position[bill],
        "customer": today.block.first_customer + position[bill],
        "amount_cents": paid[bill],
        "status": status[payment, bill],
        "due_s": np.full(len(bill), (today.day + 1) * DAY_S - 1),
        "list_cents": listed[bill],
        "occurred_s": occurred_s,
        "known_s": occurred_s + delay_s[payment, bill],
    }
