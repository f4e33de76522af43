"""MLflow's registry as a mirror of the releases, for people: aliases and tags of the versions that serve.

The service never asks MLflow, and no release waits for it: what could not be mirrored is said, and tried again by the sensor
``follow_releases``.
"""

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from churn_store.errors import ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Manifest
from churn_store.storage.digest_store import DigestStore

CHAMPION, CHALLENGER = "champion", "challenger"
"""The aliases."""


def mirror(client: MlflowClient, files: DigestStore, row: Serving) -> str:
    """Let the aliases ``champion`` and ``challenger`` name the versions that serve, and tag these with what they are.

    Args:
        client: client of the model registry.
        files: the release files, where manifests name the versions.
        row: the newest release.

    Returns:
        What the registry says now, in words.

    Raises:
        MlflowException: the registry is away or does not have such a version.
        ReleaseError: a manifest is missing or was changed.
    """
    said = []
    named = {alias: _manifest(files, digest) for alias, digest in ((CHAMPION, row.champion), (CHALLENGER, row.challenger))}
    for alias, manifest in named.items():
        model, version = (None, None) if manifest is None else _version(manifest)
        if manifest is not None and model and version:
            client.set_registered_model_alias(model, alias, version)
            for key, value in _tags(manifest, row, alias).items():
                client.set_model_version_tag(model, version, key, value)
            said.append(f"{alias} is version {version} of {model}")
        else:
            _take_away(client, named, alias)
            said.append(f"{alias} is {'nobody' if manifest is None else 'a model that was never registered'}")
    return "in the registry " + ", ".join(said)


def try_to_mirror(client: MlflowClient, files: DigestStore, row: Serving) -> tuple[bool, str]:
    """``mirror`` where the registry may be away: whether it was done, and what happened in words."""
    try:
        return True, mirror(client, files, row)
    except (MlflowException, ReleaseError) as error:
        return False, f"the registry does not show epoch {row.epoch} yet: {' '.join(str(error).split())[:300]}"


def _manifest(files: DigestStore, digest: str | None) -> Manifest | None:
    return None if digest is None else load_manifest(files, digest)


def _version(manifest: Manifest) -> tuple[str | None, str | None]:
    return manifest.mlflow.get("model"), manifest.mlflow.get("model_version")


def _take_away(client: MlflowClient, named: dict[str, Manifest | None], alias: str) -> None:
    """An alias that names nobody any more; of the model that the other one names, as there is no other to ask."""
    for manifest in named.values():
        if manifest is not None and (model := _version(manifest)[0]):
            client.delete_registered_model_alias(model, alias)


def _tags(manifest: Manifest, row: Serving, alias: str) -> dict[str, str]:
    """What a person who looks at a version wants to know of its release."""
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
