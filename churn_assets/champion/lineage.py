"""What a candidate's manifest says of the rows it was made of, held against the rows that are there now.

Does not belong here: whether a candidate may serve (``gate``).
"""

from datetime import date

import polars as pl
from msgspec import UnsetType

from churn_assets.periods import epoch_s
from churn_assets.tables import JUDGE
from churn_assets.training.training_set import training_set_digest
from churn_store.clock import DAY_S
from churn_store.errors import InputError
from churn_store.releases.manifest import Evaluation, Manifest


def judging_rows(training_set: pl.DataFrame, manifest: Manifest) -> pl.DataFrame:
    """The rows that a candidate is judged on.

    Args:
        training_set: as it is now.
        manifest: the candidate's.

    Raises:
        InputError: it is not the training set that the candidate was made of, so it may judge on rows that trained it.
    """
    made_of, found = manifest.tables["training_set"], training_set_digest(training_set)
    if found != made_of.digest:
        raise InputError(
            f"training_set has changed since the candidate was made of its version {made_of.version} (digest "
            f"{str(made_of.digest)[:12]}, now {found[:12]}); run the job retrain"
        )
    return training_set.filter(pl.col("role") == JUDGE)


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
