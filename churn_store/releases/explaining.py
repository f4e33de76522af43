"""The explainer of a release: by the plan in its manifest, or, of an older one, by its reference sample.

Belongs here: where a release's plan comes from. Does not belong here: the contributions (``churn_store.model.reasons``).
"""

import msgspec

from churn_store.errors import ReleaseError
from churn_store.model.reasons.explainer import Explainer
from churn_store.model.reasons.plan import ReasonPlan, plan_of_older
from churn_store.releases.bundles import Bundle
from churn_store.releases.reference_sample import read_sample


def explainer_of(bundle: Bundle) -> Explainer:
    """The explainer of a verified release. Of an older release a child process reads the reference sample first, which takes a moment.

    Raises:
        ReleaseError: if the manifest's plan is not one of the model's inputs, or there is none and the reference sample can't be read.
    """
    return Explainer(bundle.scorer, plan_of(bundle), bundle.manifest.model_sha256)


def plan_of(bundle: Bundle) -> ReasonPlan:
    """The plan of a release's reasons.

    Raises:
        ReleaseError: if the manifest has none and the reference sample can't be read.
    """
    manifest = bundle.manifest
    if isinstance(manifest.reasons, ReasonPlan):
        return manifest.reasons
    import polars as pl  # noqa: PLC0415 - only older releases need a frame

    signature = manifest.signature
    try:
        rows = read_sample(bundle.reference).select(
            *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in signature.numbers),
            *(pl.col(name).cast(pl.String) for name in signature.categories),
        )
    except pl.exceptions.PolarsError as error:
        raise ReleaseError(f"reference.parquet can't be read: {type(error).__name__}") from error
    protected = {} if isinstance(manifest.protected, msgspec.UnsetType) else manifest.protected
    return plan_of_older(rows, signature, protected)
