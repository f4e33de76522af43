"""The section ``gate`` of ``churn.yaml``: the bounds that a candidate must keep before it may serve."""

from pydantic import Field

from churn_store.settings import Section


class Gate(Section):
    """What a candidate must show before it may serve."""

    auc_floor: float = Field(
        0.6, ge=0.5, lt=1, description="least AUC; a lower one whose interval reaches above it decides nothing"
    )
    auc_plausible: float = Field(
        0.95,
        gt=0.5,
        le=1,
        description="a better AUC than this is taken for a leak; without time only where few columns carry it",
    )
    calibration_slope: tuple[float, float] = Field(
        (0.7, 1.4), description="bounds of the calibration slope; an interval that reaches over one decides nothing"
    )
    calibration_intercept: tuple[float, float] = Field(
        (-0.5, 0.5), description="bounds of the calibration in the large, in log odds; likewise"
    )
    confidence: float = Field(0.95, ge=0.8, lt=1, description="of the one-sided bounds")
    minimum_rows: int = Field(
        500, ge=50, description="with fewer judging rows the gate takes no decision against a champion"
    )
    minimum_churners: int = Field(30, ge=10, description="likewise, of churners among them")
    segment_margin: float = Field(
        0.5, ge=0, description="how much less profit per customer a segment may bring than with the champion"
    )
    latency_ratio: float = Field(10.0, gt=0, description="greatest time of a single prediction, in those of the champion")
    untuned_auc_margin: float = Field(
        0.001,
        ge=0,
        lt=0.5,
        description="how much less AUC than an untuned model of one of its families a candidate may have",
    )
    untuned_log_loss_margin: float = Field(0.0005, ge=0, description="likewise, how much more log loss")
    rule_seconds: float = Field(300.0, gt=0, description="a rule that takes longer has failed")
    reading_seconds: float = Field(
        3600.0, gt=0, description="if reading the rows and fitting the untuned models takes longer, every rule has failed"
    )
