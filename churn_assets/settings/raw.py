"""The section ``raw`` of ``churn.yaml``: how many faults a period of a raw table may have."""

from typing import Literal

from pydantic import Field

from churn_store.settings import Section


class Raw(Section):
    """What may be wrong with what arrives."""

    quarantine_limit: float = Field(
        0.02,
        ge=0,
        lt=1,
        description="largest share of a period's rows that may be set aside; above it the period is refused",
    )
    empty_periods: Literal["refuse", "accept"] = Field(
        "refuse",
        description="a period without any event, or without any payment, is taken for a broken feed, or for a quiet one",
    )
