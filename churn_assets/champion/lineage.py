"""What a candidate's manifest says of the rows it was made of, held against the rows of that version.

Does not belong here: whether a candidate may serve (``gate``).
"""

from datetime import date

import polars as pl
from msgspec import UnsetType

from churn_assets.lake.lake import Lake
from churn_assets.periods import ALL, epoch_s
from churn_assets.training.training_set import training_set_digest
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.releases.manifest import Evaluation, Manifest


def training_set_of(manifest: Manifest, lake: Lake) -> pl.DataFrame:
    """The training set that a candidate was made of: at the version that its manifest names, not the newest one.

    Args:
        manifest: manifest of the candidate.
        lake: the lake to read.

    Raises:
        InputError: that version has other rows than the candidate was made of, which may judge on rows that trained it.
    """
    made_of = manifest.tables["training_set"]
    rows = lake.read("training_set", ALL, version=made_of.version)
    found = training_set_digest(rows)
    if found != made_of.digest:
        raise InputError(
            f"version {made_of.version} of training_set is not what the candidate was made of (digest {str(made_of.digest)[:12]}, found "
            f"{found[:12]}): the table was begun anew; run the job retrain"
        )
    return rows


def trained_until_s(manifest: Manifest) -> int | None:
    """The end of the last label window that had a say in a model."""
    if manifest.horizon_days is None or not manifest.trained_on:
        return None
    return max(epoch_s(date.fromisoformat(snapshot)) for snapshot in manifest.trained_on) + manifest.horizon_days * DAY_S


def judged_from_s(manifest: Manifest) -> int | None:
    """T of the first snapshot that judges; none where data has no time."""
    return min(epoch_s(date.fromisoformat(snapshot)) for snapshot in manifest.judged_on) if manifest.judged_on else None


def evaluation_of(manifest: Manifest) -> Evaluation:
    """How a candidate was evaluated.

    Raises:
        InputError: it was made before manifests said so.
    """
    if isinstance(manifest.evaluation, UnsetType):
        raise InputError("the candidate's manifest does not say how it was evaluated; materialize candidate_model anew")
    return manifest.evaluation
