"""The built-in synthetic company: a source of the canonical tables whose true probabilities are known.

Belongs here: its settings, the tables of a period, and the probability of leaving, by the hidden state and by what the tables say. Does
not belong here: why customers leave (``law``), what the tables tell of the state (``forward_filter``), who signs up (``customers``),
whom its campaigns keep (``campaigns``), their rows (``rows``, ``bills``), how rows become tables (``tables``), changes from a day on (``scenarios``), errors in rows (``dirt``).
Nothing here knows about Dagster or the lake.

The content of a row is decided on its day or earlier, and days begin at 00:00 UTC. So at a snapshot at 00:00 no known row depends on
anything that happens later.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from churn_assets.simulator.campaigns import Campaign
from churn_assets.simulator.customers import BLOCK_CUSTOMERS, LAST_BILLING_DAY, Block, Market, day_of_month
from churn_assets.simulator.dirt import Dirt
from churn_assets.simulator.forward_filter import FILTER_VERSION, ForwardFilter
from churn_assets.simulator.law import GONE, Floats, Integers
from churn_assets.simulator.probability_cache import ProbabilityCache
from churn_assets.simulator.rows import CUSTOMER_NUMBERS
from churn_assets.simulator.scenarios import Scenario
from churn_assets.simulator.tables import CUSTOMER_DIGITS, Tables
from churn_store.clock import DAY_S
from churn_store.mapping.settings import MappedTable
from churn_store.mapping.tables import OPTIONAL, Delivery, Table
from churn_store.model.signature import Column

EXISTING_SHARE = 0.15
"""The share of ``customers`` from before the start."""
SIMULATOR_VERSION = 2
"""The version of the simulator, raised whenever the same settings give other rows."""


class SyntheticSettings(BaseModel):
    """The synthetic company: how large it is, how long it has data, and how many of its customers leave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["synthetic"] = "synthetic"
    seed: int = Field(default=42, ge=0, lt=2**64, description="Another seed: another company under the same law.")
    customers: int = Field(
        default=20_000,
        ge=10,
        lt=CUSTOMER_NUMBERS // 10,
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
    scenario: Scenario = Field(default=Scenario(), description="What happens to the company's world, and from when on.")
    dirt: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of the rows that are hit: delivered again or late, or with a value missing or impossible.",
    )

    campaigns: tuple[Campaign, ...] = Field(
        default=(),
        description="Lists of customers who are called, each on a day of its own; with them the company has a table `treatments`.",
        exclude_if=lambda campaigns: not campaigns,  # so that the fingerprint of a company without them is what it was
    )

    @property
    def shape(self) -> Literal["history", "table"]:
        """A history, always."""
        return "history"

    @property
    def tables(self) -> tuple[Table, ...]:
        """The raw tables that features and labels are made of: all but the treatments."""
        return ("customers", "events", "payments")

    @property
    def raw_tables(self) -> tuple[Table, ...]:
        """The raw tables: with campaigns also the treatments."""
        return (*self.tables, "treatments") if self.campaigns else self.tables

    def described(self, table: Table) -> MappedTable | None:  # noqa: ARG002 - as of a source whose tables are described
        """`None`: these tables are already canonical."""
        return None

    @model_validator(mode="after")
    def _scenario_is_within_the_data(self) -> Self:
        if self.scenario.start is not None and self.scenario.start < self.start:
            raise ValueError(
                f"scenario.start {self.scenario.start} is before the first day with data, {self.start}; choose a later day"
            )
        return self

    @model_validator(mode="after")
    def _campaigns_have_days_of_their_own(self) -> Self:
        days = [campaign.day for campaign in self.campaigns]
        if days and min(days) < self.start:
            raise ValueError(
                f"a campaign is on {min(days)}, before the first day with data, {self.start}; choose a later day"
            )
        if len(set(days)) < len(days):
            raise ValueError("two campaigns are on one day; expected a day of its own for each. Move one of them")
        return self


