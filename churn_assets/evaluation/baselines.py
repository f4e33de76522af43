"""Simple baselines of a model: the base rate, the time since the last activity, a plain logistic regression.

They are fitted on the training and selecting rows, and score the judging ones. scikit-learn predicts here, as baselines never
serve and are never exported.

Does not belong here: by how much a model must beat each (``champion.gate.quality``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from churn_assets.evaluation.measures import Scores
from churn_assets.tables import JUDGE
from churn_store.model.signature import Signature

BASE_RATE, RECENCY, LOGISTIC = "base_rate", "recency_rule", "logistic_regression"

LAST_SEEN = "last_seen_days"
"""Name of the column that ``last_activity`` adds to the rows of a history: days since a customer's newest event or payment."""

RECENCIES = (LAST_SEEN, "days_since_last_login", "days_since_last_payment")
"""Columns with the days since a customer was last seen; the least of them counts."""

QUANTILES = 20
"""Number of equally large groups by recency."""


def baselines(training_set: pl.DataFrame, signature: Signature) -> dict[str, Scores]:
    """The probabilities of the judging rows by each baseline.

    Args:
        training_set: training set with the rows of every role; in a history also with ``LAST_SEEN``.
        signature: signature of the compared model; the logistic regression takes the same inputs.

    Returns:
        Probabilities by name, in the order of the judging rows: ``base_rate``, the same for all; ``recency_rule``, if a column says when a
        customer was last seen (data without time has none); ``logistic_regression``, with scikit-learn's defaults on scaled numbers and
        one-hot categories, uncalibrated.
    """
    fitting, judging = training_set.filter(pl.col("role") != JUDGE), training_set.filter(pl.col("role") == JUDGE)
    rate = float(fitting["churned"].to_numpy().mean())
    probabilities = {BASE_RATE: np.full(judging.height, rate)}
    if recencies := [name for name in RECENCIES if name in training_set.columns]:
        probabilities[RECENCY] = recency_rule(fitting, judging, recencies)
    probabilities[LOGISTIC] = _logistic(fitting, judging, signature)
    return probabilities


def recency_rule(fitting: pl.DataFrame, judging: pl.DataFrame, recencies: Sequence[str]) -> Scores:
    """The churn rate of customers who were last seen about as long ago.

    Args:
        fitting: rows to estimate the rates on, with ``recencies`` and ``churned``.
        judging: rows to score.
        recencies: columns with the days since the customer was last seen; if all are missing, the customer was not seen in their windows.

    Returns:
        The probability of each judging row: the rate of its group, shrunk to the mean rate with the weight of one row.
    """
    days, judged_days = _days(fitting, recencies), _days(judging, recencies)
    churned = fitting["churned"].to_numpy().astype(np.float64)
    seen = days[np.isfinite(days)]
    cuts = np.unique(np.quantile(seen, np.linspace(0, 1, QUANTILES + 1)[1:-1])) if len(seen) else np.empty(0)
    groups, judged_groups = _group(days, cuts), _group(judged_days, cuts)
    number = len(cuts) + 2
    sizes, churners = np.bincount(groups, minlength=number), np.bincount(groups, weights=churned, minlength=number)
    rates = (churners + churned.mean()) / (sizes + 1)
    return np.asarray(rates[judged_groups])


def _days(rows: pl.DataFrame, recencies: Sequence[str]) -> Scores:
    return (
        rows.select(pl.min_horizontal(recencies).fill_nan(None).fill_null(np.inf)).to_series().to_numpy().astype(np.float64)
    )


def _group(days: Scores, cuts: Scores) -> npt.NDArray[np.int64]:
    """The group of each row by its cuts; the last group is of customers who were not seen."""
    return np.where(np.isfinite(days), np.searchsorted(cuts, days, side="left"), len(cuts) + 1)


def _logistic(fitting: pl.DataFrame, judging: pl.DataFrame, signature: Signature) -> Scores:
    """scikit-learn's default logistic regression, with the solver that is fast for many rows of few columns."""
    from sklearn.impute import SimpleImputer  # noqa: PLC0415 - seconds of import that only training pays
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    numbers, categories = signature.frame_tensors(fitting)
    judged_numbers, judged_categories = signature.frame_tensors(judging)
    columns: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []
    if (has_values := ~np.isnan(numbers).all(axis=0)).any():
        scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers[:, has_values])
        columns.append((scaled.transform(numbers[:, has_values]), scaled.transform(judged_numbers[:, has_values])))
    if signature.categories:
        words = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32).fit(categories)
        columns.append((words.transform(categories), words.transform(judged_categories)))
    model = LogisticRegression(solver="newton-cholesky").fit(
        np.hstack([known for known, _ in columns]), fitting["churned"].to_numpy()
    )
    scores = model.predict_proba(np.hstack([judged for _, judged in columns]))[:, 1]
    return np.asarray(scores, dtype=np.float64)
