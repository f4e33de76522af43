"""Campaigns of the synthetic company: lists of customers who are called, with a known effect.

Belongs here: the settings of a campaign, who is on its list, who is held out by chance, and whom it keeps. Does not belong here: the replay
of the days (``customers``), and the rows of the table (``tables``).

Whoever is treated and takes the offer does not leave while it lasts; all else stays as it would have been. So the effect on a label is known:
of the treated who would have left within the offer's days, the share ``keeps`` stays. The probabilities of leaving that the simulator gives are
those without an offer.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from churn_assets.periods import epoch_s
from churn_assets.simulator.law import Floats, Integers
from churn_store.clock import DAY_S


class Campaign(BaseModel):
    """A list of customers who are called on a day, but for some who are held out by chance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: date = Field(description="the day on which the list is made, at 00:00 UTC")
    share: float = Field(default=0.1, gt=0, le=1, description="share of the customers of that day who are on the list")
    by: Literal["score", "random"] = Field(
        default="score", description="score: those with the highest probability of leaving within 30 days; random: anybody"
    )
    holdout: float = Field(default=0.1, ge=0, lt=1, description="share of the list that is held out by chance")
    keeps: float = Field(
        default=0.3, ge=0, le=1, description="share of the treated who take the offer, and do not leave while it lasts"
    )
    lasts_days: int = Field(default=30, ge=1, le=365, description="days that the offer lasts")
    channel: str = Field(default="phone", min_length=1, max_length=60, description="how customers are reached")
    offer: str = Field(default="discount", min_length=1, max_length=100, description="what they are offered")

    @property
    def on_day(self) -> int:
        """Its day, as days since 1970-01-01."""
        return epoch_s(self.day) // DAY_S


@dataclass(frozen=True)
class Listed:
    """The part of a campaign's list that is in a block of customers.

    Attributes:
        position: positions of the customers on the list, ascending.
        treated: whether each of them is treated.
        kept: whether each of them takes the offer.
    """

    position: Integers
    treated: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]


def listed(campaign: Campaign, customers: Integers, scores: Floats, random: np.random.Generator) -> Listed:
    """Who of the customers of a day is on the list, and what becomes of them.

    Args:
        campaign: campaign of that day.
        customers: positions of the block's customers who have not left, ascending.
        scores: probability of leaving of each of them.
        random: random numbers of the block and the day, for this purpose.
    """
    draw, held_out, takes = random.random((3, len(customers)))
    order = np.lexsort((draw, -scores)) if campaign.by == "score" else np.argsort(draw)
    chosen = np.sort(order[: round(campaign.share * len(customers))])
    treated = held_out[chosen] >= campaign.holdout
    return Listed(customers[chosen], treated, treated & (takes[chosen] < campaign.keeps))
