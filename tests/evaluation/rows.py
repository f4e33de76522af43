"""Rows to evaluate: customers with several rows, a score that is right, and training sets with a model that can be seen through."""

import numpy as np
import numpy.typing as npt
import polars as pl
from hypothesis import strategies as st

from churn_assets.evaluation.measures import Labels, Scores
from churn_assets.features.feature_sets import features_of
from churn_assets.periods import epoch_s
from churn_assets.settings.company import Settings
from churn_assets.tables import JUDGE, SELECT, TRAIN
from churn_assets.training.fitting import fit_family
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Column
from churn_store.releases.manifest import TableVersion
from tests.features.company import SNAPSHOT

FEATURES = features_of(
    ["customers"],
    [
        Column(name="days_since_last_login", kind="number", nullable=True),
        Column(name="noise", kind="number"),
        Column(name="plan", kind="category"),
        Column(name="town", kind="category"),
    ],
    has_time=False,
)
ROLES = (TRAIN, TRAIN, SELECT, JUDGE, JUDGE)
MONTH_S = 31 * 86_400


def right_scores(count: int, seed: int, *, base: float = -2.0) -> tuple[Labels, Scores]:
    """Labels drawn with the probabilities that are the scores."""
    generator = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-generator.normal(base, 1.2, count)))
    return generator.random(count) < scores, scores


def customers_of(count: int, rows_each: int) -> pl.Series:
    return pl.Series([f"c{row % (count // rows_each)}" for row in range(count)])


@st.composite
def scored(draw: st.DrawFn, largest: int = 40) -> tuple[Labels, Scores, npt.NDArray[np.float64]]:
    """Labels of both classes, scores of few different values (so that many are equal), whole weights of both classes."""
    count = draw(st.integers(2, largest))
    churned = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    churned[:2] = [True, False]
    scores = np.array(draw(st.lists(st.integers(0, 10), min_size=count, max_size=count))) / 10
    weights = np.array(draw(st.lists(st.integers(0, 4), min_size=count, max_size=count)), dtype=np.float64)
    weights[:2] = np.maximum(weights[:2], 1)
    return churned, scores, weights


def training_set(customers: int = 400, *, seed: int = 0) -> pl.DataFrame:
    """Five snapshots: who was not seen for long leaves, on plan ``free`` more so; ``noise`` says nothing."""
    generator = np.random.default_rng(seed)
    count = customers * len(ROLES)
    days = generator.integers(0, 80, count).astype(float)
    plan = generator.choice(["free", "pro"], count)
    churned = generator.random(count) < 1 / (1 + np.exp(4 - days / 16 - 1.5 * (plan == "free")))
    return pl.DataFrame(
        {
            "customer_id": [f"c{row % customers}" for row in range(count)],
            "snapshot_s": [epoch_s(SNAPSHOT) + row // customers * MONTH_S for row in range(count)],
            "days_since_last_login": np.where(generator.random(count) < 0.02, np.nan, days),
            "noise": generator.random(count),
            "plan": plan,
            "town": generator.choice([f"town {number}" for number in range(20)], count),
            "churned": churned,
            "role": [ROLES[row // customers] for row in range(count)],
        }
    ).with_columns(pl.col("days_since_last_login").fill_nan(None))


def model(rows: pl.DataFrame) -> Scorer:
    """A logistic regression on the training rows, calibrated on the selecting ones, exported."""
    fitted = fit_family("logistic_regression", rows, FEATURES, Settings(company="test").fitting, data=TableVersion(0))
    return Scorer(fitted.model, fitted.signature)
