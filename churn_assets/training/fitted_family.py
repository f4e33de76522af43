"""A fitted family as data: what its asset hands to ``candidate_model``. No later asset sees its pipeline.

Belongs here: the document, and the files that it names by digest. Does not belong here: fitting (``fitting``), and which family
becomes the candidate (``champion.candidate``).
"""

from collections.abc import Mapping

import msgspec
import polars as pl

from churn_assets.training.families import Value
from churn_assets.training.fitting import Fitted, Trial
from churn_assets.training.golden import golden_rows, sampled
from churn_assets.training.held_out import encode, pipeline_probabilities
from churn_store.errors import InputError, ReleaseError
from churn_store.model.signature import Signature
from churn_store.releases.manifest import FILE_LIMITS, TableVersion
from churn_store.releases.manifest import encode as encode_golden
from churn_store.storage.digest_store import MEBIBYTE, DigestStore

MODEL, GOLDEN, PROBABILITIES = "model.onnx", "golden.json", "probabilities.parquet"

LIMITS = {MODEL: FILE_LIMITS[MODEL], GOLDEN: FILE_LIMITS[GOLDEN], PROBABILITIES: 1024 * MEBIBYTE}
"""The files that a fitted family leaves, and how large each may be, in bytes. The table is of all held-out rows."""


class FittedFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the candidate needs of a fitted family.

    Attributes:
        family: name of the family.
        parameters: parameters of the estimator.
        signature: inputs of the model.
        measures: measures on the selecting rows.
        threshold: decision threshold.
        training_set: version and digest of the table that it was fitted on.
        seed: seed of the estimator and of the search.
        trials: trials of the search.
        configured: digest of the settings and features that it was fitted with.
        files: sha256 of each file of ``LIMITS``, in the store of the release files.
    """

    family: str
    parameters: dict[str, Value]
    signature: Signature
    measures: dict[str, float]
    threshold: float
    training_set: TableVersion
    seed: int
    trials: tuple[Trial, ...]
    configured: str
    files: dict[str, str]


def contents(fitted: Fitted, training_set: pl.DataFrame, *, seed: int) -> dict[str, bytes]:
    """The files of a fitted family by name.

    Args:
        fitted: the family.
        training_set: training set with the rows of every role.
        seed: seed of the sample that the golden rows are taken from.
    """
    golden = golden_rows(fitted.pipeline, fitted.signature, sampled(training_set, seed=seed))
    probabilities = pipeline_probabilities(fitted.pipeline, training_set, fitted.signature, model=fitted.model)
    return {MODEL: fitted.model, GOLDEN: encode_golden(golden), PROBABILITIES: encode(probabilities)}


def described(fitted: Fitted, files: Mapping[str, str]) -> FittedFamily:
    """A fitted family whose files are kept.

    Args:
        fitted: the family.
        files: sha256 of each file.
    """
    return FittedFamily(
        family=fitted.family,
        parameters=dict(fitted.parameters),
        signature=fitted.signature,
        measures=fitted.measures,
        threshold=fitted.threshold,
        training_set=fitted.training_set,
        seed=fitted.seed,
        trials=fitted.trials,
        configured=fitted.configured,
        files=dict(files),
    )


def keep(store: DigestStore, fitted: Fitted, training_set: pl.DataFrame, *, seed: int) -> FittedFamily:
    """Keep the files of a fitted family, and describe it.

    Raises:
        StoreAwayError: the store does not answer.
    """
    made = contents(fitted, training_set, seed=seed)
    return described(fitted, {name: store.put(content) for name, content in made.items()})


def read_file(store: DigestStore, name: str, digest: str, *, asset: str) -> bytes:
    """A file that an asset has left.

    Args:
        store: the release files.
        name: a name of ``LIMITS``.
        digest: sha256 of the file.
        asset: name of the asset that left it.

    Raises:
        InputError: it is missing, was changed, or is too large.
        StoreAwayError: the store does not answer.
    """
    try:
        return store.get(digest, at_most=LIMITS[name])
    except ReleaseError as error:
        raise InputError(f"{name} of {asset} can't be read: {error}; materialize {asset} again") from error
