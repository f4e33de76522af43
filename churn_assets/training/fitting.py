"""Fit a family on the training rows, calibrate it on the later, selecting ones, export it, and say what it is worth there.

Belongs here: what is done with the rows of each role. Does not belong here: which parameters (``tuning``), what is measured
(``evaluation.measures``) and the judging rows, which nothing here looks at.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from churn_assets.evaluation.evaluate import measured
from churn_assets.evaluation.profit import most_profitable_threshold
from churn_assets.features.feature import Feature
from churn_assets.settings.company import FittingSettings, Training
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.config_digest import configured_by
from churn_assets.training.families import FAMILIES, Value, export, inputs
from churn_assets.training.preconditions import (
    constant_features,
    require_both_halves,
    require_both_to_calibrate,
    require_finite,
    require_two_classes,
    says_nothing,
)
from churn_assets.training.readiness import varying_features
from churn_assets.training.split import drawn, first_half
from churn_assets.training.training_set import signature_of
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases.manifest import TableVersion

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Resampling = Literal["none", "undersample", "oversample"]


@dataclass(frozen=True)
class Trial:
    """Parameters that the search tried.

    Attributes:
        parameters: parameters of the estimator.
        log_loss: mean log loss over the folds of the largest share of the rows that it got to.
        rows: number of rows of that share; 0 where an older search has not said so. Losses on other shares can't be compared.
        noise: standard error of its difference from the loss of the first trial, a customer's rows taken together.
    """

    parameters: Mapping[str, Value]
    log_loss: float
    rows: int = 0
    noise: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """A family fitted on the training rows and calibrated on the selecting ones.

    Attributes:
        family: name of the family.
        parameters: parameters of the estimator.
        pipeline: from the signature's columns to calibrated probabilities.
        signature: inputs of the model.
        measures: on the selecting rows, which are later than every label that the estimator was fitted on. Each half of their
            customers is scored with the calibration that was fitted on the other half.
        threshold: the most profitable decision threshold there, between two neighbouring scores of the exported model.
        training_set: the version of the table that all of it was made of, and its digest.
        model: the exported pipeline, ONNX.
        seed: seed of the estimator and of the search.
        scores: scores that the measures are of, one for each selecting row.
        trials: what the search tried, the defaults first; empty where nothing was searched.
        ignored: inputs that are taken and not looked at, as they say nothing on the training rows.
        constant: features that are the same in all training rows, and no inputs.
        configured: digest of the settings and features that it was fitted with (``training.config_digest``).
    """

    family: str
    parameters: Mapping[str, Value]
    pipeline: Pipeline
    signature: Signature
    measures: dict[str, float]
    threshold: float
    training_set: TableVersion
    model: bytes
    seed: int
    scores: Scores = field(compare=False, repr=False)
    trials: tuple[Trial, ...] = ()
    ignored: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    configured: str = ""


def fit_family(
    family: str,
    training_set: pl.DataFrame,
    features: tuple[Feature, ...],
    settings: FittingSettings,
    *,
    made_of: TableVersion,
    parameters: Mapping[str, Value] | None = None,
    trials: tuple[Trial, ...] = (),
    seed: int | None = None,
) -> Fitted:
    """Fit a family on the training rows of a training set, calibrate and measure it on its selecting rows, and export it.

    Args:
        family: name of the family.
        training_set: rows of every role; those that judge are left alone.
        features: features that the model may see; those that are constant in the training rows become no inputs.
        settings: how training rows are drawn, what a decision costs and brings.
        made_of: the version of the table.
        parameters: parameters of the estimator; those that are not named have their defaults.
        trials: the search that found them.
        seed: seed of the estimator; default: that of the settings.

    Raises:
        InputError: the rows can't be learned from; says why.
    """
    seed = settings.training.seed if seed is None else seed
    training = training_rows(training_set, settings.training, seed=seed)
    selecting = training_set.filter(pl.col("role") == SELECT)
    chosen = {**FAMILIES[family].defaults, **(parameters or {})}
    constant, varying = constant_features(training, features), varying_features(training, features)
    estimator, signature = fit(
        family,
        training,
        varying,
        parameters=chosen,
        seed=seed,
        minimum_correlation=settings.training.minimum_correlation,
        resampling=settings.training.resampling,
    )
    require_finite(selecting, signature, "to calibrate on")
    columns, churned = inputs(selecting, signature), selecting["churned"].to_numpy()
    pipeline = calibrated(estimator, columns, churned)
    model = export(pipeline, signature)
    threshold = most_profitable_threshold(churned, Scorer(model, signature).score_frame(selecting), settings.profit)
    scores = cross_calibrated(estimator, columns, churned, first_half(selecting, seed))
    return Fitted(
        family,
        chosen,
        pipeline,
        signature,
        measured(churned, scores, threshold=threshold, profit=settings.profit),
        threshold,
        made_of,
        model,
        seed,
        scores,
        trials,
        tuple(says_nothing(training, signature, minimum_correlation=settings.training.minimum_correlation)),
        constant,
        configured_by(family, features, settings),
    )


def training_rows(training_set: pl.DataFrame, training: Training, *, seed: int) -> pl.DataFrame:
    """The rows that train: of a training set with more than ``training.most_rows`` those of customers drawn by the seed."""
    return drawn(training_set.filter(pl.col("role") == TRAIN), training.most_rows, draw=f"{seed}:most_rows")


def fit(
    family: str,
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    parameters: Mapping[str, Value] | None = None,
    seed: int,
    minimum_correlation: float = 0.0,
    resampling: Resampling = "none",
) -> tuple[Pipeline, Signature]:
    """Fit a family on rows with ``churned``, uncalibrated; the categories of these rows become the signature's.

    Args:
        family: name of the family.
        rows: to fit on, and to select numbers by: no other row has a say in either.
        features: inputs of the model.
        parameters: parameters of the estimator; those that are not named have their defaults.
        seed: seed of the estimator and of the resampling.
        minimum_correlation: numbers that are less correlated with churn are taken and not looked at.
        resampling: whether rows of the commoner class are left out, or rows of the rarer one repeated, until there are as many of
            both.

    Raises:
        InputError: there is nothing to learn from.
    """
    pipeline, signature = _unfitted(
        family, rows, features, parameters=parameters, seed=seed, minimum_correlation=minimum_correlation
    )
    fitted_on = resampled(rows, resampling, seed=seed)
    with one_thread():
        pipeline.fit(inputs(fitted_on, signature), fitted_on["churned"].to_numpy())
    return pipeline, signature


def fit_until(
    family: str,
    rows: pl.DataFrame,
    later: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    parameters: Mapping[str, Value],
    seed: int,
    minimum_correlation: float = 0.0,
    resampling: Resampling = "none",
) -> tuple[Pipeline, Signature, int]:
    """Fit a boosted family as ``fit`` does, until later rows get no better.

    Args:
        family: name of a family with ``rounds``.
        rows: rows to fit on.
        later: rows whose loss stops the boosting, later than every label of those that are fitted.
        features: inputs of the model.
        parameters: parameters of the estimator; how many rounds they ask for does not matter.
        seed: seed of the estimator and of the resampling.
        minimum_correlation: as of ``fit``.
        resampling: as of ``fit``; the later rows are left as they are.

    Returns:
        The pipeline with its best rounds, the signature, and the number of rounds.

    Raises:
        InputError: there is nothing to learn from.
    """
    pipeline, signature = _unfitted(
        family, rows, features, parameters=parameters, seed=seed, minimum_correlation=minimum_correlation
    )
    fitted_on = resampled(rows, resampling, seed=seed)
    columns, model = pipeline.named_steps["columns"], pipeline.named_steps["model"]
    with one_thread():
        prepared = columns.fit_transform(inputs(fitted_on, signature))
        rounds = model.fit_until(
            prepared,
            fitted_on["churned"].to_numpy(),
            columns.transform(inputs(later, signature)),
            later["churned"].to_numpy(),
        )
    return pipeline, signature, rounds


def one_thread() -> AbstractContextManager[object]:
    """One thread for scikit-learn: another number adds in another order, and on a busy machine threads wait for each other."""
    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def _unfitted(
    family: str,
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    parameters: Mapping[str, Value] | None,
    seed: int,
    minimum_correlation: float,
) -> tuple[Pipeline, Signature]:
    """The pipeline for some rows, and their signature."""
    signature = signature_of(features, rows)
    require_two_classes(rows, "to train on")
    require_finite(rows, signature, "to train on")
    without = says_nothing(rows, signature, minimum_correlation=minimum_correlation)
    return FAMILIES[family].pipeline(signature, parameters=parameters or {}, seed=seed, without=without), signature


def resampled(rows: pl.DataFrame, resampling: Resampling, *, seed: int) -> pl.DataFrame:
    """Rows of which as many churned as stayed, whole rows drawn; the same rows in the same order for ``none``."""
    if resampling == "none":
        return rows
    rarer, commoner = sorted((rows.filter("churned"), rows.filter(~pl.col("churned"))), key=lambda part: part.height)
    if resampling == "undersample":
        return pl.concat([rarer, commoner.sample(rarer.height, seed=seed, shuffle=True)])
    repeated = rarer.sample(commoner.height - rarer.height, with_replacement=True, seed=seed, shuffle=True)
    return pl.concat([rarer, repeated, commoner])


def calibrated(pipeline: Pipeline, columns: pd.DataFrame, churned: Labels) -> Pipeline:
    """A fitted pipeline with its log odds calibrated by a sigmoid (Platt 1999) on rows that it was not fitted on.

    Raises:
        InputError: all of them churned, or all stayed.
    """
    require_both_to_calibrate(churned)
    prepared = pipeline.named_steps["columns"].transform(columns)
    places_of = np.arange(len(churned))
    estimator = FrozenEstimator(pipeline.named_steps["model"])
    with one_thread():
        model = CalibratedClassifierCV(estimator, method="sigmoid", cv=[(places_of, places_of)]).fit(prepared, churned)
    return Pipeline([("columns", pipeline.named_steps["columns"]), ("model", model)])


def cross_calibrated(pipeline: Pipeline, columns: pd.DataFrame, churned: Labels, half: Labels) -> Scores:
    """Scores of rows that calibrate as well: each half is calibrated on the other, so that none is flattered by its own.

    Args:
        pipeline: fitted pipeline without calibration.
        columns: input columns of the pipeline.
        churned: labels, one for each row.
        half: whether a row is of the first half.

    Raises:
        InputError: too few of a class for two halves.
    """
    require_both_halves(churned, half)
    scores = np.empty(len(churned))
    for one in (half, ~half):
        other = calibrated(pipeline, columns[~one], churned[~one])
        with one_thread():
            scores[one] = other.predict_proba(columns[one])[:, 1]
    return scores
