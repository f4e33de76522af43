"""Who signs up at the synthetic company and when, and how the state of each customer moves from day to day.

Belongs here: sign-ups, the replay of the chain, the addressing of random numbers. Does not belong here: the law of the
chain (``law``) and the rows that the customers leave behind (``rows``, ``bills``).

Randomness is counter-based (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): the numbers of
a (stream, day, block) are the same whatever was drawn before.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from churn_assets.simulator.campaigns import Campaign, Listed, listed
from churn_assets.simulator.law import (
    ARRIVAL_PLAN,
    FAILED_PAYMENT,
    GONE,
    LEAVES,
    NOTHING,
    PLAN_OF_STATE,
    TROUBLE_OF_OUTCOME,
    DatedLaws,
    Floats,
    Integers,
    States,
    arrival_distribution,
)
from churn_store.clock import DAY_S

BLOCK_CUSTOMERS = 32_768
MEAN_TENURE_DAYS = 540
LONGEST_TENURE_DAYS = 5 * 365
"""The mean and greatest tenure of the customers from before the start: an exponential distribution, cut off."""
COUNTRIES = ("DE", "ES", "FR", "GB", "IT", "NL", "US", "PL")
COUNTRY_SHARES = (0.22, 0.10, 0.15, 0.16, 0.09, 0.08, 0.20, 0.0)
DISCOUNTS_PERCENT = (0, 10, 20, 30)
DISCOUNT_SHARES = (0.70, 0.14, 0.10, 0.06)
DISCOUNT_BEGINS_DAYS = 365
"""The number of days after a customer's first day within which a discount begins, uniformly distributed."""
DISCOUNT_LASTS_DAYS = (60, 300)
LAST_BILLING_DAY = 28
CHECKPOINT_DAYS = 16
LISTED_DAYS = 30
"""Days of the probability by which the list of a campaign is made."""


class Stream(IntEnum):
    """The purposes of random numbers; each has its own stream, so that a change of one leaves the others as they are."""

    SIGN_UPS = 0
    CHAIN = 1
    CUSTOMERS = 2
    EVENTS = 3
    PAYMENTS = 4
    DISCOUNTS = 5
    CAMPAIGNS = 6


