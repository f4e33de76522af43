"""Mirrors the releases in MLflow's registry, for people: aliases and tags of the versions that serve.

The service never reads MLflow, and no release waits for it. A failure is reported, and the sensor ``follow_releases`` tries again.
"""

from typing import TYPE_CHECKING

from churn_store.errors import ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
"""The aliases of the registry."""


def mirror(client: "MlflowClient", files: DigestStore, row: Serving) -> str:
    """Point the aliases ``champion`` and ``challenger`` at the versions that serve, and tag these.

    Args:
        client: client of the model registry.
        files: store of the release files, whose manifests name the versions.
        row: newest release.

    Returns:
        The state of the registry, in words.

    Raises:
        MlflowException: the registry does not answer or lacks a version.
        ReleaseError: a manifest is missing or was changed.
    """
    sentences = []
    manifests = {
        alias: _manifest(files, digest) for alias, digest in ((CHAMPION, row.champion), (CHALLENGER, row.challenger))
    }
    for alias, manifest in manifests.items():
        model, version = (None, None) if manifest is None else _version(manifest)
        if manifest is not None and model and version:
            client.set_registered_model_alias(model, alias, version)
            for key, value in _tags(manifest, row, alias).items():
                client.set_model_version_tag(model, version, key, value)
            sentences.append(f"{alias} is version {version} of {model}")
        else:
            _remove_alias(client, manifests, alias)
            sentences.append(f"{alias} is {'nobody' if manifest is None else 'a model that was never registered'}")
    return "in the registry " + ", ".join(sentences)


def try_to_mirror(client: "MlflowClient", files: DigestStore, row: Serving) -> tuple[bool, str]:
    """``mirror`` for a registry that may not answer: whether it succeeded, and a sentence."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - five seconds of import that only training pays

    try:
        return True, mirror(client, files, row)
    except (MlflowException, ReleaseError) as error:
        return False, f"the registry does not show epoch {row.epoch} yet: {' '.join(str(error).split())[:300]}"


def _manifest(files: DigestStore, digest: str | None) -> Manifest | None:
    return None if digest is None else load_manifest(files, digest)


def _version(manifest: Manifest) -> tuple[str | None, str | None]:
    return manifest.mlflow.get("model"), manifest.mlflow.get("model_version")


def _remove_alias(client: "MlflowClient", manifests: dict[str, Manifest | None], alias: str) -> None:
    """Remove an alias without a version, from the models of the other aliases: their names are the only ones known here."""
    for manifest in manifests.values():
        if manifest is not None and (model := _version(manifest)[0]):
            client.delete_registered_model_alias(model, alias)


def _tags(manifest: Manifest, row: Serving, alias: str) -> dict[str, str]:
    """The tags of a version that tell people which release it is."""
    digest = row.champion if alias == CHAMPION else row.challenger
    training_set = manifest.tables.get("training_set")
    return {
        "release": str(digest),
        "epoch": str(row.epoch),
        **(
            {}
            if manifest.blessing is None
            else {"blessing": manifest.blessing.verdict, "blessed_by": manifest.blessing.actor}
        ),
        **({} if training_set is None or training_set.digest is None else {"training_set": training_set.digest}),
    }
