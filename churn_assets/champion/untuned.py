"""Untuned models of the families: baselines of the gate, fitted on the candidate's training rows.

They are fitted and calibrated like the candidate, but with the library's own parameters, so that they differ by the search alone.
scikit-learn predicts here, as these models never serve and are never exported.

Does not belong here: by how much a candidate may be worse
(``champion.gate.untuned``).
"""

import polars as pl

from churn_assets.evaluation.measures import Scores
from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.tables import JUDGE, SELECT
from churn_assets.training.families import FAMILIES, inputs
from churn_assets.training.fitting import calibrated, fit, one_thread, training_rows
from churn_assets.training.readiness import varying_features


def untuned_scores(
    training_set: pl.DataFrame, features: tuple[Feature, ...], settings: FittingSettings
) -> dict[str, Scores]:
    """The probabilities of the judging rows by the untuned model of each family.

    Args:
        training_set: training set with the rows of every role.
        features: features that models may see.
        settings: families, and how training rows are sampled.

    Returns:
        Probabilities by family, one for each judging row in the order of the table.

    Raises:
        InputError: no model can be learned from the rows.
    """
    training = settings.training
    rows = training_rows(training_set, training, seed=training.seed)
    selecting, judging = (training_set.filter(pl.col("role") == role) for role in (SELECT, JUDGE))
    varying = varying_features(rows, features)
    scores: dict[str, Scores] = {}
    for family in training.families:
        estimator, signature = fit(
            family,
            rows,
            varying,
            parameters=FAMILIES[family].untuned,
            seed=training.seed,
            minimum_correlation=training.minimum_correlation,
            resampling=training.resampling,
        )
        model = calibrated(estimator, inputs(selecting, signature), selecting["churned"].to_numpy())
        with one_thread():
            scores[family] = model.predict_proba(inputs(judging, signature))[:, 1]
    return scores
