"""The section ``performance`` of ``churn.yaml``: when a release is worse than its gate has found it."""

from pydantic import Field

from churn_store.settings import Section


class PerformanceSettings(Section):
    """When a release is worse than its gate has found it, by matured labels."""

    false_alarms: float = Field(
        0.05, gt=0, le=0.5, description="greatest probability of a false degradation in five years in which nothing changes"
    )
    margin: float = Field(
        0.01, ge=0, le=1, description="log loss above the promised one that does not matter, as a share of the promised one"
    )
    least_rows: int = Field(
        200, ge=50, description="customers with a prediction and an outcome below which nothing is judged"
    )
    least_churners: int = Field(
        20, ge=5, description="of them those who left, and those who stayed, below which nothing is judged"
    )
