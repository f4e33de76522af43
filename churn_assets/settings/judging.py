"""The sections that the gate judges by, handed out together.

Does not belong here: the sections themselves (a module each beside this one).
"""

from dataclasses import dataclass

from churn_assets.settings.evaluation import EvaluationSettings
from churn_assets.settings.gate import Gate
from churn_assets.settings.label import Label
from churn_assets.settings.profit import Profit


@dataclass(frozen=True)
class JudgingSettings:
    """What the gate judges by: its bounds, the costs, the segments, the definition of churn, the seed of its draws."""

    gate: Gate
    profit: Profit
    evaluation: EvaluationSettings
    label: Label
    seed: int
