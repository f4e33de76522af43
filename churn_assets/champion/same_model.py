"""Recognizes a candidate that is the champion's model again: it is not judged against itself, and not registered a second time.

Equal rows and an equal seed give an equal ``model.onnx``, by digest. Other parts of a manifest, such as its run and time, differ with each
run.

Does not belong here: who may challenge whom (``churn_store.releases.challenge``).
"""

from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from churn_assets.resources.serving import ServingStore
from churn_store.errors import InputError, ReleaseError
from churn_store.releases.bundles import load_manifest
from churn_store.releases.lifecycle import SHOWN_DIGITS
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Manifest

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

MODEL_TAG = "model_sha256"
"""The tag of a registered version with the digest of its ``model.onnx``."""


def champion_of_same_model(serving: ServingStore, model_sha256: str) -> tuple[Serving, Manifest] | None:
    """The release that serves, if its ``model.onnx`` has a given digest.

    Args:
        serving: serving database and release files.
        model_sha256: sha256 of the model.

    Returns:
        The row and manifest of the release; `None` if another model serves, or none, or if it can't be read. The gate reads it next and
        says why it can't.
    """
    try:
        row = serving.newest()
        manifest = None if row is None else load_manifest(serving.files, row.champion)
    except (SQLAlchemyError, ReleaseError):
        return None
    return None if row is None or manifest is None or manifest.model_sha256 != model_sha256 else (row, manifest)


def same_in_words(row: Serving, champion: Manifest, candidate: Manifest) -> str:
    """A sentence that the candidate is the model that serves, and whether its threshold differs."""
    sentence = (
        f"the same model.onnx serves already (epoch {row.epoch}); it is not judged against itself and keeps its verdict"
    )
    if candidate.threshold != champion.threshold:
        sentence += (
            f". Its threshold would now be {candidate.threshold:.4f}, the one that serves decides at {champion.threshold:.4f}: it follows "
            "with the next model that differs"
        )
    return sentence


def refuse_what_serves(serving: ServingStore, manifest: Manifest) -> None:
    """Refuse to judge the candidate that serves: a tie would be recorded as the verdict on the champion.

    Raises:
        InputError: the candidate serves already.
    """
    same = champion_of_same_model(serving, manifest.model_sha256)
    if same is not None and same[1].candidate == manifest.candidate:
        raise InputError(
            f"candidate {manifest.candidate[:SHOWN_DIGITS]} serves already (epoch {same[0].epoch}), with the verdict that it was released "
            "by; to judge another one run the job retrain"
        )


def registered_version(client: "MlflowClient", serving: ServingStore, *, name: str, model_sha256: str) -> str | None:
    """The registered version of a model; `None` if it is not registered.

    Args:
        client: client of the registry.
        serving: serving database and release files; only the champion's manifest knows versions that are older than ``MODEL_TAG``.
        name: name of the registered model.
        model_sha256: sha256 of the model.
    """
    same = champion_of_same_model(serving, model_sha256)
    if same is not None and same[1].mlflow.get("model") == name and (version := same[1].mlflow.get("model_version")):
        return version
    versions = client.search_model_versions(f"name = '{name}' and tag.`{MODEL_TAG}` = '{model_sha256}'", max_results=1)
    return str(versions[0].version) if versions else None
