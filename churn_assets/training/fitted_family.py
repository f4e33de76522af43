"""A fitted family as a document and files, which its asset hands to ``candidate_model``. No later asset sees the pipeline.

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
from churn_store.model.signature import Column, Signature
from churn_store.releases.manifest import FILE_LIMITS, TableVersion
from churn_store.releases.manifest import encode as encode_golden
from churn_store.safe_read import MEBIBYTE
from churn_store.storage.digest_store import DigestStore

MODEL, GOLDEN, PROBABILITIES = "model.onnx", "golden.json", "probabilities.parquet"

LIMITS = {MODEL: FILE_LIMITS[MODEL], GOLDEN: FILE_LIMITS[GOLDEN], PROBABILITIES: 1024 * MEBIBYTE}
"""Greatest size in bytes of each file of a fitted family. The table of probabilities has all held-out rows."""


class FittedFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document of a fitted family.

    Attributes:
        family: name of the family.
        parameters: parameters of the estimator.
        signature: inputs of the model.
        measures: measures on the selecting rows.
        threshold: decision threshold.
        training_set: version and digest of the table that it was fitted on.
        seed: seed of the estimator and of the search.
        trials: trials of the search.
        configured: digest of the settings and features of the fit (``config_digest``).
        files: sha256 by name of each file of ``LIMITS``; the store of release files holds them.
        left_out: whether the run has not asked for the family; it was not fitted then, and nothing else is said of it.
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
    left_out: bool = False

    @classmethod
    def without(cls, family: str, training_set: TableVersion, columns: tuple[Column, ...]) -> "FittedFamily":
        """A family that a run has left out, of the training set and the columns that there were."""
        return cls(
            family=family, parameters={}, signature=Signature(columns), measures={}, threshold=0.0, training_set=training_set,
            seed=0, trials=(), configured="", files={}, left_out=True,
        )  # fmt: skip


def contents(fitted: Fitted, training_set: pl.DataFrame, *, seed: int) -> dict[str, bytes]:
    """The content of a fitted family's files, by name.

    Args:
        fitted: fitted family.
        training_set: training set with the rows of every role.
        seed: seed of the sample that the golden rows are taken from.
    """
    golden = golden_rows(fitted.pipeline, fitted.signature, sampled(training_set, seed=seed))
    probabilities = pipeline_probabilities(fitted.pipeline, training_set, fitted.signature, model=fitted.model)
    return {MODEL: fitted.model, GOLDEN: encode_golden(golden), PROBABILITIES: encode(probabilities)}


def as_document(fitted: Fitted, files: Mapping[str, str]) -> FittedFamily:
    """The document of a fitted family.

    Args:
        fitted: fitted family.
        files: sha256 of each stored file, by name.
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


def store_fitted(store: DigestStore, fitted: Fitted, training_set: pl.DataFrame, *, seed: int) -> FittedFamily:
    """Store the files of a fitted family.

    Returns:
        The document that names them.

    Raises:
        StoreAwayError: the store does not answer.
    """
    by_name = contents(fitted, training_set, seed=seed)
    return as_document(fitted, {name: store.put(content) for name, content in by_name.items()})


def read_file(store: DigestStore, name: str, digest: str, *, asset: str) -> bytes:
    """Read a file that an asset has stored.

    Args:
        store: store of the release files.
        name: name of the file, one of ``LIMITS``.
        digest: sha256 of the file.
        asset: name of the asset that stored it.

    Raises:
        InputError: it is missing, was changed, or is too large.
        StoreAwayError: the store does not answer.
    """
    try:
        return store.get(digest, at_most=LIMITS[name])
    except ReleaseError as error:
        raise InputError(f"{name} of {asset} can't be read: {error}; materialize {asset} again") from error
