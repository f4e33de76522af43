"""Fit a family on the training rows, calibrate it on the later, selecting ones, and say what it is worth there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from churn_assets.evaluation.measures import measures
from churn_assets.evaluation.profit import most_profitable_threshold
from churn_assets.features.feature import Feature
from churn_assets.settings import Settings
from churn_assets.training.families import FAMILIES, inputs
from churn_assets.training.split import SELECT, TRAIN
from churn_assets.training.training_set import signature_of
from churn_store.errors import InputError
from churn_store.manifest import TableVersion
from churn_store.signature import Signature


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training rows and calibrated on the selecting ones.

    Attributes:
        family: its name.
        parameters: of the estimator.
        pipeline: from the signature's columns to calibrated probabilities.
        signature: its inputs.
        measures: on the selecting rows, which are later than every label that the estimator was fitted on.
        threshold: the most profitable decision threshold there.
        training_set: the version of the table that all of it was made of.
    """

    family: str
    parameters: Mapping[str, Any]
    pipeline: Pipeline
    signature: Signature
    measures: dict[str, float]
    threshold: float
    training_set: TableVersion


def fit_family(
    family: str, training_set: pl.DataFrame, features: tuple[Feature, ...], settings: Settings, *, made_of: TableVersion
) -> Fitted:
    """Fit a family on the training rows of a training set and calibrate and measure it on its selecting rows."""
    training, selecting = (training_set.filter(pl.col("role") == role) for role in (TRAIN, SELECT))
    pipeline, signature = fit(
        family,
        training,
        features,
        later=selecting,
        seed=settings.training.seed,
        minimum_correlation=settings.training.minimum_correlation,
    )
    scores = pipeline.predict_proba(inputs(selecting, signature))[:, 1].astype(np.float64)
    churned = selecting["churned"].to_numpy()
    threshold = most_profitable_threshold(churned, scores, settings.profit)
    return Fitted(
        family,
        FAMILIES[family].parameters,
        pipeline,
        signature,
        measures(churned, scores, threshold=threshold),
        threshold,
        made_of,
    )


def fit(
    family: str,
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    later: pl.DataFrame | None = None,
    seed: int,
    minimum_correlation: float = 0.0,
) -> tuple[Pipeline, Signature]:
    """Fit a family on rows with ``churned``; the categories of these rows become the signature's.

    Args:
        family: its name.
        rows: to fit on, and to select numbers by: no other row has a say in either.
        features: the model's inputs.
        later: rows on which the probabilities are calibrated by a sigmoid (Platt 1999); none leaves them as they are.
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
    if later is None:
        return pipeline.fit(inputs(rows, signature), rows["churned"].to_numpy()), signature
    columns, estimator = pipeline.named_steps["columns"], pipeline.named_steps["model"]
    fitted_on = columns.fit_transform(inputs(rows, signature))
    both = np.vstack([fitted_on, columns.transform(inputs(later, signature))])
    churned = np.concatenate([rows["churned"].to_numpy(), later["churned"].to_numpy()])
    places = np.arange(len(both))
    parts = [(places[: rows.height], places[rows.height :])]
    calibrated = CalibratedClassifierCV(estimator, method="sigmoid", cv=parts).fit(both, churned)
    return Pipeline([("columns", columns), ("model", calibrated)]), signature


def correlation(rows: pl.DataFrame, name: str) -> float:
    """The absolute point-biserial correlation of a number with churn, where it is there; 0 for one that never changes."""
    found = rows.select(pl.corr(pl.col(name), pl.col("churned").cast(pl.Float64)).fill_nan(None).abs()).item()
    return 0.0 if found is None else float(found)
