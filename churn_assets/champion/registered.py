"""The model that is meant by what a person types to a command of the graph (``churn_store.named``)."""

from churn_assets.resources.serving import ServingStore
from churn_store import named as names
from churn_store.manifest import Manifest


def find_manifest(store: ServingStore, named: str) -> tuple[str, Manifest]:
    """The digest and the manifest of a registered model.

    Args:
        store: the serving database and the release files.
        named: an epoch, the digest of a release or candidate (or its beginning), or ``name/version`` of the registry.

    Raises:
        InputError: no model, or more than one, has that name.
        ReleaseError: its manifest is missing or was changed.
    """
    return names.find_manifest(store.engine, store.files, named)
