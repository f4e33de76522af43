"""Fit a family on the rows of a role and say what it is worth on later rows."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.pipeline import Pipeline

from churn_assets.features.feature import Feature
from churn_assets.training.evaluation import measures, threshold_of_best_f1
from churn_assets.training.families import FAMILIES, inputs
from churn_assets.training.split import SELECT, TRAIN
from churn_assets.training.training_set import signature_of
from churn_store.errors import InputError
from churn_store.signature import Signature


@dataclass(frozen=True)
class Fitted:
    """A family fitted on training rows and measured on selecting rows.

    Attributes:
        family: its name.
        measures: on the selecting rows, which are later than every label it was fitted on.
        threshold: the decision threshold with the best F1 there.
    """

    family: str
    measures: dict[str, float]
    threshold: float


def fit(
    family: str, rows: pl.DataFrame, features: tuple[Feature, ...], *, seed: int, minimum_correlation: float = 0.0
) -> tuple[Pipeline, Signature]:
    """Fit a family on rows with ``churned``; the categories of these rows become the signature's.

    Args:
        family: its name.
        rows: to fit on, and to select numbers by: no other row has a say in either.
        features: the model's inputs.
        seed: of the estimator.
        minimum_correlation: numbers that are less correlated with churn are taken and not looked at.

    Raises:
        InputError: there is nothing to learn from.
    """
    signature = signature_of(features, rows)
    empty = [name for name in signature.numbers if rows[name].count() == 0]
    if len(empty) == len(signature.columns):
        raise InputError(
            f"no feature has any value in the {rows.height} rows to train on; look at customer_features and the raw tables"
        )
    weak = [name for name in signature.numbers if name not in empty and correlation(rows, name) < minimum_correlation]
    if len(empty) + len(weak) == len(signature.columns):
        raise InputError(
            f"no number is correlated with churn by training.minimum_correlation {minimum_correlation:g}, and there is no category; "
            "lower it"
        )
    pipeline = FAMILIES[family].pipeline(signature, seed=seed, without=[*empty, *weak])
    pipeline.fit(inputs(rows, signature), rows["churned"].to_numpy())
    return pipeline, signature


def correlation(rows: pl.DataFrame, name: str) -> float:
    """The absolute point-biserial correlation of a number with churn, where it is there; 0 for one that never changes."""
    found = rows.select(pl.corr(pl.col(name), pl.col("churned").cast(pl.Float64)).fill_nan(None).abs()).item()
    return 0.0 if found is None else float(found)


def fit_and_measure(
    family: str,
    training_set: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    seed: int,
    minimum_correlation: float = 0.0,
) -> Fitted:
    """Fit a family on the training rows of a training set and measure it on its selecting rows."""
    training = training_set.filter(pl.col("role") == TRAIN)
    pipeline, signature = fit(family, training, features, seed=seed, minimum_correlation=minimum_correlation)
    selecting = training_set.filter(pl.col("role") == SELECT)
    scores = pipeline.predict_proba(inputs(selecting, signature))[:, 1].astype(np.float64)
    churned = selecting["churned"].to_numpy()
    threshold = threshold_of_best_f1(churned, scores)
    return Fitted(family, measures(churned, scores, threshold=threshold), threshold)
