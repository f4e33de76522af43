"""The rows that a candidate was made from: reads the version that its manifest names, and checks its digest.

Does not belong here: whether a candidate may serve (``gate``).
"""

from datetime import date

import polars as pl
from msgspec import UnsetType

from churn_assets.lake.lake import Lake
from churn_assets.periods import ALL, epoch_s
from churn_assets.training.rebuild import rebuild
from churn_assets.training.training_set import training_set_digest
from churn_store.clock import DAY_S
from churn_store.errors import InputError, LostError
from churn_store.releases.manifest import Evaluation, Manifest


def training_set_of(manifest: Manifest, lake: Lake) -> pl.DataFrame:
    """The training set of a candidate, at the version that its manifest names rather than the newest one.

    Where the lake does not have it any more as it was, it is made again from the versions of features and labels that the manifest names.

    Args:
        manifest: manifest of the candidate.
        lake: the lake to read.

    Raises:
        InputError: that version has other rows than the candidate was made of, which may judge on rows that trained it, or none can be
            read, and they can't be made again either.
    """
    made_of = manifest.tables["training_set"]
    try:
        rows = lake.read("training_set", ALL, version=made_of.version)
        found = training_set_digest(rows)
        if found == made_of.digest:
            return rows
        said = (
            f"version {made_of.version} of training_set is not what the candidate was made of (digest {str(made_of.digest)[:12]}, found "
            f"{found[:12]}): the table was begun anew"
        )
    except (InputError, LostError) as error:
        said = str(error)
    try:
        again = rebuild(lake, manifest)
    except (InputError, LostError) as error:
        raise InputError(f"{said}; it can't be made again either, as {error}. Run the job retrain") from error
    if not again.is_equal:
        raise InputError(f"{said}; made again it is {again.comparison}. Run the job retrain")
    return again.rows


def trained_until_s(manifest: Manifest) -> int | None:
    """The end, in epoch seconds, of the last label window that a model was trained on; `None` if the data has no time."""
    if manifest.horizon_days is None or not manifest.trained_on:
        return None
    return max(epoch_s(date.fromisoformat(snapshot)) for snapshot in manifest.trained_on) + manifest.horizon_days * DAY_S


def judged_from_s(manifest: Manifest) -> int | None:
    """The first judging snapshot in epoch seconds; `None` if the data has no time."""
    return min(epoch_s(date.fromisoformat(snapshot)) for snapshot in manifest.judged_on) if manifest.judged_on else None


def evaluation_of(manifest: Manifest) -> Evaluation:
    """The evaluation of a candidate.

    Raises:
        InputError: the manifest is older than this field.
    """
    if isinstance(manifest.evaluation, UnsetType):
        raise InputError("the candidate's manifest does not say how it was evaluated; materialize candidate_model anew")
    return manifest.evaluation
