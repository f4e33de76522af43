"""What is shown of a fitted family: pictures of its selecting rows, and what the search found."""

from typing import Any

import polars as pl
from sklearn.pipeline import Pipeline

from churn_assets.evaluation.evaluate import CONFIDENCE, reliability
from churn_assets.evaluation.plots import pictures
from churn_assets.settings.company import FittingSettings
from churn_assets.tables import SELECT
from churn_assets.training.fitting import Fitted
from churn_assets.training.tuning import best
from churn_store.releases.manifest import Evaluation, ProfitTerms

MEASURED_ON = "selecting rows, one horizon after every label it was fitted on; each half of their customers with the calibration of the other"


def selecting_pictures(fitted: Fitted, training_set: pl.DataFrame, settings: FittingSettings) -> dict[str, str]:
    """Pictures of the scores that a family's measures are of, SVG by name."""
    churned = training_set.filter(pl.col("role") == SELECT)["churned"].to_numpy()
    profit = settings.profit
    evaluation = Evaluation(
        confidence=CONFIDENCE,
        intervals={},
        by_snapshot={},
        baselines={},
        segments=(),
        reliability=reliability(churned, fitted.scores),
        importance={},
        profit=ProfitTerms(**profit.model_dump()),
    )
    return pictures(churned, fitted.scores, evaluation, threshold=fitted.threshold, profit=profit)


def order(pipeline: Pipeline) -> str:
    """Whether the calibration of a pipeline has kept the order in which its estimator puts the customers."""
    parts = pipeline.named_steps["model"].calibrated_classifiers_
    if any(sigmoid.a_ > 0 for part in parts for sigmoid in part.calibrators):
        return "turned round by the calibration: the selecting rows run the other way than the training rows"
    return "kept by the calibration"


def searched(fitted: Fitted) -> dict[str, Any]:
    """How many trials there were, on how many rows the last were measured, and the losses there; no losses where nothing was searched."""
    if not fitted.trials:
        return {"trials": 0}
    return {
        "trials": len(fitted.trials),
        "default_log_loss": fitted.trials[0].log_loss,
        "searched_rows": fitted.trials[0].rows,
        "best_log_loss": best(fitted.trials).log_loss,
    }
