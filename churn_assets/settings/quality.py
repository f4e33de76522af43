"""The section ``quality`` of ``churn.yaml``: what makes a period's data broken, and not only changed."""

from pydantic import Field

from churn_store.settings import Section


class Quality(Section):
    """When a period is taken for broken, so that it is refused until it is corrected or accepted."""

    earlier_periods: int | None = Field(
        None,
        ge=2,
        le=400,
        description="earlier periods needed before a period can be judged; default: 3 months, 4 weeks or 14 days, by `cadence`",
    )
    history: int = Field(24, ge=2, le=400, description="newest earlier periods that a period is compared with")
    missing_limit: float = Field(
        0.2,
        ge=0,
        le=1,
        description="largest share of a feature that may be missing at a snapshot; a feature that earlier snapshots lacked more often "
        "may be missing as often as there, and `margin` more",
    )
    margin: float = Field(
        0.1,
        gt=0,
        le=1,
        description="how far a share of missing values, or of repeated rows, may lie above the largest of earlier periods",
    )
    new_category_limit: float = Field(
        0.5,
        gt=0,
        le=1,
        description="largest share of a column's rows that may have words never seen before; fewer are reported",
    )
    overdue_days: int = Field(
        3, ge=1, le=366, description="days after a period's end from which on a table that does not have it is overdue"
    )
