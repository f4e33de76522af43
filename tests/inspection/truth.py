"""A small company that every layout writes in its own way: what happened, in plain Python, from which the expected tables are made."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

FIRST, LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
CUSTOMERS = 90
PLANS = {"basic": 1900, "pro": 4950, "max": 123450}


@dataclass(frozen=True)
class Customer:
    """A customer of the company."""

    number: int
    signed_up: datetime
    plan: str
    left: datetime | None
    seats: int


@dataclass(frozen=True)
class Act:
    """An event; of a payment also its amount in cents and its status."""

    customer: int
    at: datetime
    word: str
    cents: int = 0
    key: int = 0


@dataclass(frozen=True)
class Company:
    """What happened."""

    customers: list[Customer]
    events: list[Act]
    payments: list[Act]


def company(seed: int = 7) -> Company:
    """Customers who log in every few days, pay each month, and leave one after another."""
    draw = Random(seed)  # noqa: S311 - a company, not a key
    customers, events, payments = [], [], []
    for number in range(1, CUSTOMERS + 1):
        signed_up = FIRST + timedelta(seconds=draw.randrange(0, 240 * 86_400))
        if number <= CUSTOMERS // 3:
            signed_up = FIRST + timedelta(seconds=draw.randrange(0, 3 * 86_400))
        stay = timedelta(days=draw.expovariate(1 / 260) + 20)
        left = signed_up + stay if signed_up + stay < LAST else None
        customer = Customer(
            100 + 7 * number, _whole(signed_up), draw.choice(list(PLANS)), _whole(left), draw.randrange(1, 40)
        )
        customers.append(customer)
        at = customer.signed_up
        until = customer.left or LAST
        while at < until:
            word = draw.choices(["login", "feature_click", "support_ticket"], [8, 3, 1])[0]
            events.append(Act(customer.number, at, word))
            at = _whole(at + timedelta(seconds=draw.expovariate(1 / (6 * 86_400)) + 60))
        if customer.left is not None:
            events.append(Act(customer.number, customer.left, "cancelled"))
        at = customer.signed_up + timedelta(hours=1)
        while at < until:
            payments.append(Act(customer.number, at, draw.choices(["settled", "failed"], [19, 1])[0], PLANS[customer.plan]))
            at += timedelta(days=30)
    return Company(customers, _by_time(events), _by_time(payments))


def second(at: datetime) -> int:
    """A time in epoch seconds."""
    return int(at.timestamp())


def day_s(at: datetime) -> int:
    """Midnight of a time's day, in epoch seconds."""
    return second(at.replace(hour=0, minute=0, second=0))


def _whole(at: datetime | None) -> datetime:
    return at.replace(microsecond=0) if at is not None else None  # type: ignore[return-value]


def _by_time(acts: list[Act]) -> list[Act]:
    """The acts in order, with a key each."""
    ordered = sorted(acts, key=lambda act: (act.at, act.customer))
    return [Act(act.customer, act.at, act.word, act.cents, 1000 + place) for place, act in enumerate(ordered)]
