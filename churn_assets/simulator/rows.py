"""The events and records of a day of the synthetic company, as columns of whole numbers.

Belongs here: how the state of a customer shows, noisily, in sessions, tickets and changed records. Does not belong here:
payments (``bills``); anything that moves the state or decides who leaves (``law``); periods and text
(``tables``).

The smallest unit is a day: its outcomes are decided at 00:00 UTC, and the seconds within it are noise. On the last day of a leaver
only the events before the cancellation are kept.
"""

from datetime import date

import numpy as np

from churn_assets.simulator.customers import Block, CustomerDay, Stream
from churn_assets.simulator.law import (
    ENGAGEMENT_OF_STATE,
    GONE,
    LEAVES,
    PLAN_CHANGE_OF_OUTCOME,
    PLAN_OF_STATE,
    TICKET,
    TROUBLE_OF_OUTCOME,
    Integers,
)
from churn_store.clock import DAY_S

Columns = dict[str, Integers]

EVENT_TYPES = ("session", "feature_used", "support_ticket", "cancelled")
SESSION, FEATURE_USED, SUPPORT_TICKET, CANCELLED = range(4)
SESSIONS_PER_DAY = np.array([0.008, 0.035, 0.10, 0.20, 0.34, 0.53])
FEATURES_PER_SESSION = np.array([0.10, 0.15, 0.20, 0.25, 0.30, 0.35])
"""The mean numbers of sessions and of feature uses, by level of engagement."""
LONGEST_SESSION_S = 3_600
WEEKDAY_FACTOR = np.array([1.12, 1.14, 1.12, 1.08, 1.02, 0.76, 0.76])
YEARLY_AMPLITUDE = 0.1
WINTER_PEAK_DAY = 15
DAYS_PER_YEAR = 365.25

LATE_SHARE = 0.08
LEAST_DELAY_S, MOST_DELAY_S = 60, DAY_S - 1
LOOKBACK_DAYS = 1
"""The greatest number of days between an event, or a change of a record, and the day on which it becomes known."""

# The numbers of ids that are reserved: for customers, and for the events of a customer's day.
CUSTOMER_NUMBERS = 10**8
EVENT_NUMBERS = 1_000


def season(day: int) -> float:
    """Factor on the number of sessions of a day (counted from 1970-01-01), around 1: busy weekdays, busy winters."""
    weekday = date.fromordinal(date(1970, 1, 1).toordinal() + day).weekday()
    yearly = 1 + YEARLY_AMPLITUDE * np.cos(2 * np.pi * (day - WINTER_PEAK_DAY) / DAYS_PER_YEAR)
    return float(WEEKDAY_FACTOR[weekday] * yearly)


def arrival_delay_s(random: np.random.Generator, rows: int) -> Integers:
    """Seconds until each row becomes known: 0 for most, a minute to a day for ``LATE_SHARE`` of them."""
    draw = random.random(rows) / LATE_SHARE
    return np.where(draw < 1, LEAST_DELAY_S + draw * (MOST_DELAY_S - LEAST_DELAY_S), 0).astype(np.int64)


def numbered(today: CustomerDay, position: Integers, numbers: int) -> Integers:
    """The first of the ids that are reserved for each customer's rows of a day."""
    customer = today.block.first_customer + position
    return (today.day * CUSTOMER_NUMBERS + customer) * numbers


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
        "id": numbered(today, position, EVENT_NUMBERS) + _rank_within(position),
        "customer": today.block.first_customer + position,
        "type": kind[order],
        "occurred_s": occurred_s,
        "known_s": occurred_s + delay_s[order],
    }


def _rank_within(ascending: Integers) -> Integers:
    """0, 1, 2 ... within each run of equal values."""
    return np.arange(len(ascending)) - np.searchsorted(ascending, ascending)


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
    """The versions of customers' records that begin on a day, with the columns of ``arrivals``."""
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
