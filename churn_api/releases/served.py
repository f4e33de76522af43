"""The releases that serve, as one immutable object that a request takes once and uses to its end.

Belongs here: everything that is computed once per row of ``releases``, so that no request computes it again. Does not belong here:
when a row is taken (``releases.poller``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from churn_api.releases.reference import Reference, read_reference
from churn_api.releases.serving_model import SHOWN_DIGITS, ServingModel, serving_model
from churn_api.releases.traffic_split import Challenge
from churn_api.schemas.requests import RequestTypes
from churn_api.telemetry.json_log import say
from churn_api.telemetry.metrics import Metrics
from churn_store.errors import ReleaseError
from churn_store.releases.bundles import Bundle
from churn_store.releases.log import Serving


@dataclass(frozen=True, slots=True)
class Served:
    """A verified champion with everything that follows from it, and its challenger if there is one.

    Attributes:
        champion: release that answers all customers who are not the challenger's, and every request without a customer.
        challenge: challenger and its share; it takes the same requests as the champion.
        row: row of ``releases`` that made them serve.
        since_s: time at which this worker began to serve them, by the platform's clock.
        from_cache: whether they came from local disk because the database or the store was away.
        requests: request bodies.
        openapi: OpenAPI document with the columns.
        reference: reference sample that new rows are compared with; ``None`` until it is read, and if it can't be read, which does
            not keep the release from serving.
    """

    champion: ServingModel
    challenge: Challenge | None
    row: Serving
    since_s: float
    from_cache: bool
    requests: RequestTypes
    openapi: bytes
    reference: Reference | None

    def answering(self, customer_id: str | None) -> ServingModel:
        """The release that answers a customer; without a customer, the champion."""
        if self.challenge is None or customer_id is None or not self.challenge.takes(customer_id):
            return self.champion
        return self.challenge.challenger

    @property
    def roles(self) -> tuple[ServingModel, ...]:
        """All releases that may answer."""
        return (self.champion,) if self.challenge is None else (self.champion, self.challenge.challenger)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Converts a bundle into ``Served``.

    Attributes:
        max_batch: most customers or records in a batch.
        metrics: metrics that count its predictions.
        document: function that makes the OpenAPI document.
        now_s: the platform's clock.
    """

    max_batch: int
    metrics: Metrics
    document: Callable[[RequestTypes, Bundle], bytes]
    now_s: Callable[[], float]

    def prepare(self, bundle: Bundle, row: Serving, *, from_cache: bool) -> Served:
        """Compute everything that follows from a champion.

        Raises:
            ReleaseError: if its signature gives no request bodies, such as one with a column twice.
        """
        try:
            requests = RequestTypes(bundle.manifest.signature, max_batch=self.max_batch)
        except (TypeError, ValueError) as error:
            raise ReleaseError(
                f"release {row.champion[:SHOWN_DIGITS]} has a signature that can't be served: {error}"
            ) from error
        return Served(
            champion=serving_model(bundle, row, "champion", self.metrics),
            challenge=None,
            row=row,
            since_s=self.now_s(),
            from_cache=from_cache,
            requests=requests,
            openapi=self.document(requests, bundle),
            reference=None,
        )


def reference_of(bundle: Bundle) -> Reference | None:
    """A release's reference sample; ``None`` if it can't be read."""
    try:
        return read_reference(bundle.reference, bundle.manifest.signature)
    except ReleaseError as error:
        say("reference_not_read", logging.WARNING, release=bundle.digest[:SHOWN_DIGITS], detail=str(error))
        return None
