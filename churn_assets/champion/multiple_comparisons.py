"""How often the same judging rows were asked already: which try against the champion a candidate is.

Who tries often enough finds a model that is better on these rows by chance. So the gate asks more of each further try.
"""

from churn_assets.resources.serving import ServingStore
from churn_assets.training.split import draw_of
from churn_store.errors import ReleaseError
from churn_store.releases.blessings import newest_blessings
from churn_store.releases.bundles import load_manifest
from churn_store.releases.log import Serving, history
from churn_store.releases.manifest import Manifest


def nth_model(serving: ServingStore, manifest: Manifest, serves: Serving | None) -> int:
    """Which of the different models this is that were compared with the champion on these judging rows, from 1.

    Args:
        serving: the serving database and the release files.
        manifest: manifest of the candidate.
        serves: the row that says which release serves; None before the first, when nothing is compared.

    Returns:
        A candidate whose manifest is no longer there counts as one; the same model again does not.
    """
    if serves is None:
        return 1
    champions = {row.epoch: row.champion for row in history(serving.engine, limit=None)}
    tried: set[str] = set()
    for blessing in newest_blessings(serving.engine):
        if champions.get(blessing.epoch) != serves.champion:
            continue
        try:
            other = load_manifest(serving.files, blessing.candidate)
        except ReleaseError:  # it was compared all the same
            tried.add(blessing.candidate)
            continue
        if draw_of(other.split) == draw_of(manifest.split) and (
            not manifest.judged_on or set(other.judged_on) & set(manifest.judged_on)
        ):
            tried.add(other.files["model.onnx"].sha256)
    return 1 + len(tried - {manifest.files["model.onnx"].sha256})
