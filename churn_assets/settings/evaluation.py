"""The section ``evaluation`` of ``churn.yaml``: segments, bootstrap and backtest."""

from pydantic import Field

from churn_store.settings import Section


class EvaluationSettings(Section):
    """What is measured of a model, besides the measures themselves."""

    segments: tuple[str, ...] = Field(
        (), description="features by whose words customers are grouped; default: all with at most `segment_words` words"
    )
    segment_words: int = Field(12, ge=2, description="a feature with more words than this makes no segments by itself")
    segment_rows: int = Field(200, ge=50, description="a segment with fewer judging rows is not judged")
    draws: int = Field(200, ge=100, le=10_000, description="bootstrap draws of whole customers for each interval")
    folds: int = Field(
        6, ge=2, description="folds of the backtest; fewer where there are not so many snapshots is an error"
    )
    ages: int = Field(6, ge=1, description="the backtest follows a model up to so many periods")
