"""Simple rules that a model is held against: the base rate, the time since the last activity, a plain logistic regression.

They are fitted on the rows that train and select, and score the judging ones. scikit-learn predicts here, as these rules never
serve and are never exported. Does not belong here: what a model must show beside each (``champion.gate.quality``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn_assets.evaluation.measures import Scores
from churn_assets.tables import JUDGE
from churn_store.model.signature import Signature

BASE_RATE, RECENCY, LOGISTIC = "base_rate", "recency_rule", "logistic_regression"

LAST_SEEN = "last_seen_days"
"""The days since a customer's newest event or payment, as ``last_activity`` adds them to the rows of a history."""

RECENCIES = (LAST_SEEN, "days_since_last_login", "days_since_last_payment")
"""Columns that say how long ago a customer was last seen; of several the latest sight counts."""

QUANTILES = 20
"""Groups of equally many customers, by recency, that the rule tells apart."""


def baselines(training_set: pl.DataFrame, signature: Signature) -> dict[str, Scores]:
    """The probabilities that the baselines give to the judging rows.

    Args:
        training_set: training set of all roles: the signature's columns, ``churned``, ``role``; of a history also ``LAST_SEEN``.
        signature: signature of the model that is compared with them; the logistic regression takes the same inputs.

    Returns:
        By name, one probability a judging row in the order of the table: ``base_rate``, the same for all; ``recency_rule``, where the
        table has a column that says when a customer was last seen (data without time has none); ``logistic_regression``, with
        scikit-learn's defaults on scaled numbers and one-hot categories, uncalibrated.
    """
    known, judging = training_set.filter(pl.col("role") != JUDGE), training_set.filter(pl.col("role") == JUDGE)
    rate = float(known["churned"].to_numpy().mean())
    found = {BASE_RATE: np.full(judging.height, rate)}
    if seen := [name for name in RECENCIES if name in training_set.columns]:
        found[RECENCY] = recency_rule(known, judging, seen)
    found[LOGISTIC] = _logistic(known, judging, signature)
    return found


def recency_rule(known: pl.DataFrame, judging: pl.DataFrame, seen: Sequence[str]) -> Scores:
    """The rate of churn of customers who were last seen about as long ago.

    Args:
        known: rows that the rates are taken from: ``seen`` and ``churned``.
        judging: rows to score.
        seen: features that say how many days ago; where all are missing the customer was not seen within their windows.

    Returns:
        One probability a judging row: the rate in its group of ``QUANTILES``, drawn by one row towards the rate of all.
    """
    days, asked = _days(known, seen), _days(judging, seen)
    churned = known["churned"].to_numpy().astype(np.float64)
    there = days[np.isfinite(days)]
    cuts = np.unique(np.quantile(there, np.linspace(0, 1, QUANTILES + 1)[1:-1])) if len(there) else np.empty(0)
    groups, asked_groups = _group(days, cuts), _group(asked, cuts)
    number = len(cuts) + 2
    sizes, churners = np.bincount(groups, minlength=number), np.bincount(groups, weights=churned, minlength=number)
    rates = (churners + churned.mean()) / (sizes + 1)
    return np.asarray(rates[asked_groups])


def _days(rows: pl.DataFrame, seen: Sequence[str]) -> Scores:
    return rows.select(pl.min_horizontal(seen).fill_nan(None).fill_null(np.inf)).to_series().to_numpy().astype(np.float64)


def _group(days: Scores, cuts: Scores) -> npt.NDArray[np.int64]:
    """Between which cuts; the last group is of those who were not seen."""
    return np.where(np.isfinite(days), np.searchsorted(cuts, days, side="left"), len(cuts) + 1)


def _logistic(known: pl.DataFrame, judging: pl.DataFrame, signature: Signature) -> Scores:
    """scikit-learn's default logistic regression; of its solvers the one that is fast for many rows of few columns."""
    numbers, categories = signature.frame_tensors(known)
    asked_numbers, asked_categories = signature.frame_tensors(judging)
    parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []
    if (there := ~np.isnan(numbers).all(axis=0)).any():
        scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers[:, there])
        parts.append((scaled.transform(numbers[:, there]), scaled.transform(asked_numbers[:, there])))
    if signature.categories:
        words = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32).fit(categories)
        parts.append((words.transform(categories), words.transform(asked_categories)))
    model = LogisticRegression(solver="newton-cholesky").fit(
        np.hstack([fit for fit, _ in parts]), known["churned"].to_numpy()
    )
    scores = model.predict_proba(np.hstack([asked for _, asked in parts]))[:, 1]
    return np.asarray(scores, dtype=np.float64)
