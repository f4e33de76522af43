"""Fits a family on the training rows, calibrates and measures it on the later selecting rows, and exports it.

Belongs here: what is done with the rows of each role. Does not belong here: which parameters (``tuning``), what is measured
(``evaluation.measures``) and the judging rows, which nothing here looks at.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from churn_assets.evaluation.evaluate import measured
from churn_assets.evaluation.profit import most_profitable_threshold
from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.training import Training
from churn_assets.tables import SELECT, TRAIN
from churn_assets.training.config_digest import config_digest
from churn_assets.training.families import FAMILIES, Value, export, inputs
from churn_assets.training.preconditions import (
    constant_features,
    require_both_halves,
    require_both_to_calibrate,
    require_finite,
    require_two_classes,
    uninformative_numbers,
)
from churn_assets.training.readiness import varying_features
from churn_assets.training.split import first_half, sample_customers
from churn_assets.training.training_set import signature_of
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases.manifest import TableVersion

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

Scores = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Resampling = Literal["none", "undersample", "oversample"]


@dataclass(frozen=True)
class Trial:
    """Parameters that the search tried.

    Attributes:
        parameters: parameters of the estimator.
        log_loss: mean log loss over the folds of the largest share of the rows that it got to.
        rows: number of rows of that share; 0 if an older search did not record it. Losses on different shares can't be compared.
        noise: standard error of the difference between its loss and that of the first trial, clustered by customer.
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
        pipeline: fitted pipeline, from the signature's columns to calibrated probabilities.
        signature: inputs of the model.
        measures: measures on the selecting rows, which are later than every label that the estimator was fitted on. Each half of
            the customers is scored with the calibration that was fitted on the other half.
        threshold: most profitable decision threshold on the selecting rows, between two neighbouring scores of the exported model.
        training_set: version and digest of the table that the rows were read from.
        model: exported pipeline, ONNX.
        seed: seed of the estimator and of the search.
        scores: score of each selecting row, from which the measures were computed.
        trials: trials of the search, the defaults first; empty if there was no search.
        ignored: inputs that the pipeline drops, as they are uninformative on the training rows.
        constant: features with one value in all training rows; they are no inputs.
        configured: digest of the settings and features that it was fitted with (``training.config_digest``).
    """

    family: str
    parameters: Mapping[str, Value]
    pipeline: "Pipeline"
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
    data: TableVersion,
    parameters: Mapping[str, Value] | None = None,
    trials: tuple[Trial, ...] = (),
    seed: int | None = None,
) -> Fitted:
    """Fit a family on the training rows, calibrate and measure it on the selecting rows, and export it.

    Args:
        family: name of the family.
        training_set: training set with the rows of every role; the judging rows are not used.
        features: features that the model may see; those constant in the training rows are left out.
        settings: how training rows are sampled, and what a decision costs and brings.
        data: version and digest of the table that the rows were read from.
        parameters: parameters of the estimator; those that are not named have their defaults.
        trials: trials of the search that found the parameters.
        seed: seed of the estimator; default: that of the settings.

    Raises:
        InputError: no model can be learned from the rows; the message says why.
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
        data,
        model,
        seed,
        scores,
        trials,
        tuple(uninformative_numbers(training, signature, minimum_correlation=settings.training.minimum_correlation)),
        constant,
        config_digest(family, features, settings),
    )


def training_rows(training_set: pl.DataFrame, training: Training, *, seed: int) -> pl.DataFrame:
    """The training rows: all of them, or a sample of whole customers where there are more than ``training.most_rows``."""
    return sample_customers(training_set.filter(pl.col("role") == TRAIN), training.most_rows, draw=f"{seed}:most_rows")


