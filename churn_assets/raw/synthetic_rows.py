"""The rows that a day of the synthetic company leaves behind, as columns of whole numbers.

Belongs here: how the state of a customer shows, noisily, in sessions, tickets, payments and changed records. Does not
belong here: anything that moves the state or decides who leaves (``synthetic_law``), periods and text
(``synthetic``).

A day is the grain: what is decided for a day is decided at its 00:00 UTC, and the seconds within it are noise. Of a
leaver's last day only the sessions before the cancellation are left.
"""

from datetime import date

import numpy as np

from churn_assets.raw.source import STATUSES
from churn_assets.raw.synthetic_customers import DAY_S, Block, CustomerDay, Stream
from churn_assets.raw.synthetic_law import (
    ENGAGEMENT_OF_STATE,
    FRICTION_OF_STATE,
    GONE,
    LEAVES,
    PLAN_CHANGE_OF_OUTCOME,
    PLAN_OF_STATE,
    TICKET,
    TROUBLE_OF_OUTCOME,
    Integers,
)

Columns = dict[str, Integers]

EVENT_TYPES = ("session", "feature_used", "support_ticket", "cancelled")
SESSION, FEATURE_USED, SUPPORT_TICKET, CANCELLED = range(4)
SESSIONS_PER_DAY = np.array([0.008, 0.035, 0.10, 0.20, 0.34, 0.53])
FEATURES_PER_SESSION = np.array([0.10, 0.15, 0.20, 0.25, 0.30, 0.35])
"""Means by level of engagement."""
LONGEST_SESSION_S = 3_600
WEEKDAY_FACTOR = np.array([1.12, 1.14, 1.12, 1.08, 1.02, 0.76, 0.76])
YEARLY_AMPLITUDE = 0.1
WINTER_PEAK_DAY = 15
DAYS_PER_YEAR = 365.25

SETTLED, FAILED, REFUNDED = (STATUSES.index(status) for status in ("settled", "failed", "refunded"))
PRICE_CENTS = np.array([0, 1_900, 4_900])
RETRY_DAYS = (3, 5)
RETRY_FAILS = 0.3
REFUND_DAYS = (2, 10)
REFUND_SHARE = 0.008
"""Of the payments of a customer without friction; each level of friction adds as much again."""
PAYMENTS_PER_BILL = 3

LATE_SHARE = 0.08
LEAST_DELAY_S, MOST_DELAY_S = 60, DAY_S - 1
# How many days before it became known a row, or the bill that led to it, can have happened.
EVENT_LOOKBACK_DAYS = CHANGE_LOOKBACK_DAYS = 1
PAYMENT_LOOKBACK_DAYS = 1 + RETRY_DAYS[1] + REFUND_DAYS[1]

# How many numbers are set aside for ids: of customers, of the events of a customer's day, of what comes of a bill.
CUSTOMER_NUMBERS = 10**8
EVENT_NUMBERS = 1_000
BILL_NUMBERS = 10


def season(day: int) -> float:
    """Factor on the number of sessions of a day (counted from 1970-01-01), around 1: busy weekdays, busy winters."""
    weekday = date.fromordinal(date(1970, 1, 1).toordinal() + day).weekday()
    yearly = 1 + YEARLY_AMPLITUDE * np.cos(2 * np.pi * (day - WINTER_PEAK_DAY) / DAYS_PER_YEAR)
    return float(WEEKDAY_FACTOR[weekday] * yearly)


def arrival_delay_s(random: np.random.Generator, rows: int) -> Integers:
    """Seconds until each row becomes known: 0 for most, a minute to a day for ``LATE_SHARE`` of them."""
    draw = random.random(rows) / LATE_SHARE
    return np.where(draw < 1, LEAST_DELAY_S + draw * (MOST_DELAY_S - LEAST_DELAY_S), 0).astype(np.int64)


