"""The section ``training`` of ``churn.yaml``: the split of the rows, the families and the search."""

from typing import Literal

from pydantic import Field

from churn_store.settings import Section

FamilyName = Literal["logistic_regression", "random_forest", "gradient_boosting", "lightgbm", "xgboost"]


MOST_TRIALS = 1_000
"""The greatest number of parameters that the search of a family may try."""


LEAST_ROWS = 50
"""The least that ``training.minimum_rows`` may be."""


class Training(Section):
    """How a training set is cut and what is trained."""

    families: tuple[FamilyName, ...] = Field(("logistic_regression", "random_forest", "gradient_boosting"), min_length=1)
    trials: int = Field(
        6, ge=1, le=MOST_TRIALS, description="parameters that the search tries for each family; 1 takes the defaults"
    )
    tuning_rows: int = Field(
        12_000,
        ge=500,
        description="the first share of the rows that the search looks at; the next ones are 3 and 9 times as large",
    )
    most_rows: int = Field(
        1_500_000,
        ge=1_000,
        description="a model is fitted on no more training rows than these, of customers drawn by the seed; a row takes about 3 KB",
    )
    search: dict[FamilyName, dict[str, tuple[float, float]]] = Field(
        {}, description="least and greatest value of a family's parameter, in place of its own"
    )
    resampling: Literal["none", "undersample", "oversample"] = Field(
        "none", description="of the training rows alone; the calibration on later rows sets the probabilities right"
    )
    judging_snapshots: int = Field(2, ge=1, description="the newest mature snapshots, kept for the gate")
    selecting_snapshots: int = Field(
        1, ge=1, description="snapshots before those that calibrate the families and choose between them"
    )
    training_snapshots: int = Field(18, ge=1, description="at most so many snapshots before those, newest first")
    held_out_share: float = Field(0.3, gt=0, lt=0.5, description="data without time: share of rows kept for the gate")
    minimum_rows: int = Field(200, ge=LEAST_ROWS, description="fewer rows to train on, or to judge on, are refused")
    single_feature_auc: float = Field(
        0.95, gt=0.5, le=1, description="a feature that alone has a better AUC than this is taken for a leak"
    )
    minimum_correlation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="a model looks at no number that is less correlated with churn on the rows that it is fitted on",
    )
    seed: int = 42
