"""The section ``monitoring`` of ``churn.yaml``: when a snapshot has drifted."""

from pydantic import Field

from churn_store.settings import Section


class Monitoring(Section):
    """When a snapshot has drifted."""

    significance: float = Field(0.05, gt=0, lt=1, description="false discovery rate of the tests over the features")
    effect: float = Field(
        0.02,
        gt=0,
        description="bias-corrected PSI up to which no shift matters, whatever the rows; a feature's cut is greater in small windows, and "
        "where more was usual before the release",
    )
    windows: int = Field(3, ge=1, description="how many newest snapshots are looked at")
    agreeing: int = Field(2, ge=1, description="how many of them must agree before it is an alert")
    report_rows: int = Field(4000, ge=200, le=100_000, description="rows that the drawn report samples")