def events(today: CustomerDay) -> Columns:
    """The events of a day: ``id``, ``customer``, ``type`` (index into ``EVENT_TYPES``), ``occurred_s``, ``known_s``."""
    random = today.random(Stream.EVENTS)
    present = np.flatnonzero(today.state != GONE)
    engagement = ENGAGEMENT_OF_STATE[today.state[present]]
    sessions = random.poisson(SESSIONS_PER_DAY[engagement] * season(today.day))
    session_of = np.repeat(present, sessions)
    session_at = random.integers(0, DAY_S - LONGEST_SESSION_S, len(session_of))
    features = random.poisson(FEATURES_PER_SESSION[np.repeat(engagement, sessions)])
    feature_of = np.repeat(session_of, features)
    feature_at = np.repeat(session_at, features) + random.integers(1, LONGEST_SESSION_S, len(feature_of))
    ticket_of = today.changed[TROUBLE_OF_OUTCOME[today.outcome] == TICKET]
    leaver = today.changed[today.outcome == LEAVES]
    ticket_at = random.integers(0, DAY_S, len(ticket_of))
    leaves_at = random.integers(0, DAY_S, len(leaver))

    position = np.concatenate([session_of, feature_of, ticket_of, leaver])
    second = np.concatenate([session_at, feature_at, ticket_at, leaves_at])
    kind = np.repeat(
        [SESSION, FEATURE_USED, SUPPORT_TICKET, CANCELLED],
        [len(session_of), len(feature_of), len(ticket_of), len(leaver)],
    )
    delay_s = np.where(kind == CANCELLED, 0, arrival_delay_s(random, len(position)))
    open_until = np.full(len(today.state), DAY_S)
    open_until[leaver] = leaves_at
    kept = np.flatnonzero((second < open_until[position]) | (kind == CANCELLED))
    order = kept[np.lexsort((second[kept], position[kept]))]
    position, occurred_s = position[order], today.day * DAY_S + second[order]
    return {
        "id": _numbered(today, position, EVENT_NUMBERS) + _rank_within(position),
        "customer": today.block.first_customer + position,
        "type": kind[order],
        "occurred_s": occurred_s,
        "known_s": occurred_s + delay_s[order],
    }


def _numbered(today: CustomerDay, position: Integers, numbers: int) -> Integers:
    """The first of the numbers that are set aside for each customer's rows of a day."""
    customer = today.block.first_customer + position
    return (today.day * CUSTOMER_NUMBERS + customer) * numbers


def _rank_within(ascending: Integers) -> Integers:
    """0, 1, 2 ... within each run of equal values."""
    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


def bills(today: CustomerDay) -> Columns:
    """What comes of the bills of a day, the retries and refunds of later days included.

    Returns:
        ``id``, ``position`` (in the block), ``customer``, ``amount_cents``, ``status`` (index into
        ``STATUSES``), ``occurred_s``, ``known_s``. A row after the customer's leaving must be dropped.
    """
    random = today.random(Stream.PAYMENTS)
    position, fails = today.bill_due, today.bill_fails
    state = today.state[position]
    second = random.integers(0, DAY_S, (PAYMENTS_PER_BILL, len(position)))
    retry_day = today.day + random.integers(*RETRY_DAYS, len(position), endpoint=True)
    retry_fails = random.random(len(position)) < RETRY_FAILS
    refunded = random.random(len(position)) < REFUND_SHARE * (1 + FRICTION_OF_STATE[state])
    paid_day = np.where(fails, retry_day, today.day)
    refund_day = paid_day + random.integers(*REFUND_DAYS, len(position), endpoint=True)
    delay_s = arrival_delay_s(random, second.size).reshape(second.shape)

    happens = np.stack([np.ones_like(fails), fails, refunded & ~(fails & retry_fails)])
    day = np.stack([np.full_like(position, today.day), retry_day, refund_day])
    status = np.stack(
        [np.where(fails, FAILED, SETTLED), np.where(retry_fails, FAILED, SETTLED), np.full_like(position, REFUNDED)]
    )
    payment, bill = np.nonzero(happens)
    occurred_s = (day * DAY_S + second)[payment, bill]
    return {
        "id": _numbered(today, position, BILL_NUMBERS)[bill] + payment,
        "position": position[bill],
        "customer": today.block.first_customer + position[bill],
        "amount_cents": PRICE_CENTS[PLAN_OF_STATE[state]][bill],
        "status": status[payment, bill],
        "occurred_s": occurred_s,
        "known_s": occurred_s + delay_s[payment, bill],
    }


def arrivals(block: Block, start_s: int) -> Columns:
    """The first version of the record of every customer of a block, known at ``start_s`` or at sign-up.

    Returns:
        ``customer``, ``plan`` (index into ``PLANS``), ``country`` (index into ``COUNTRIES``), ``signed_up_s``,
        ``occurred_s``, ``known_s``.
    """
    return {
        "customer": block.first_customer + np.arange(len(block.signed_up_s)),
        "plan": PLAN_OF_STATE[block.arrival_state],
        "country": block.country,
        "signed_up_s": block.signed_up_s,
        "occurred_s": block.signed_up_s,
        "known_s": np.maximum(block.signed_up_s, start_s),
    }


def plan_changes(today: CustomerDay) -> Columns:
    """The versions of customers' records that begin on a day, columns as of ``arrivals``."""
    random = today.random(Stream.CUSTOMERS)
    position = today.changed[PLAN_CHANGE_OF_OUTCOME[today.outcome] != 0]
    occurred_s = today.day * DAY_S + random.integers(0, DAY_S, len(position))
    return {
        "customer": today.block.first_customer + position,
        "plan": PLAN_OF_STATE[today.state_after[position]],
        "country": today.block.country[position],
        "signed_up_s": today.block.signed_up_s[position],
        "occurred_s": occurred_s,
        "known_s": occurred_s + arrival_delay_s(random, len(position)),
    }
