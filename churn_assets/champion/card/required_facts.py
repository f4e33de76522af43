"""The facts that a model card requires, and those of them that a manifest lacks.

Belongs here: which facts are required. Does not belong here: how a card shows them (``model_card``).
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
"""Required facts of every model; an empty value counts as missing."""

BY_TIME = ("horizon_days", "trained_on", "calibrated_on", "judged_on", "evaluation.by_snapshot")
"""Further required facts of a model that was judged on later snapshots."""


def missing(manifest: Manifest) -> list[str]:
    """The names of the facts that a manifest lacks."""
    required = ALWAYS + (BY_TIME if manifest.split == "by time" else ())
    return [name for name in required if not _value(manifest, name)]


def evaluation_of(manifest: Manifest) -> Evaluation:
    """The evaluation of a manifest, after a check that no required fact is missing.

    Raises:
        InputError: facts are missing; the message names them.
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
    """A fact by its dotted name; `None` if it, or the object that holds it, is absent."""
    value: object = manifest
    for attribute in name.split("."):
        value = getattr(value, attribute, None)  # msgspec's UNSET has no attributes, and is falsy itself
    return value
