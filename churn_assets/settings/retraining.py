"""The section ``retraining`` of ``churn.yaml``: when a retraining starts."""

from typing import Literal

from pydantic import Field

from churn_store.settings import Section


class Retraining(Section):
    """When a retraining is asked for."""

    start: Literal["automatic", "manual"] = Field(
        "automatic",
        description="whether a retraining that is due begins by itself, or the sensor only says so and a person runs the job",
    )
    cooldown_days: int = Field(
        20, ge=0, description="no second retraining for drift or age within so many days of the last"
    )
    maximum_age_periods: int | None = Field(
        None,
        ge=1,
        description="retrain when the champion is so many periods older than a new model would be; default: the staleness limit "
        "that the newest backtest of its family saw",
    )
