"""Counts the models already compared with the champion on the same judging rows, so that the gate can correct for multiple comparisons.

Of many candidates, one is better than the champion on these rows by chance. So the gate asks more of each further one.
"""

from churn_assets.resources.serving import ServingStore
from churn_assets.training.split import hold_out_draw
from churn_store.errors import ReleaseError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Manifest


def nth_model(serving: ServingStore, manifest: Manifest, newest: Serving | None) -> int:
    """The number of this candidate among the different models compared with the champion on these judging rows, from 1.

    Args:
        serving: serving database and release files.
        manifest: manifest of the candidate.
        newest: row of the release that serves; `None` before the first, when nothing is compared.

    Returns:
        The number. A candidate whose manifest is lost counts; the same model again does not.
    """
    if newest is None:
        return 1
    champions = {row.epoch: row.champion for row in history(serving.engine, limit=None)}
    compared: set[str] = set()
    for blessing in newest_blessings(serving.engine):
        if champions.get(blessing.epoch) != newest.champion:
            continue
        try:
            other = load_manifest(serving.files, blessing.candidate)
        except ReleaseError:  # it was compared, so it counts
            compared.add(blessing.candidate)
            continue
        if hold_out_draw(other.split) == hold_out_draw(manifest.split) and (
            not manifest.judged_on or set(other.judged_on) & set(manifest.judged_on)
        ):
            compared.add(other.files["model.onnx"].sha256)
    return 1 + len(compared - {manifest.files["model.onnx"].sha256})
