"""What of the configuration a fitted family depends on, as a digest: another one says that it is of other settings.

Belongs here: which settings have a say in a fit. Does not belong here: the rows (their table has a digest of its own) and what a single
run asks for (seed, trials, parameters), which is that run's own.
"""

import hashlib
import json
from collections.abc import Sequence

import msgspec

from churn_assets.features.feature import Feature
from churn_assets.settings.company import FamilyName, FittingSettings, Training

BESIDES = {"families", "search"}
"""Settings of ``training`` that say nothing of a family: which others there are, and what is searched of those. Nor do the kinds of churn:
all are modelled together."""


ADDED = {"most_rows"}
"""Settings that older versions did not have: as they are by default they say nothing, and what was written down before still holds."""


def configured_by(family: str, features: Sequence[Feature], settings: FittingSettings) -> str:
    """A digest of the features, and of the settings that a family is fitted, described and asked with.

    Args:
        family: name of the family.
        features: inputs of the model.
        settings: what a fit depends on.
    """
    searched: dict[FamilyName, dict[str, tuple[float, float]]] = settings.training.search
    read = {
        "features": [msgspec.to_builtins(feature.column) for feature in features],
        "training": settings.training.model_dump(mode="json", exclude=BESIDES | _by_default(settings.training)),
        "search": {name: bounds for name, bounds in searched.items() if name == family},
        "profit": settings.profit.model_dump(mode="json"),
        "label": settings.label.model_dump(mode="json", exclude={"kinds"}),
        "at_risk": settings.at_risk.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _by_default(training: Training) -> set[str]:
    return {name for name in ADDED if getattr(training, name) == Training.model_fields[name].default}
