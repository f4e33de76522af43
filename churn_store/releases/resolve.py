"""Which model is meant by what a person types: an epoch, a digest or its beginning, or a name and version in the registry.

Every candidate is registered and judged, so the verdicts lead to those that never served as well.
"""

from collections.abc import Iterator

import sqlalchemy as sa

from churn_store.errors import InputError, ReleaseError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.lifecycle import SHOWN_DIGITS
from churn_store.releases.log import history
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore

SHORTEST_DIGEST = 4
"""So many digits of a digest are enough to mean one."""

LONGEST_EPOCH = 18
"""Digits of an epoch; the column holds no more."""

SHOWN_LETTERS = 80
"""Of what was typed, in an error."""


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
    epoch = int(named) if named.isascii() and named.isdecimal() and len(named) <= LONGEST_EPOCH else None
    if epoch is not None and epoch in epochs:
        return epochs[epoch], load_manifest(files, epochs[epoch])
    if "/" in named:
        return _by_registry(files, named, digests)
    found = [digest for digest in digests if digest.startswith(named.lower())]
    if len(found) == 1 and len(named) >= SHORTEST_DIGEST:
        return found[0], load_manifest(files, found[0])
    there = f"epochs 1 to {max(epochs)}" if epochs else "no release yet"
    raise InputError(
        f"{_shown(named)} names {'no' if not found else f'{len(found)}'} model; expected an epoch ({there}), at least {SHORTEST_DIGEST} "
        "digits of a digest, or NAME/VERSION of the registry: `churn releases` lists the releases"
    )


def _by_registry(files: DigestStore, named: str, digests: list[str]) -> tuple[str, Manifest]:
    name, _, version = named.rpartition("/")
    found: dict[str, tuple[str, Manifest]] = {}
    for digest, manifest in _readable(files, digests):
        if (manifest.mlflow.get("model"), manifest.mlflow.get("model_version")) == (name, version):
            found.setdefault(manifest.candidate, (digest, manifest))
    if not found:
        raise InputError(
            f"no model that was judged here is version {_shown(version)} of {_shown(name)} in the registry; name an epoch or a digest "
            "of `churn releases`"
        )
    if len(found) > 1:
        raise InputError(
            f"version {_shown(version)} of {_shown(name)} names {len(found)} candidates: {', '.join(one[:SHOWN_DIGITS] for one in found)}; "
            "name one of them by its digest"
        )
    return next(iter(found.values()))


def _readable(files: DigestStore, digests: list[str]) -> Iterator[tuple[str, Manifest]]:
    for digest in digests:
        try:
            yield digest, load_manifest(files, digest)
        except ReleaseError:  # another one may still be the one that is meant
            continue


def _shown(typed: str) -> str:
    more = f"... ({len(typed)} letters)" if len(typed) > SHOWN_LETTERS else ""
    return f"{typed[:SHOWN_LETTERS]!r}{more}"
