"""Model families: estimators over the signature's columns, one entry each.

Every pipeline takes the signature's numbers (float32, missing allowed) and then its categories (text, missing is the empty word),
by position.
"""

from churn_assets.training.families.boosting_extras import LIGHTGBM, XGBOOST
from churn_assets.training.families.export import export, inputs
from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.gradient_boosting import GRADIENT_BOOSTING
from churn_assets.training.families.logistic_regression import LOGISTIC_REGRESSION
from churn_assets.training.families.random_forest import RANDOM_FOREST

FAMILIES: dict[str, Family] = {
    family.name: family for family in (LOGISTIC_REGRESSION, RANDOM_FOREST, GRADIENT_BOOSTING, LIGHTGBM, XGBOOST)
}


__all__ = ["FAMILIES", "Family", "Parameter", "Value", "export", "inputs"]
