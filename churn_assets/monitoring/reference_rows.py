"""The rows that windows are compared with: the reference of the baseline that counts, as the serving release sees it.

Belongs here: reading, and scoring by the serving release where the reference is another's. Does not belong here: whose reference counts
(``churn_store.monitoring.baselines``).
"""

import msgspec
import polars as pl

from churn_assets.resources.serving import ServingStore
from churn_assets.tables import SCORE
from churn_store.errors import InputError, ReleaseError
from churn_store.monitoring.baselines import Baseline, reference_of
from churn_store.releases.bundles import Bundle
from churn_store.releases.manifest import Manifest
from churn_store.releases.reference_sample import read_sample
from churn_store.storage.digest_store import DigestStore


def reference_rows(files: DigestStore, bundle: Bundle, baseline: Baseline) -> pl.DataFrame:
    """The reference rows with the inputs of the release and ``score``, and ``snapshot_s`` where the data has time.

    Raises:
        ReleaseError: if the reference is missing, changed or damaged.
        StoreAwayError: if the object store does not answer.
    """
    rows = bundle.manifest.signature.as_trained(read_sample(reference_of(files, baseline)))
    # The scores that another release's reference has are of that release.
    return rows if baseline.is_own else rows.with_columns(pl.Series(SCORE, bundle.scorer.score_frame(rows)))


def reference_or_why(files: DigestStore, bundle: Bundle, baseline: Baseline) -> tuple[pl.DataFrame | None, str]:
    """The reference rows; ``None``, and why in a sentence, where they can't be read."""
    try:
        return reference_rows(files, bundle, baseline), ""
    except ReleaseError as error:
        return None, str(error)


def champion(serving: ServingStore) -> Bundle:
    """The release that serves.

    Raises:
        InputError: if none serves yet.
    """
    bundle = serving.champion()
    if bundle is None:
        raise InputError("no release serves yet, so there is nothing to measure drift against; materialize champion first")
    return bundle


def importances_of(manifest: Manifest) -> dict[str, float]:
    """The share of the model's importance that each input has: its fall of the AUC, as a share of all falls.

    Returns:
        The shares, which add up to 1; empty where the release does not know its importance.
    """
    if manifest.evaluation is msgspec.UNSET:
        return {}
    falls = {name: max(fall, 0.0) for name, fall in manifest.evaluation.importance.items()}
    whole = sum(falls.values())
    return {name: fall / whole for name, fall in falls.items()} if whole else {}