def day_of_month(day: int) -> int:
    """Day of the month (1 to 31) of a day counted from 1970-01-01."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day).day


@dataclass(frozen=True)
class Market:
    """The plan of sign-ups: ``existing`` before ``start_s``, then ``new`` evenly over ``span_s``, then on at that pace.

    Attributes:
        seed: seed of the company.
        first_block: number of the market's first block of customers.
        start_s: epoch seconds of 00:00 of the market's first day.
        span_s: seconds in which ``new`` customers sign up.
        existing: number of customers from before ``start_s``.
        new: number of customers who sign up in ``span_s``.
        plan_shares: shares of the plans at sign-up.
        country_shares: shares of ``COUNTRIES``.
    """

    seed: int
    first_block: int
    start_s: int
    span_s: int
    existing: int
    new: int
    plan_shares: tuple[float, ...] = ARRIVAL_PLAN
    country_shares: tuple[float, ...] = COUNTRY_SHARES


@dataclass(frozen=True)
class CustomerDay:
    """One day of a block: the customers by their position in it, and their outcomes of the day.

    Attributes:
        day: day, as days since 1970-01-01.
        state: state of each customer who has signed up, at 00:00 of the day; ``GONE`` for those who have left.
        state_after: state of each customer at the end of the day.
        changed: positions of the customers whose outcome is not ``NOTHING``.
        outcome: outcome of each customer in ``changed``.
        bill_due: positions of the customers who are billed: on a paid plan, on their billing day, and not leaving.
        bill_fails: whether the payment of each customer in ``bill_due`` fails.
    """

    block: "Block"
    day: int
    state: States
    state_after: States
    changed: Integers
    outcome: Integers
    bill_due: Integers
    bill_fails: npt.NDArray[np.bool_]

    def random(self, stream: Stream) -> np.random.Generator:
        """The random numbers of this block and day for one purpose."""
        return self.block.random(stream, self.day)


class Block:
    """Up to ``BLOCK_CUSTOMERS`` customers who follow each other in the order of sign-up, replayed day by day.

    Attributes:
        first_customer: number of the customer at position 0.
        existing: whether the customer is from before the start.
        signed_up_s: time of sign-up in epoch seconds, ascending from the first customer who signed up after the start.
        first_day: first day of each customer's chain: the start, or the day after sign-up.
        arrival_state: state on the customer's first day.
        billing_day: day of the month, 1 to 28.
        country: index into ``COUNTRIES``.
    """

    def __init__(self, number: int, market: Market, laws: DatedLaws, campaigns: Sequence[Campaign] = ()) -> None:
        self._number, self._seed, self._laws = market.first_block + number, market.seed, laws
        self._campaigns = tuple(campaigns)
        self._lists: dict[Campaign, Listed] = {}
        self.first_customer = self._number * BLOCK_CUSTOMERS
        place = number * BLOCK_CUSTOMERS + np.arange(BLOCK_CUSTOMERS)
        random = self.random(Stream.SIGN_UPS, 0)
        moment, state, country = random.random((3, BLOCK_CUSTOMERS))
        existing = place < market.existing
        longest = 1 - np.exp(-LONGEST_TENURE_DAYS / MEAN_TENURE_DAYS)
        tenure_s = 1 + (-MEAN_TENURE_DAYS * DAY_S * np.log1p(-moment * longest)).astype(np.int64)
        since_start_s = ((place - market.existing + moment) * (market.span_s / market.new)).astype(np.int64)
        self.existing = existing
        self.signed_up_s = market.start_s + np.where(existing, -tenure_s, since_start_s)
        sign_up_day = self.signed_up_s // DAY_S
        self.first_day = np.where(existing, market.start_s // DAY_S, sign_up_day + 1)
        self.arrival_state: States = np.where(
            existing,
            np.searchsorted(np.cumsum(laws.before.existing())[:-1], state, side="right"),
            np.searchsorted(np.cumsum(arrival_distribution(market.plan_shares))[:-1], state, side="right"),
        ).astype(np.uint8)
        sign_up_date = sign_up_day.astype("datetime64[D]")
        month_day = (sign_up_date - sign_up_date.astype("datetime64[M]")).astype(np.int64) + 1
        self.billing_day = np.minimum(month_day, LAST_BILLING_DAY).astype(np.uint8)
        self.country = _picked(market.country_shares, country)
        percent, begins, lasts = self.random(Stream.DISCOUNTS, 0).random((3, BLOCK_CUSTOMERS))
        least, most = DISCOUNT_LASTS_DAYS
        self._discount = np.array(DISCOUNTS_PERCENT, dtype=np.uint8)[_picked(DISCOUNT_SHARES, percent)]
        self._discount_from = self.first_day + (begins * DISCOUNT_BEGINS_DAYS).astype(np.int64)
        self._discount_until = self._discount_from + least + (lasts * (most - least)).astype(np.int64)
        self._checkpoints = [(int(self.first_day[0]), self.arrival_state[:0])]
        self._paid = np.append(PLAN_OF_STATE > 0, False)

    def random(self, stream: Stream, day: int) -> np.random.Generator:
        """The random numbers of this block for one purpose on one day."""
        # The lowest of the four words counts the numbers drawn.
        return np.random.Generator(np.random.Philox(key=self._seed, counter=[0, stream, day, self._number]))

    def listed(self, campaign: Campaign) -> Listed:
        """The block's customers on the list of a campaign."""
        if campaign not in self._lists:
            day = campaign.on_day
            state = self.state_before(day)
            position = np.flatnonzero(state != GONE)
            days = [day_of_month(one) for one in range(day, day + LISTED_DAYS)]
            leaving = self._laws.probability_of_leaving(day, np.array(days)[:, None] == np.arange(1, LAST_BILLING_DAY + 1))
            scores = leaving[state[position], self.billing_day[position] - 1]
            self._lists[campaign] = listed(campaign, position, scores, self.random(Stream.CAMPAIGNS, day))
        return self._lists[campaign]

    def discount_percent(self, day: int) -> Integers:
        """The discount of each customer of the block on a day, in percent of the list price."""
        runs = (self._discount_from <= day) & (day < self._discount_until)
        return np.where(runs, self._discount, 0).astype(np.int64)

    def state_before(self, day: int) -> States:
        """State at 00:00 of the day of each customer who signed up before it, in the order of position."""
        checkpoint = bisect_right(self._checkpoints, day, key=itemgetter(0)) - 1
        if checkpoint < 0:
            return self.arrival_state[:0]
        first, state = self._checkpoints[checkpoint]
        for replayed in range(first, day):
            state = self._live(replayed, state).state_after
            if replayed + 1 == self._checkpoints[-1][0] + CHECKPOINT_DAYS:
                self._checkpoints.append((replayed + 1, state))
        return self._with_arrivals(state, day)

    def days(self, first: int, last: int) -> Iterator[CustomerDay]:
        """The days ``first`` to ``last``, both included; days before the block's first customer are left out."""
        first = max(first, int(self.first_day[0]))
        state = self.state_before(first)
        for day in range(first, last + 1):
            today = self._live(day, state)
            yield today
            state = today.state_after

    def _with_arrivals(self, state: States, day: int) -> States:
        signed_up = int(np.searchsorted(self.first_day, day, side="right"))
        grown: States = np.concatenate([state, self.arrival_state[len(state) : signed_up]])
        return grown

    def _kept(self, day: int) -> Integers:
        """Positions of the customers who have taken an offer that lasts on a day, and so do not leave."""
        last = [campaign for campaign in self._campaigns if campaign.on_day <= day < campaign.on_day + campaign.lasts_days]
        lists = [self.listed(campaign) for campaign in last]
        return np.concatenate([np.empty(0, dtype=np.int64), *(one.position[one.kept] for one in lists)])

    def _live(self, day: int, state: States) -> CustomerDay:
        state = self._with_arrivals(state, day)
        billing = self.billing_day[: len(state)] == day_of_month(day)
        row = state + billing * np.uint8(GONE + 1)
        law = self._laws.on(day)
        draw = self.random(Stream.CHAIN, day).random(len(state))
        changed = np.flatnonzero(draw >= law.cumulative[:, NOTHING][row])
        outcome = (draw[changed, None] >= law.cumulative[row[changed], :LEAVES]).sum(axis=1)
        kept = (outcome == LEAVES) & np.isin(changed, self._kept(day))
        changed, outcome = changed[~kept], outcome[~kept]
        state_after = state.copy()
        state_after[changed] = law.next_state[state[changed], outcome]
        bill_due = np.flatnonzero(billing & self._paid[state] & (state_after != GONE))
        failing = changed[TROUBLE_OF_OUTCOME[outcome] == FAILED_PAYMENT]
        return CustomerDay(self, day, state, state_after, changed, outcome, bill_due, np.isin(bill_due, failing))


def _picked(shares: tuple[float, ...], draw: Floats) -> Integers:
    """The index that each draw in [0, 1) falls on."""
    return np.searchsorted(np.cumsum(shares[:-1]), draw, side="right")
