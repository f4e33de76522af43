"""The built-in synthetic company: a source of the canonical tables whose answer is known.

Belongs here: its settings, the tables of a period, and the probability of leaving that nobody can predict better than.
Does not belong here: why customers leave (``synthetic_law``), who signs up (``synthetic_customers``), what they leave
behind (``synthetic_rows``); nothing here knows about Dagster or the lake.

What a row says was decided on its day or earlier, and days begin at 00:00 UTC, so at a snapshot at 00:00 no row that is
known depends on anything that happens later.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from churn_assets.raw import synthetic_rows as rows
from churn_assets.raw.source import OPTIONAL, STATUSES, Delivery, Table
from churn_assets.raw.synthetic_customers import (
    BLOCK_CUSTOMERS,
    COUNTRIES,
    DAY_S,
    LAST_BILLING_DAY,
    Arrivals,
    Block,
    day_of_month,
)
from churn_assets.raw.synthetic_law import GONE, LEAVES, PLANS, Floats, Law
from churn_store.signature import Column

EXISTING_SHARE = 0.15
"""Share of ``customers`` who were there before the start."""
SIMULATOR_VERSION = 1
"""Raised whenever the same settings give other rows."""

CUSTOMER_DIGITS = len(str(rows.CUSTOMER_NUMBERS)) - 1


class SyntheticSettings(BaseModel):
    """The synthetic company: how large it is, how long it has data, and how many of its customers leave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["synthetic"] = "synthetic"
    seed: int = Field(default=42, ge=0, lt=2**64, description="Another seed: another company under the same law.")
    customers: int = Field(
        default=20_000,
        ge=10,
        lt=rows.CUSTOMER_NUMBERS // 10,
        description="Customers who have signed up by the end of `months`, those who have left included.",
    )
    start: date = Field(
        default=date(2024, 1, 1), ge=date(2000, 1, 1), lt=date(2200, 1, 1), description="First day with data."
    )
    months: int = Field(
        default=24, ge=1, le=240, description="Months in which `customers` is reached; sign-ups go on at the same pace."
    )
    monthly_churn: float = Field(
        default=0.06,
        ge=0.001,
        le=0.5,
        description="Share of the customers who leave within 30 days, in a company with steady sign-ups.",
    )


