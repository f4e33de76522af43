"""Which family a backtest is of."""

from collections.abc import Sequence

from churn_assets.resources.serving import ServingStore
from churn_assets.settings.company import FamilyName
from churn_assets.training.families import FAMILIES
from churn_store.errors import InputError
from churn_store.releases.bundles import load_manifest


def family_of(asked: str | None, serving: ServingStore, configured: Sequence[FamilyName]) -> str:
    """The family that was asked for; else that of the release that serves; else the first of the configured ones.

    Raises:
        InputError: there is no family of that name.
    """
    if asked is not None:
        if asked not in FAMILIES:
            raise InputError(f"there is no family {asked!r}; expected one of {', '.join(FAMILIES)}")
        return asked
    row = serving.newest()
    if row is not None and (family := load_manifest(serving.files, row.champion).family) in FAMILIES:
        return family
    return configured[0]
