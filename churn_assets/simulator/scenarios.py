"""Scenarios: changes of the synthetic company's world from a given day on.

Belongs here: the scenarios and what each of them changes. Does not belong here: the simulation of each day (``law``, ``customers``,
``bills``). Rows that arrived before that day are those of the company without a scenario, bit for bit.

The terms are those of Moreno-Torres et al., "A unifying view on dataset shift in classification" (2012): ``price_increase`` is
a covariate shift (states move, the hazard in each stays), ``competitor`` a concept shift (the hazard in a state changes).
"""

from datetime import date
from typing import Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from churn_assets.periods import epoch_s
from churn_assets.simulator.customers import COUNTRIES, Market
from churn_assets.simulator.law import DatedLaws, Effects, Law
from churn_store.clock import DAY_S
from churn_store.mapping.tables import Table

Kind = Literal["none", "price_increase", "competitor", "tracking_bug", "new_country"]

LIST_CENTS = (0, 1_900, 4_900)
RAISED_CENTS = (0, 2_400, 6_400)
"""List prices by plan, before and after a price increase."""

EFFECTS: dict[Kind, Effects] = {
    "price_increase": Effects(downgrades_per_day=0.003),
    "competitor": Effects(plan=(0.0, 0.0, 1.0)),
}
"""The effects that a scenario changes; a competitor first wins the customers who pay most."""

NEW_COUNTRY = "PL"
NEW_COUNTRY_PACE = 0.5
"""Sign-ups in the new country, as a share of those everywhere else."""
NEW_COUNTRY_PLANS = (0.70, 0.25, 0.05)
NEW_COUNTRY_BLOCK = 2_048
"""The number of its first block of customers, so large that no other customer's number changes."""

VANISHED_EVENT = "feature_used"
CENTS_PER_UNIT = 100
UNKNOWN_COUNTRY_EVERY = 3
"""One second in three, and so about one record in three, loses its country to the tracking bug."""

NEVER = 10**6
"""A day that does not come."""


class Scenario(BaseModel):
    """A change of the company's world, and the day from which on it applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(
        default="none",
        description="price_increase: list prices rise and people move to cheaper plans; competitor: other customers leave than "
        "before; tracking_bug: amounts in units, missing countries, an event type that vanishes; new_country: further "
        "sign-ups in a new country, with other plans",
    )
    start: date | None = Field(default=None, description="the first day of it; needed for all but `none`")

    @model_validator(mode="after")
    def _has_a_start(self) -> Self:
        if (self.kind == "none") != (self.start is None):
            raise ValueError(
                f"scenario.kind {self.kind!r} needs a `start`, its first day"
                if self.start is None
                else "scenario.start is the first day of a scenario; name its `kind`, or leave `start` out"
            )
        return self

    @property
    def from_day(self) -> int:
        """Its first day in days since 1970-01-01; a day that never comes if there is no scenario."""
        return NEVER if self.start is None else epoch_s(self.start) // DAY_S

    def laws(self, monthly_churn: float) -> DatedLaws:
        """The law of each day. A scenario keeps the intercept, so that only the effects that it names change."""
        law = Law.calibrated(monthly_churn)
        effects = EFFECTS.get(self.kind)
        return DatedLaws(law, law if effects is None else Law(law.intercept, effects), self.from_day)

    def list_cents(self, day: int) -> tuple[int, ...]:
        """List price of a month of each plan, in cents, on a day."""
        return RAISED_CENTS if self.kind == "price_increase" and day >= self.from_day else LIST_CENTS

    def markets(self, home: Market) -> tuple[Market, ...]:
        """The markets of the company: ``home``, and with the scenario ``new_country`` the new one."""
        if self.kind != "new_country":
            return (home,)
        abroad = Market(
            seed=home.seed,
            first_block=NEW_COUNTRY_BLOCK,
            start_s=self.from_day * DAY_S,
            span_s=home.span_s,
            existing=0,
            new=max(1, round(home.new * NEW_COUNTRY_PACE)),
            plan_shares=NEW_COUNTRY_PLANS,
            country_shares=tuple(float(country == NEW_COUNTRY) for country in COUNTRIES),
        )
        return home, abroad

    def tracked(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows as the tracking records them: unchanged until the tracking bug begins.

        Args:
            table: name of the table.
            rows: rows with the canonical columns and the attributes.
        """
        if self.kind != "tracking_bug":
            return rows
        hit = pl.col("occurred_s") >= self.from_day * DAY_S
        match table:
            case "customers":
                lost = hit & (pl.col("occurred_s") % UNKNOWN_COUNTRY_EVERY == 0)
                return rows.with_columns(country=pl.when(~lost).then("country"))
            case "events":
                return rows.filter(~(hit & (pl.col("event_type") == VANISHED_EVENT)))
            case "payments":
                return rows.with_columns(
                    pl.when(hit).then(pl.col(name) // CENTS_PER_UNIT).otherwise(name).alias(name)
                    for name in ("amount_cents", "list_cents")
                )
            case "treatments":
                return rows
