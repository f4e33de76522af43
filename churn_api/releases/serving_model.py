"""A release in its role, champion or challenger, and how each of its answers names it."""

from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter

from churn_api.schemas.predictions import Model
from churn_api.telemetry.metrics import Metrics
from churn_store.releases.bundles import Bundle
from churn_store.releases.log import Serving
from churn_store.releases.risk_bands import RiskBands

Role = Literal["champion", "challenger"]

SHOWN_DIGITS: Final = 12
"""Digits of a digest that metrics and log lines show."""


@dataclass(frozen=True, slots=True, eq=False)
class ServingModel:
    """A verified release that answers.

    Attributes:
        bundle: manifest and scorer.
        bands: risk bands of its probabilities.
        model: its description in every answer.
        header: response header that names it.
        short: first digits of its digest.
        stays, leaves: counters of its predictions.
    """

    bundle: Bundle
    bands: RiskBands
    model: Model
    header: tuple[bytes, bytes]
    short: str
    stays: Counter
    leaves: Counter


def serving_model(bundle: Bundle, bands: RiskBands, row: Serving, role: Role, metrics: Metrics) -> ServingModel:
    """A release in the role that a row of ``releases`` gives it."""
    short = bundle.digest[:SHOWN_DIGITS]
    return ServingModel(
        bundle=bundle,
        bands=bands,
        model=Model(release=bundle.digest, epoch=row.epoch, family=bundle.manifest.family, role=role),
        header=(b"x-release", bundle.digest.encode()),
        short=short,
        stays=metrics.predictions.labels(short, role, "false"),
        leaves=metrics.predictions.labels(short, role, "true"),
    )