class SyntheticSource:
    """The tables of a synthetic company, any period on its own, and the probability of leaving.

    States are stored every few days so that no full replay is needed; no result depends on earlier calls.

    Args:
        settings: the company.
        cache: folder in which ``filtered_probability_of_leaving`` keeps results for other processes; `None` for none.
    """

    def __init__(self, settings: SyntheticSettings, *, cache: Path | None = None) -> None:
        self._settings = settings
        start = settings.start
        end_year, end_month = divmod(start.year * 12 + start.month - 1 + settings.months, 12)
        existing = round(settings.customers * EXISTING_SHARE)
        home = Market(
            seed=settings.seed,
            first_block=0,
            start_s=int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()),
            span_s=(date(end_year, end_month + 1, 1) - start.replace(day=1)).days * DAY_S,
            existing=existing,
            new=settings.customers - existing,
        )
        self._laws = settings.scenario.laws(settings.monthly_churn)
        self._tables = Tables(home, self._laws, settings.scenario, Dirt(settings.seed, settings.dirt), settings.campaigns)
        self._filters: dict[int, ForwardFilter] = {}
        self._cache = ProbabilityCache(cache, f"{FILTER_VERSION} {self.fingerprint()}")

    @property
    def attributes(self) -> tuple[Column, ...]:
        """The columns of a customer in addition to the canonical ones."""
        return (
            Column(name="plan", kind="category", description="Plan: free, basic or pro"),
            Column(name="country", kind="category", description="Country of the customer (ISO 3166, two letters)"),
        )

    def given(self, table: Table) -> frozenset[str]:
        """All the optional columns."""
        return frozenset(OPTIONAL[table])

    def numeric_words(self, table: Table) -> frozenset[str]:  # noqa: ARG002
        """None: its words are text."""
        return frozenset()

    def says_when_known(self, table: Table) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def read(self, table: Table, start_s: int, end_s: int) -> Delivery:
        """Rows that became known in ``[start_s, end_s)`` (epoch seconds, UTC), sorted by key and then by ``known_s``.

        Returns:
            Texts, and Int64 for times (epoch seconds, UTC) and money (cents); without ``dirt`` no nulls and unique keys:

            - ``customers``, a row per version of a customer's record: ``customer_id``, ``occurred_s`` (when the version
              became true), ``known_s``, ``signed_up_s``, ``plan``, ``country``; key ``customer_id``, ``occurred_s``.
            - ``events``: ``event_id`` (key), ``customer_id``, ``event_type``, ``occurred_s``, ``known_s``.
            - ``payments``, a row per attempt to collect and per refund: ``payment_id`` (key), ``customer_id``,
              ``amount_cents`` (positive, refunds too), ``status``, ``due_s`` (the last second of the billing day),
              ``list_cents`` (less a discount it is the amount), ``occurred_s``, ``known_s``.
            - ``treatments``, a row per customer on the list of a campaign: ``customer_id``, ``channel``, ``offer``, ``treated``,
              ``propensity``, ``occurred_s``, ``known_s``; none without campaigns.
        """
        match table:
            case "customers":
                return Delivery(self._tables.customers(start_s, end_s))
            case "events":
                return Delivery(self._tables.events(start_s, end_s))
            case "payments":
                return Delivery(self._tables.payments(start_s, end_s))
            case "treatments":
                return Delivery(self._tables.treatments(start_s, end_s))

    def probability_of_leaving(self, customer_ids: Sequence[str], snapshot_s: int, horizon_s: int) -> Floats:
        """P(leaves within ``[snapshot, snapshot + horizon)`` | true state at the snapshot), exact. The state is hidden: nobody reaches it.

        Args:
            customer_ids: ids of customers at the snapshot.
            snapshot_s: epoch seconds of 00:00 UTC of a day.
            horizon_s: length of the window in seconds, whole days.

        Returns:
            Probabilities in the order of ``customer_ids``.

        Raises:
            ValueError: if an id is not that of a customer at the snapshot, or a time is not a whole day.
        """

        def of_block(block: Block, day: int, leaving: Floats) -> tuple[Integers, Floats]:
            state = block.state_before(day)
            position = np.flatnonzero(state != GONE)
            return position, leaving[state[position], block.billing_day[position] - 1]

        return self._by_customer(customer_ids, snapshot_s, horizon_s, of_block)

    def filtered_probability_of_leaving(self, customer_ids: Sequence[str], snapshot_s: int, horizon_s: int) -> Floats:
        """P(leaves within ``[snapshot, snapshot + horizon)`` | rows known before the snapshot): the best that anyone can predict.

        Arguments, result and errors are those of ``probability_of_leaving``. Rows count as they are without ``dirt``. A result is kept, as it
        takes seconds to compute; ascending snapshots cost the least.
        """

        def of_block(block: Block, day: int, leaving: Floats) -> tuple[Integers, Floats]:
            number = block.first_customer
            if number not in self._filters:
                self._filters[number] = ForwardFilter(block, self._laws, self._settings.scenario.list_cents)
            filtered = self._filters[number]
            return self._cache.get((number, day, horizon_s), lambda: filtered.probability_of_leaving(day, leaving))

        return self._by_customer(customer_ids, snapshot_s, horizon_s, of_block)

    def _by_customer(
        self,
        customer_ids: Sequence[str],
        snapshot_s: int,
        horizon_s: int,
        of_block: Callable[[Block, int, Floats], tuple[Integers, Floats]],
    ) -> Floats:
        """A probability of leaving, by customer.

        Args:
            customer_ids: as of ``probability_of_leaving``, like the next two.
            snapshot_s: snapshot.
            horizon_s: length of the window.
            of_block: gives the positions of a block's customers on a day, ascending, and the probability of each, from those by state and
                billing day.
        """
        if snapshot_s % DAY_S or horizon_s % DAY_S or horizon_s < 0:
            raise ValueError(
                f"snapshot {snapshot_s} and horizon {horizon_s} must be whole days: multiples of {DAY_S} seconds"
            )
        first, days = snapshot_s // DAY_S, horizon_s // DAY_S
        month_days = np.array([day_of_month(day) for day in range(first, first + days)], dtype=np.int64)
        leaving = self._laws.probability_of_leaving(first, month_days[:, None] == np.arange(1, LAST_BILLING_DAY + 1))
        number = np.array([_customer_number(customer_id) for customer_id in customer_ids], dtype=np.int64)
        probability = np.full(len(number), np.nan)
        for block in self._tables.blocks_until(first):
            of_position = np.full(BLOCK_CUSTOMERS, np.nan)
            position, found = of_block(block, first, leaving)
            of_position[position] = found
            asked = number - block.first_customer
            inside = np.flatnonzero((asked >= 0) & (asked < BLOCK_CUSTOMERS))
            probability[inside] = of_position[asked[inside]]
        if np.isnan(probability).any():
            unknown = customer_ids[int(np.flatnonzero(np.isnan(probability))[0])]
            raise ValueError(f"{unknown!r} is no customer at {snapshot_s}: not signed up before it, or left before it")
        return probability

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the settings and the version of the simulator: equal only where all rows are equal."""
        return hashlib.sha256(f"{SIMULATOR_VERSION} {self._settings.model_dump_json()}".encode()).hexdigest()


def _customer_number(customer_id: str) -> int:
    digits = customer_id[1:]
    if len(digits) == CUSTOMER_DIGITS and digits.isascii() and digits.isdigit() and customer_id[0] == "c":
        return int(digits)
    raise ValueError(f"{customer_id!r} is no customer of the synthetic company: ids are c and {CUSTOMER_DIGITS} digits")
