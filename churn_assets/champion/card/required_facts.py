"""What a model card must be able to say, and what of it a manifest lacks.

Belongs here: which facts a card can't do without. Does not belong here: how they are told (``model_card``).
"""

from churn_store.errors import InputError
from churn_store.releases.manifest import SINCE, Evaluation, Manifest

ALWAYS = (
    "company",
    "family",
    "signature.columns",
    "label",
    "metrics",
    "training_rows",
    "judging_rows",
    "split",
    "tables",
    "code_commit",
    "lock_sha256",
    "created_s",
    "files",
    "parameters",
    "population",
    "purpose",
    "evaluation.confidence",
    "evaluation.intervals",
    "evaluation.baselines",
    "evaluation.reliability",
    "evaluation.importance",
)
"""Facts of every model, each of which is more than nothing."""

BY_TIME = ("horizon_days", "trained_on", "calibrated_on", "judged_on", "evaluation.by_snapshot")
"""Facts of a model that was judged on later snapshots."""


def missing(manifest: Manifest) -> list[str]:
    """The names of the facts that a manifest lacks."""
    wanted = ALWAYS + (BY_TIME if manifest.split == "by time" else ())
    return [name for name in wanted if not _value(manifest, name)]


def evaluation_of(manifest: Manifest) -> Evaluation:
    """The evaluation of a manifest that says all that a card must say.

    Raises:
        InputError: names every missing fact.
    """
    named = f"the manifest of candidate {manifest.candidate[:12]}"
    if manifest.format == 1:
        raise InputError(
            f"{named} was made before format 2 and does not say how its model was evaluated (no {', '.join(SINCE[2])}): train anew"
        )
    lacking = missing(manifest)
    if lacking or not isinstance(manifest.evaluation, Evaluation):
        raise InputError(f"{named} has no {', '.join(lacking)}; a card is made of facts alone: train anew")
    return manifest.evaluation


def _value(manifest: Manifest, name: str) -> object:
    """A fact by its dotted name; none where it or what holds it is absent."""
    found: object = manifest
    for part in name.split("."):
        found = getattr(found, part, None)  # msgspec's UNSET has no such attribute, and is false itself
    return found