class SyntheticSource:
    """The tables of a synthetic company, any period on its own, and the exact probability of leaving.

    States are remembered every few days so that they need no full replay; no answer depends on what was asked before.
    """

    def __init__(self, settings: SyntheticSettings) -> None:
        self._settings = settings
        self._law = Law(settings.monthly_churn)
        start = settings.start
        end_year, end_month = divmod(start.year * 12 + start.month - 1 + settings.months, 12)
        existing = round(settings.customers * EXISTING_SHARE)
        self._arrivals = Arrivals(
            seed=settings.seed,
            start_s=int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()),
            span_s=(date(end_year, end_month + 1, 1) - start.replace(day=1)).days * DAY_S,
            existing=existing,
            new=settings.customers - existing,
        )
        self._blocks: list[Block] = []

    @property
    def attributes(self) -> tuple[Column, ...]:
        """What the company says of a customer besides the canonical columns."""
        return (
            Column(name="plan", kind="category", description="Plan: free, basic or pro"),
            Column(name="country", kind="category", description="Country of the customer (ISO 3166, two letters)"),
        )

    def given(self, table: Table) -> frozenset[str]:
        """All the optional columns."""
        return frozenset(OPTIONAL[table])

    def says_when_known(self, table: Table) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """Rows that became known in ``[start_s, end_s)`` (epoch seconds, UTC), sorted by key.

        Returns:
            Texts, and Int64 for times (epoch seconds, UTC) and money (cents):

            - ``customers``, a row per version of a customer's record: ``customer_id``, ``occurred_s`` (when the version
              became true), ``known_s``, ``signed_up_s``, ``plan``, ``country``; key ``customer_id``, ``occurred_s``.
            - ``events``: ``event_id`` (key), ``customer_id``, ``event_type``, ``occurred_s``, ``known_s``.
            - ``payments``, a row per attempt to collect and per refund: ``payment_id`` (key), ``customer_id``,
              ``amount_cents`` (positive, refunds too), ``status``, ``occurred_s``, ``known_s``.
        """
        match table:
            case "customers":
                return Delivery(self._customers(start_s, end_s))
            case "events":
                return Delivery(self._events(start_s, end_s))
            case "payments":
                return Delivery(self._payments(start_s, end_s))

    def probability_of_leaving(self, customer_ids: Sequence[str], snapshot_s: int, horizon_s: int) -> Floats:
        """P(leaves within ``[snapshot, snapshot + horizon)`` | true state at the snapshot), exact.

        Args:
            customer_ids: people who are customers at the snapshot.
            snapshot_s: epoch seconds of 00:00 UTC of a day.
            horizon_s: length of the window in seconds, whole days.

        Returns:
            Probabilities in the order of ``customer_ids``.

        Raises:
            ValueError: an id is not that of a customer at the snapshot, or a time is not a whole day.
        """
        if snapshot_s % DAY_S or horizon_s % DAY_S or horizon_s < 0:
            raise ValueError(
                f"snapshot {snapshot_s} and horizon {horizon_s} must be whole days: multiples of {DAY_S} seconds"
            )
        first, days = snapshot_s // DAY_S, horizon_s // DAY_S
        month_days = np.array([day_of_month(day) for day in range(first, first + days)], dtype=np.int64)
        leaving = self._law.probability_of_leaving(month_days[:, None] == np.arange(1, LAST_BILLING_DAY + 1))
        number = np.array([_customer_number(customer_id) for customer_id in customer_ids], dtype=np.int64)
        probability = np.full(len(number), np.nan)
        for block in self._blocks_until(first):
            state = block.state_before(first)
            position = number - block.first_customer
            inside = np.flatnonzero((position >= 0) & (position < len(state)))
            inside = inside[state[position[inside]] != GONE]
            probability[inside] = leaving[state[position[inside]], block.billing_day[position[inside]] - 1]
        if np.isnan(probability).any():
            unknown = customer_ids[int(np.flatnonzero(np.isnan(probability))[0])]
            raise ValueError(f"{unknown!r} is no customer at {snapshot_s}: not signed up before it, or left before it")
        return probability

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the settings and the version of the simulator: equal only where all rows are equal."""
        return hashlib.sha256(f"{SIMULATOR_VERSION} {self._settings.model_dump_json()}".encode()).hexdigest()

    def _blocks_until(self, day: int) -> Iterator[Block]:
        """The blocks of everybody who signed up before or on a day."""
        number = 0
        while True:
            if number == len(self._blocks):
                self._blocks.append(Block(number, self._arrivals, self._law))
            yield self._blocks[number]
            if self._blocks[number].first_day[-1] > day + 1:
                return
            number += 1

    def _days_of(self, start_s: int, end_s: int, lookback_days: int) -> tuple[int, int]:
        """First and last day to replay for a period; at least the first day with data, so that there are columns."""
        return start_s // DAY_S - lookback_days, max(end_s - 1, self._arrivals.start_s) // DAY_S

    def _customers(self, start_s: int, end_s: int) -> pl.DataFrame:
        first, last = self._days_of(start_s, end_s, rows.CHANGE_LOOKBACK_DAYS)
        parts = []
        for block in self._blocks_until(last):
            parts.append(rows.arrivals(block, self._arrivals.start_s))
            parts.extend(rows.plan_changes(today) for today in block.days(first, last))
        return (
            _known_within(start_s, end_s, parts)
            .sort("customer", "occurred_s")
            .select(
                _customer_id(),
                "occurred_s",
                "known_s",
                "signed_up_s",
                plan=_text("plan", PLANS),
                country=_text("country", COUNTRIES),
            )
        )

    def _events(self, start_s: int, end_s: int) -> pl.DataFrame:
        first, last = self._days_of(start_s, end_s, rows.EVENT_LOOKBACK_DAYS)
        parts = [rows.events(today) for block in self._blocks_until(last) for today in block.days(first, last)]
        return (
            _known_within(start_s, end_s, parts)
            .sort("id")
            .select(
                pl.format("e{}", "id").alias("event_id"),
                _customer_id(),
                _text("type", rows.EVENT_TYPES).alias("event_type"),
                "occurred_s",
                "known_s",
            )
        )

    def _payments(self, start_s: int, end_s: int) -> pl.DataFrame:
        first, last = self._days_of(start_s, end_s, rows.PAYMENT_LOOKBACK_DAYS)
        parts = []
        for block in self._blocks_until(last):
            leaving_day = np.full(BLOCK_CUSTOMERS, last + 1)
            bills = []
            for today in block.days(first, last):
                bills.append(rows.bills(today))
                leaving_day[today.changed[today.outcome == LEAVES]] = today.day
            for bill in bills:
                before_leaving = bill["occurred_s"] // DAY_S < leaving_day[bill["position"]]
                parts.append({name: column[before_leaving] for name, column in bill.items()})
        return (
            _known_within(start_s, end_s, parts)
            .sort("id")
            .select(
                pl.format("p{}", "id").alias("payment_id"),
                _customer_id(),
                "amount_cents",
                _text("status", STATUSES),
                pl.lit(None, dtype=pl.Int64).alias("due_s"),
                pl.lit(None, dtype=pl.Int64).alias("list_cents"),
                "occurred_s",
                "known_s",
            )
        )


def _known_within(start_s: int, end_s: int, parts: Sequence[rows.Columns]) -> pl.DataFrame:
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    known = (columns["known_s"] >= start_s) & (columns["known_s"] < end_s)
    return pl.DataFrame({name: column[known] for name, column in columns.items()})


def _text(index: str, texts: Sequence[str]) -> pl.Expr:
    return pl.col(index).replace_strict(range(len(texts)), texts, return_dtype=pl.String)


def _customer_id() -> pl.Expr:
    return pl.format("c{}", pl.col("customer").cast(pl.String).str.zfill(CUSTOMER_DIGITS)).alias("customer_id")


def _customer_number(customer_id: str) -> int:
    digits = customer_id[1:]
    if len(digits) == CUSTOMER_DIGITS and digits.isascii() and digits.isdigit() and customer_id[0] == "c":
        return int(digits)
    raise ValueError(f"{customer_id!r} is no customer of the synthetic company: ids are c and {CUSTOMER_DIGITS} digits")
