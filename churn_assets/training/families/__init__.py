"""Model families: one entry for each kind of estimator.

Every pipeline takes the signature's numbers (float32, missing allowed) and then its categories (text, where the empty word is missing),
by position.
"""

from churn_assets.training.families.boosting_extras import LIGHTGBM, XGBOOST
from churn_assets.training.families.export import export, inputs
from churn_assets.training.families.family import Family, Parameter, Value
from churn_assets.training.families.scikit_learn import GRADIENT_BOOSTING, LOGISTIC_REGRESSION, RANDOM_FOREST

FAMILIES: dict[str, Family] = {
    family.name: family for family in (LOGISTIC_REGRESSION, RANDOM_FOREST, GRADIENT_BOOSTING, LIGHTGBM, XGBOOST)
}


__all__ = ["FAMILIES", "Family", "Parameter", "Value", "export", "inputs"]
