"""The families of scikit-learn. scikit-learn is imported when an estimator is made, as most processes only name a family."""

from collections.abc import Mapping
from typing import Any

from churn_assets.training.families.family import Family, Parameter, Value


def _logistic(parameters: Mapping[str, Value], seed: int) -> Any:
    from churn_assets.training.families.logistic_regression import Logistic  # noqa: PLC0415

    return Logistic(**parameters, random_state=seed)


def _standardized() -> Any:
    from churn_assets.training.families.logistic_regression import Standardized  # noqa: PLC0415

    return Standardized()


def _forest(parameters: Mapping[str, Value], seed: int) -> Any:
    from churn_assets.training.families.random_forest import Forest  # noqa: PLC0415

    return Forest(**parameters, n_jobs=1, random_state=seed)


def _boosting(parameters: Mapping[str, Value], seed: int) -> Any:
    from churn_assets.training.families.gradient_boosting import Boosting  # noqa: PLC0415

    return Boosting(**parameters, early_stopping=False, random_state=seed)


LOGISTIC_REGRESSION = Family(
    name="logistic_regression",
    description="Logistic regression on standardized numbers and one-hot categories; tuned and calibrated, unlike the plain one among the baselines.",
    parameters={
        "C": Parameter(1.0, takes=(1e-8, 1e8), search=(1e-3, 10.0), logarithmic=True),
        "max_iter": Parameter(1000, takes=(1, 1_000_000)),
    },
    estimator=_logistic,
    prepare=_standardized,
)

RANDOM_FOREST = Family(
    name="random_forest",
    description="Random forest of shallow trees on unscaled numbers and one-hot categories.",
    parameters={
        "n_estimators": Parameter(100, takes=(1, 5_000)),
        "max_depth": Parameter(10, takes=(1, 64), search=(5, 14)),
        "min_samples_leaf": Parameter(10, takes=(1, 1_000_000), search=(3, 60), logarithmic=True),
        "max_features": Parameter(0.15, takes=(1e-6, 1.0), search=(0.08, 0.6), logarithmic=True),
        "max_samples": Parameter(0.2, takes=(1e-6, 1.0)),
    },
    estimator=_forest,
)

GRADIENT_BOOSTING = Family(
    name="gradient_boosting",
    description="Histogram gradient boosting of shallow trees on unscaled numbers and one-hot categories.",
    parameters={
        "learning_rate": Parameter(0.05, takes=(1e-6, 1.0), search=(0.04, 0.15), logarithmic=True),
        "max_iter": Parameter(150, takes=(1, 5_000)),
        "max_leaf_nodes": Parameter(12, takes=(2, 1_024), search=(4, 40), logarithmic=True),
        "min_samples_leaf": Parameter(60, takes=(1, 1_000_000), search=(20, 200), logarithmic=True),
        "l2_regularization": Parameter(1.0, takes=(0.0, 1e9), search=(0.1, 30.0), logarithmic=True),
    },
    estimator=_boosting,
    library={
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
    },
    rounds="max_iter",
)
