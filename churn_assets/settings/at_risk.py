"""The section ``at_risk`` of ``churn.yaml``: which customers can churn at a snapshot."""

from pydantic import Field

from churn_assets.settings.events import ENDS, Words
from churn_store.settings import Section


class AtRisk(Section):
    """Who can churn at a snapshot."""

    signed_up_days: int = Field(30, ge=0, description="signed up at least so many days ago")
    active_days: int = Field(60, gt=0, description="some event or settled payment in so many days before")
    cancelled_event: Words | None = Field(
        ENDS,
        description="the type of event that ends a customer, or several; nobody who has one is at risk; null where customers come "
        "back; default: events.roles.cancelled",
    )

    @property
    def endings(self) -> tuple[str, ...]:
        """The types of events that end a customer; none where customers come back."""
        return self.cancelled_event or ()
