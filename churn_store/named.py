"""Which model is meant by what a person types: an epoch, a digest or its beginning, or a name and version in the registry.

Every candidate is registered and judged, so the verdicts lead to those that never served as well.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from churn_store.bundles import load_manifest
from churn_store.errors import InputError, ReleaseError
from churn_store.files import DigestStore
from churn_store.manifest import Manifest
from churn_store.releases import history
from churn_store.verdicts import newest_blessings

SHORTEST_DIGEST = 4
"""So many digits of a digest are enough to mean one."""


def find_manifest(engine: sa.Engine, files: DigestStore, named: str) -> tuple[str, Manifest]:
    """The digest and the manifest of a registered model.

    Args:
        engine: the serving database.
        files: the release files.
        named: an epoch, the digest of a release or candidate (or its beginning), or ``name/version`` of the registry.

    Raises:
        InputError: no model, or more than one, has that name.
        ReleaseError: its manifest is missing or was changed.
    """
    rows = history(engine, limit=None)
    epochs = {row.epoch: row.champion for row in reversed(rows)}
    challengers = [row.challenger for row in rows if row.challenger is not None]
    digests = list(
        dict.fromkeys([*epochs.values(), *challengers, *(verdict.candidate for verdict in newest_blessings(engine))])
    )
    if named.isdecimal() and int(named) in epochs:
        digest = epochs[int(named)]
        return digest, load_manifest(files, digest)
    if "/" in named:
        return _by_registry(files, named, digests)
    found = [digest for digest in digests if digest.startswith(named.lower())]
    if len(found) == 1 and len(named) >= SHORTEST_DIGEST:
        return found[0], load_manifest(files, found[0])
    there = f"epochs 1 to {max(epochs)}" if epochs else "no release yet"
    raise InputError(
        f"{named!r} names {'no' if not found else f'{len(found)}'} model; expected an epoch ({there}), at least {SHORTEST_DIGEST} "
        "digits of a digest, or NAME/VERSION of the registry: `churn releases` lists the releases"
    )


def _by_registry(files: DigestStore, named: str, digests: list[str]) -> tuple[str, Manifest]:
    name, _, version = named.rpartition("/")
    for digest, manifest in _readable(files, digests):
        if (manifest.mlflow.get("model"), manifest.mlflow.get("model_version")) == (name, version):
            return digest, manifest
    raise InputError(
        f"no model that was judged here is version {version!r} of {name!r} in the registry; name an epoch or a digest of "
        "`churn releases`"
    )


def _readable(files: DigestStore, digests: list[str]) -> Iterator[tuple[str, Manifest]]:
    for digest in digests:
        try:
            yield digest, load_manifest(files, digest)
        except ReleaseError:  # another one may still be the one that is meant
            continue
