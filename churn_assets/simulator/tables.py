"""The canonical tables of the synthetic company for a stretch of time, made from the days of its customers.

Belongs here: which days a stretch needs, and how whole numbers become columns with ids and words. Does not belong here: the rows
of a day (``rows``, ``bills``).

Blocks are processed one by one, and only rows that became known within the stretch are kept, so memory is needed for them alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from churn_assets.simulator import bills, rows
from churn_assets.simulator.campaigns import Campaign
from churn_assets.simulator.customers import BLOCK_CUSTOMERS, COUNTRIES, Block, Market
from churn_assets.simulator.dirt import Dirt
from churn_assets.simulator.law import LEAVES, PLANS, DatedLaws
from churn_assets.simulator.rows import Columns
from churn_assets.simulator.scenarios import Scenario
from churn_store.clock import DAY_S
from churn_store.mapping.tables import SCHEMAS, STATUSES, Table

CUSTOMER_DIGITS = len(str(rows.CUSTOMER_NUMBERS)) - 1


class Tables:
    """The tables of a company; states are stored every few days, and no result depends on earlier calls.

    Args:
        home: sign-ups of the company without a scenario.
        laws: law of each day.
        scenario: change of the company's world, and its first day.
        dirt: errors in the rows.
        campaigns: lists of customers who are called.
    """

    def __init__(
        self, home: Market, laws: DatedLaws, scenario: Scenario, dirt: Dirt, campaigns: Sequence[Campaign] = ()
    ) -> None:
        self._start_s = home.start_s
        self._campaigns = tuple(campaigns)
        self._laws, self._scenario, self._dirt = laws, scenario, dirt
        self._blocks: dict[Market, list[Block]] = {market: [] for market in scenario.markets(home)}

    def customers(self, start_s: int, end_s: int) -> pl.DataFrame:
        """The versions of customers' records that became known in ``[start_s, end_s)``."""
        first, last = self._days_of(start_s, end_s, rows.LOOKBACK_DAYS)

        def parts() -> Iterator[Columns]:
            for block in self.blocks_until(last):
                yield rows.arrivals(block, self._start_s)
                for today in block.days(first, last):
                    yield rows.plan_changes(today)

        known = self._known_within("customers", start_s, end_s, parts()).sort("customer", "occurred_s", "known_s")
        return self._delivered(
            "customers",
            known,
            [
                _customer_id(),
                pl.col("occurred_s", "known_s", "signed_up_s"),
                _text("plan", PLANS).alias("plan"),
                _text("country", COUNTRIES).alias("country"),
            ],
        )

    def events(self, start_s: int, end_s: int) -> pl.DataFrame:
        """The events that became known in ``[start_s, end_s)``."""
        first, last = self._days_of(start_s, end_s, rows.LOOKBACK_DAYS)
        parts = (rows.events(today) for block in self.blocks_until(last) for today in block.days(first, last))
        known = self._known_within("events", start_s, end_s, parts).sort("id", "known_s")
        return self._delivered(
            "events",
            known,
            [
                pl.format("e{}", "id").alias("event_id"),
                _customer_id(),
                _text("type", rows.EVENT_TYPES).alias("event_type"),
                pl.col("occurred_s", "known_s"),
            ],
        )

    def payments(self, start_s: int, end_s: int) -> pl.DataFrame:
        """The payments that became known in ``[start_s, end_s)``."""
        first, last = self._days_of(start_s, end_s, bills.LOOKBACK_DAYS)
        parts = (part for block in self.blocks_until(last) for part in self._payments(block, first, last))
        known = self._known_within("payments", start_s, end_s, parts).sort("id", "known_s")
        return self._delivered(
            "payments",
            known,
            [
                pl.format("p{}", "id").alias("payment_id"),
                _customer_id(),
                pl.col("amount_cents"),
                _text("status", STATUSES).alias("status"),
                pl.col("due_s", "list_cents", "occurred_s", "known_s"),
            ],
        )

    def treatments(self, start_s: int, end_s: int) -> pl.DataFrame:
        """The treatments of the campaigns whose day lies in ``[start_s, end_s)``; they have no dirt, and are known at once."""
        kinds = SCHEMAS["treatments"]
        parts = [pl.DataFrame(schema=kinds)]
        for campaign in self._campaigns:
            assigned_s = campaign.on_day * DAY_S
            if not start_s <= assigned_s < end_s:
                continue
            for block in self.blocks_until(campaign.on_day):
                drawn = block.listed(campaign)
                columns = {"customer": drawn.position + block.first_customer, "treated": drawn.treated}
                parts.append(
                    pl.DataFrame(columns).select(
                        _customer_id(),
                        channel=pl.lit(campaign.channel),
                        offer=pl.lit(campaign.offer),
                        treated=pl.col("treated"),
                        propensity=pl.lit(1 - campaign.holdout),
                        occurred_s=pl.lit(assigned_s, dtype=pl.Int64),
                        known_s=pl.lit(assigned_s, dtype=pl.Int64),
                    )
                )
        return pl.concat(parts).sort("customer_id", "occurred_s")

    def blocks_until(self, day: int) -> Iterator[Block]:
        """The blocks of everybody who signed up before or on a day (days since 1970-01-01)."""
        for market, blocks in self._blocks.items():
            number = 0
            while True:
                if number == len(blocks):
                    blocks.append(Block(number, market, self._laws, self._campaigns))
                yield blocks[number]
                if blocks[number].first_day[-1] > day + 1:
                    break
                number += 1

    def _days_of(self, start_s: int, end_s: int, lookback_days: int) -> tuple[int, int]:
        """First and last day to replay for a stretch; at least the first day with data, so that there are columns."""
        first = start_s // DAY_S - lookback_days - self._dirt.longest_delay_days
        return first, max(end_s - 1, self._start_s) // DAY_S

    def _payments(self, block: Block, first: int, last: int) -> Iterator[Columns]:
        """The payments of a block's bills from day ``first`` to ``last``, without those on or after a customer's last day."""
        leaving_day = np.full(BLOCK_CUSTOMERS, last + 1)
        drawn = []
        for today in block.days(first, last):
            drawn.append(bills.bills(today, self._scenario.list_cents(today.day)))
            leaving_day[today.changed[today.outcome == LEAVES]] = today.day
        for bill in drawn:
            before_leaving = bill["occurred_s"] // DAY_S < leaving_day[bill["position"]]
            yield {name: column[before_leaving] for name, column in bill.items()}

    def _known_within(self, table: Table, start_s: int, end_s: int, parts: Iterator[Columns]) -> pl.DataFrame:
        kept = []
        for part in parts:
            moved = self._dirt.moved(table, part)
            known = (moved["known_s"] >= start_s) & (moved["known_s"] < end_s)
            kept.append(moved if known.all() else {name: column[known] for name, column in moved.items()})
        return pl.DataFrame({name: np.concatenate([part.pop(name) for part in kept]) for name in list(kept[0])})

    def _delivered(self, table: Table, known: pl.DataFrame, columns: Sequence[pl.Expr]) -> pl.DataFrame:
        written = known.select(*columns, pl.col(self._dirt.marks))
        return self._dirt.spoiled(table, self._scenario.tracked(table, written))


def _text(index: str, texts: Sequence[str]) -> pl.Expr:
    return pl.col(index).replace_strict(range(len(texts)), texts, return_dtype=pl.String)


def _customer_id() -> pl.Expr:
    return pl.format("c{}", pl.col("customer").cast(pl.String).str.zfill(CUSTOMER_DIGITS)).alias("customer_id")
