"""The sections that a fit depends on, handed out together.

Does not belong here: the sections themselves (a module each beside this one).
"""

from dataclasses import dataclass

from churn_assets.settings.at_risk import AtRisk
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit
from churn_assets.settings.training import Training


@dataclass(frozen=True)
class FittingSettings:
    """What a fit depends on, and who is fitted: the sections that have a say in it."""

    training: Training
    profit: Profit
    label: Label
    at_risk: AtRisk
    has_time: bool
