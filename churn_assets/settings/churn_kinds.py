"""The section ``label.kinds`` of ``churn.yaml``: how churn by payment failure is told from churn by the customer's own will.

Belongs here: what may be said of it. Does not belong here: the rule itself (``features.churn_kinds``).
"""

from pydantic import Field

from churn_assets.settings.events import Words
from churn_store.settings import Section


class ChurnKinds(Section):
    """What counts as churn by payment failure, which the field calls involuntary; all other churn is voluntary."""

    failed_days: int = Field(
        30,
        gt=0,
        le=180,
        description="the newest payment of so many days before the end failed, and none settled after it",
    )
    events: Words = Field(
        (), description="types of events that say so themselves, such as one of an account that was closed unpaid"
    )