def fit(
    family: str,
    rows: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    parameters: Mapping[str, Value] | None = None,
    seed: int,
    minimum_correlation: float = 0.0,
    resampling: Resampling = "none",
) -> tuple["Pipeline", Signature]:
    """Fit a family on rows with ``churned``, without calibration; the categories of these rows become the signature's.

    Args:
        family: name of the family.
        rows: rows to fit on; they alone also decide which numbers are informative.
        features: inputs of the model.
        parameters: parameters of the estimator; those that are not named have their defaults.
        seed: seed of the estimator and of the resampling.
        minimum_correlation: least correlation with churn of a number; the pipeline drops the others.
        resampling: how the classes are balanced: not at all, by a sample of the majority class, or by repeated rows of the minority
            class.

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


def fit_early_stopping(
    family: str,
    rows: pl.DataFrame,
    later: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    parameters: Mapping[str, Value],
    seed: int,
    minimum_correlation: float = 0.0,
    resampling: Resampling = "none",
) -> tuple["Pipeline", Signature, int]:
    """Fit a boosted family as ``fit`` does, with early stopping on later rows.

    Args:
        family: name of a family with ``rounds``.
        rows: rows to fit on.
        later: rows whose loss stops the boosting, later than every label of ``rows``.
        features: inputs of the model.
        parameters: parameters of the estimator; their number of rounds is ignored.
        seed: seed of the estimator and of the resampling.
        minimum_correlation: least correlation with churn of a number, as in ``fit``.
        resampling: how the classes of ``rows`` are balanced, as in ``fit``; ``later`` stays as it is.

    Returns:
        The pipeline cut at its best round, the signature, and the number of rounds.

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
        rounds = model.fit_early_stopping(
            prepared,
            fitted_on["churned"].to_numpy(),
            columns.transform(inputs(later, signature)),
            later["churned"].to_numpy(),
        )
    return pipeline, signature, rounds


def one_thread() -> AbstractContextManager[object]:
    """Limit scikit-learn to one thread: with more, sums are added in another order, and on a busy machine threads wait for each other."""
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
) -> tuple["Pipeline", Signature]:
    """An unfitted pipeline for these rows, and their signature."""
    signature = signature_of(features, rows)
    require_two_classes(rows, "to train on")
    require_finite(rows, signature, "to train on")
    uninformative = uninformative_numbers(rows, signature, minimum_correlation=minimum_correlation)
    return FAMILIES[family].pipeline(signature, parameters=parameters or {}, seed=seed, dropped=uninformative), signature


def resampled(rows: pl.DataFrame, resampling: Resampling, *, seed: int) -> pl.DataFrame:
    """Rows with as many churners as stayers, by sampling whole rows; for ``none`` the same rows in the same order."""
    if resampling == "none":
        return rows
    minority, majority = sorted(
        (rows.filter("churned"), rows.filter(~pl.col("churned"))), key=lambda of_class: of_class.height
    )
    if resampling == "undersample":
        return pl.concat([minority, majority.sample(minority.height, seed=seed, shuffle=True)])
    repeated = minority.sample(majority.height - minority.height, with_replacement=True, seed=seed, shuffle=True)
    return pl.concat([minority, repeated, majority])


def calibrated(pipeline: "Pipeline", columns: "pd.DataFrame", churned: Labels) -> "Pipeline":
    """A fitted pipeline with its log odds calibrated by a sigmoid (Platt 1999) on rows that it was not fitted on.

    Raises:
        InputError: all of them churned, or all stayed.
    """
    from sklearn.calibration import CalibratedClassifierCV  # noqa: PLC0415 - seconds of import that only training pays
    from sklearn.frozen import FrozenEstimator  # noqa: PLC0415
    from sklearn.pipeline import Pipeline  # noqa: PLC0415

    require_both_to_calibrate(churned)
    prepared = pipeline.named_steps["columns"].transform(columns)
    all_rows = np.arange(len(churned))
    estimator = FrozenEstimator(pipeline.named_steps["model"])
    with one_thread():
        model = CalibratedClassifierCV(estimator, method="sigmoid", cv=[(all_rows, all_rows)]).fit(prepared, churned)
    return Pipeline([("columns", pipeline.named_steps["columns"]), ("model", model)])


def cross_calibrated(pipeline: "Pipeline", columns: "pd.DataFrame", churned: Labels, half: Labels) -> Scores:
    """Scores of the rows that also calibrate: each half is scored with the calibration of the other, so that no row calibrates itself.

    Args:
        pipeline: fitted pipeline without calibration.
        columns: input columns of the pipeline.
        churned: labels, one for each row.
        half: whether a row is of the first half.

    Raises:
        InputError: one half of the customers has a single class.
    """
    require_both_halves(churned, half)
    scores = np.empty(len(churned))
    for side in (half, ~half):
        of_other_half = calibrated(pipeline, columns[~side], churned[~side])
        with one_thread():
            scores[side] = of_other_half.predict_proba(columns[side])[:, 1]
    return scores
