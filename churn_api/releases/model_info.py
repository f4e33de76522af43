"""The answer body of ``GET /model/info``: what a caller has to know of the release that serves.

Belongs here: inputs, decision and risk bands. Does not belong here: how good it is and who released it (``releases.responses``).
"""

from itertools import pairwise
from typing import Literal

import msgspec

from churn_api.releases.served import Served
from churn_api.releases.serving_model import ServingModel
from churn_store.releases.risk_bands import RiskBands


class Input(msgspec.Struct, kw_only=True):
    """An input of the model.

    Attributes:
        kind: ``number`` or ``category``.
        nullable: whether the model was trained to do without a value.
        low, high: smallest and greatest number that is taken; null for no bound.
        categories: values that training saw; any other is scored as unknown.
    """

    name: str
    kind: Literal["number", "category"]
    unit: str
    description: str
    nullable: bool
    low: float | None
    high: float | None
    categories: tuple[str, ...]


class RiskBand(msgspec.Struct, kw_only=True):
    """A range of the probability.

    Attributes:
        at_least: smallest probability in the band.
        below: probability at which the next one begins; null for the last.
    """

    name: str
    at_least: float
    below: float | None


class Arm(msgspec.Struct, kw_only=True):
    """A release that answers.

    Attributes:
        role: ``champion`` or ``challenger``.
        share: share of the customers that it answers.
        threshold: probability from which on the answer is churn.
        bands_from: ``release`` if the bands follow from its profit and calibration, ``threshold`` if it is too old to tell, ``settings``
            if ``service.risk_bands`` sets them.
    """

    release: str
    role: str
    share: float
    family: str
    threshold: float
    risk_bands: list[RiskBand]
    bands_from: str


class ModelInfo(msgspec.Struct, kw_only=True):
    """What serves, for those who ask for predictions.

    Attributes:
        label: definition of churn in words.
        horizon_days: length of the window that the probability refers to; null where data has no time.
        population: definition of the customers at risk, in words; null for a release from before it was recorded. So is ``purpose``.
        inputs: inputs of the model, the same for both arms.
        arms: the champion, and the challenger if there is one.
    """

    epoch: int
    label: str
    horizon_days: int | None
    population: str | None
    purpose: str | None
    inputs: list[Input]
    arms: list[Arm]


def model_info(served: Served) -> ModelInfo:
    """What serves now."""
    manifest, challenge = served.champion.bundle.manifest, served.challenge
    share = 0.0 if challenge is None else challenge.share
    arms = [_arm(served.champion, 1 - share)]
    if challenge is not None:
        arms.append(_arm(challenge.challenger, share))
    return ModelInfo(
        epoch=served.row.epoch,
        label=manifest.label,
        horizon_days=manifest.horizon_days,
        population=None if manifest.population is msgspec.UNSET else manifest.population,
        purpose=None if manifest.purpose is msgspec.UNSET else manifest.purpose,
        inputs=[
            Input(
                name=column.name,
                kind=column.kind,
                unit=column.unit,
                description=column.description,
                nullable=column.nullable,
                low=column.low,
                high=column.high,
                categories=column.categories,
            )
            for column in manifest.signature.columns
        ],
        arms=arms,
    )


def _arm(role: ServingModel, share: float) -> Arm:
    manifest = role.bundle.manifest
    return Arm(
        release=role.bundle.digest,
        role=role.model.role,
        share=share,
        family=manifest.family,
        threshold=manifest.threshold,
        risk_bands=_bands(role.bands),
        bands_from=role.bands.origin,
    )


def _bands(bands: RiskBands) -> list[RiskBand]:
    bounds = pairwise([*bands.bounds, None])
    return [
        RiskBand(name=name, at_least=at_least or 0.0, below=below)
        for name, (at_least, below) in zip(bands.names, bounds, strict=True)
    ]
