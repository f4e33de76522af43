"""Chooses the family of a backtest."""

from collections.abc import Sequence

from churn_assets.resources.serving import ServingStore
from churn_assets.settings.training import FamilyName
from churn_assets.training.families import FAMILIES
from churn_store.errors import InputError
from churn_store.releases.bundles import load_manifest


def family_of(requested: str | None, serving: ServingStore, configured: Sequence[FamilyName]) -> str:
    """The requested family; else that of the serving release; else the first configured one.

    Args:
        requested: name of a family, if the user gave one.
        serving: serving database and release files.
        configured: names of the configured families.

    Raises:
        InputError: there is no family of that name.
    """
    if requested is not None:
        if requested not in FAMILIES:
            raise InputError(f"there is no family {requested!r}; expected one of {', '.join(FAMILIES)}")
        return requested
    row = serving.newest()
    if row is not None and (family := load_manifest(serving.files, row.champion).family) in FAMILIES:
        return family
    return configured[0]
