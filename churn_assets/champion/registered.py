"""Which model is meant by what a person types: an epoch, a digest or its beginning, or a name and version in the registry.

Every candidate is registered and judged, so the verdicts lead to those that never served as well.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from churn_assets.resources.serving import ServingStore
from churn_store import tables
from churn_store.errors import InputError, ReleaseError
from churn_store.manifest import Manifest
from churn_store.releases import load_manifest

SHORTEST_DIGEST = 4
"""So many digits of a digest are enough to mean one."""


def find_manifest(store: ServingStore, named: str) -> tuple[str, Manifest]:
    """The digest and the manifest of a registered model.

    Args:
        store: the serving database and the release files.
        named: an epoch, the digest of a release or candidate (or its beginning), or ``name/version`` of the registry.

    Raises:
        InputError: no model, or more than one, has that name.
        ReleaseError: its manifest is missing or was changed.
    """
    epochs, candidates = _known(store)
    if named.isdecimal() and int(named) in epochs:
        digest = epochs[int(named)]
        return digest, load_manifest(store.files, digest)
    if "/" in named:
        return _by_registry(store, named, [*epochs.values(), *candidates])
    found = sorted({digest for digest in (*epochs.values(), *candidates) if digest.startswith(named.lower())})
    if len(found) == 1 and len(named) >= SHORTEST_DIGEST:
        return found[0], load_manifest(store.files, found[0])
    there = f"epochs 1 to {max(epochs)}" if epochs else "no release yet"
    raise InputError(
        f"{named!r} names {'no' if not found else f'{len(found)}'} model; expected an epoch ({there}), at least {SHORTEST_DIGEST} "
        "digits of a digest, or NAME/VERSION of the registry: `churn releases` lists the releases"
    )


def _known(store: ServingStore) -> tuple[dict[int, str], list[str]]:
    """The releases by epoch, and all candidates that were ever judged, newest first."""
    with store.engine.connect() as connection:
        epochs = dict(
            connection.execute(
                sa.select(tables.releases.c.epoch, tables.releases.c.champion).order_by(tables.releases.c.epoch)
            )
            .tuples()
            .all()
        )
        judged = connection.execute(
            sa.select(tables.blessings.c.candidate).order_by(tables.blessings.c.id.desc())
        ).scalars()
        return epochs, list(dict.fromkeys(judged))


def _by_registry(store: ServingStore, named: str, digests: list[str]) -> tuple[str, Manifest]:
    name, _, version = named.rpartition("/")
    for digest, manifest in _readable(store, digests):
        if (manifest.mlflow.get("model"), manifest.mlflow.get("model_version")) == (name, version):
            return digest, manifest
    raise InputError(
        f"no model that was judged here is version {version!r} of {name!r} in the registry; name an epoch or a digest of "
        "`churn releases`"
    )


def _readable(store: ServingStore, digests: list[str]) -> Iterator[tuple[str, Manifest]]:
    for digest in digests:
        try:
            yield digest, load_manifest(store.files, digest)
        except ReleaseError:  # another one may still be the one that is meant
            continue
