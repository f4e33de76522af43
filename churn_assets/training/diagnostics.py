"""The metadata of a fitted family: charts of its selecting rows, and a summary of the search."""

from typing import TYPE_CHECKING, Any

import polars as pl

from churn_assets.evaluation.evaluate import CONFIDENCE, reliability
from churn_assets.evaluation.plots import pictures
from churn_assets.settings.fitting import FittingSettings
from churn_assets.tables import SELECT
from churn_assets.training.fitting import Fitted
from churn_assets.training.tuning import best
from churn_store.releases.manifest import Evaluation, ProfitTerms

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MEASURED_ON = "selecting rows, one horizon after every label it was fitted on; each half of their customers is calibrated on the other half"


def selecting_plots(fitted: Fitted, training_set: pl.DataFrame, settings: FittingSettings) -> dict[str, str]:
    """Charts of the scores on the selecting rows, from which a family's measures were computed: SVG by name."""
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


def order(pipeline: "Pipeline") -> str:
    """Whether calibration keeps the order in which the estimator puts the customers, or reverses it."""
    classifiers = pipeline.named_steps["model"].calibrated_classifiers_
    if any(sigmoid.a_ > 0 for classifier in classifiers for sigmoid in classifier.calibrators):
        return "reversed by the calibration: scores and churn are negatively related on the selecting rows"
    return "kept by the calibration"


def search_summary(fitted: Fitted) -> dict[str, Any]:
    """The number of trials, the rows of the largest share and the losses on them; without a search, the number alone."""
    if not fitted.trials:
        return {"trials": 0}
    return {
        "trials": len(fitted.trials),
        "default_log_loss": fitted.trials[0].log_loss,
        "searched_rows": fitted.trials[0].rows,
        "best_log_loss": best(fitted.trials).log_loss,
    }
