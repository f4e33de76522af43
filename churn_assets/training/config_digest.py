"""A digest of the settings and features that a fitted family depends on. If it differs, the family was fitted with other settings.

Belongs here: which settings affect a fit. Does not belong here: the rows (their table has a digest of its own), and the seed, trials and
parameters that a single run asks for.
"""

import hashlib
import json
from collections.abc import Sequence

import msgspec

from churn_assets.features.feature import Feature
from churn_assets.settings.fitting import FittingSettings
from churn_assets.settings.training import FamilyName, Training

OTHER_FAMILIES = {"families", "search"}
"""Settings of ``training`` that are not part of the digest as they stand: they also concern other families."""


NEWER_SETTINGS = {"most_rows"}
"""Settings that older versions did not have. They are left out while they have their defaults, so that older digests stay valid."""


def config_digest(family: str, features: Sequence[Feature], settings: FittingSettings) -> str:
    """A digest of the features and of the settings that a family is fitted with. The kinds of churn are no part: all are modelled together.

    Args:
        family: name of the family.
        features: inputs of the model.
        settings: what a fit depends on.
    """
    search: dict[FamilyName, dict[str, tuple[float, float]]] = settings.training.search
    content = {
        "features": [msgspec.to_builtins(feature.column) for feature in features],
        "training": settings.training.model_dump(
            mode="json", exclude=OTHER_FAMILIES | _newer_with_defaults(settings.training)
        ),
        "search": {name: bounds for name, bounds in search.items() if name == family},
        "profit": settings.profit.model_dump(mode="json"),
        "label": settings.label.model_dump(mode="json", exclude={"kinds"}),
        "at_risk": settings.at_risk.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _newer_with_defaults(training: Training) -> set[str]:
    return {name for name in NEWER_SETTINGS if getattr(training, name) == Training.model_fields[name].default}
