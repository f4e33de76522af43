"""The families of the extra ``boosting``: LightGBM and XGBoost. Their packages are imported when they are used."""

from collections.abc import Mapping
from typing import Any

from churn_assets.training.families.family import Family, Parameter, Value


def _lightgbm(parameters: Mapping[str, Value], seed: int) -> Any:
    from churn_assets.training.families.light_gbm import LightGbm  # noqa: PLC0415

    options: dict[str, Any] = {**parameters, "n_jobs": 1, "verbose": -1, "deterministic": True, "force_row_wise": True}
    return LightGbm(**options, random_state=seed)


def _xgboost(parameters: Mapping[str, Value], seed: int) -> Any:
    from churn_assets.training.families.xg_boost import XgBoost  # noqa: PLC0415

    # A base score of one half adds nothing to the leaves; calibration corrects the level.
    return XgBoost(**parameters, tree_method="hist", base_score=0.5, n_jobs=1, random_state=seed)


LIGHTGBM = Family(
    name="lightgbm",
    description="LightGBM: gradient boosting of trees that grow by their best leaf.",
    parameters={
        "learning_rate": Parameter(0.05, takes=(1e-6, 1.0), search=(0.02, 0.15), logarithmic=True),
        "n_estimators": Parameter(150, takes=(1, 5_000), search=(60, 250)),
        "num_leaves": Parameter(12, takes=(2, 1_024), search=(4, 24), logarithmic=True),
        "min_child_samples": Parameter(60, takes=(1, 1_000_000), search=(20, 200), logarithmic=True),
        "reg_lambda": Parameter(1.0, takes=(0.0, 1e9), search=(0.1, 30.0), logarithmic=True),
    },
    estimator=_lightgbm,
    package="lightgbm",
)

XGBOOST = Family(
    name="xgboost",
    description="XGBoost: gradient boosting of trees of a given depth.",
    parameters={
        "learning_rate": Parameter(0.05, takes=(1e-6, 1.0), search=(0.02, 0.15), logarithmic=True),
        "n_estimators": Parameter(150, takes=(1, 5_000), search=(60, 250)),
        "max_depth": Parameter(4, takes=(1, 32), search=(2, 6)),
        "min_child_weight": Parameter(10.0, takes=(0.0, 1e9), search=(2.0, 60.0), logarithmic=True),
        "reg_lambda": Parameter(1.0, takes=(0.0, 1e9), search=(0.1, 30.0), logarithmic=True),
    },
    estimator=_xgboost,
    package="xgboost",
)
