"""What serves, as the service holds it: one immutable object that a request takes once and uses to its end.

Belongs here: what is worked out once per row of ``releases`` so that no request works it out again. Does not belong here: when
a row is taken (``releases.poller``).
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
        champion: answers whoever is not the challenger's, and every request without a customer.
        challenge: the challenger and its share; it takes what the champion takes.
        row: the row of ``releases`` that made them serve.
        since_s: when this worker began to serve them, by the platform's clock.
        from_cache: whether they came from local disk because the database or the store was away.
        requests: the request bodies.
        openapi: the OpenAPI document with the columns.
        reference: what new rows are compared with; none until it is read, and if it can't be, which is no reason not to serve.
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
        """Who answers a customer; without one, the champion."""
        if self.challenge is None or customer_id is None or not self.challenge.takes(customer_id):
            return self.champion
        return self.challenge.challenger

    @property
    def roles(self) -> tuple[ServingModel, ...]:
        """All that may answer."""
        return (self.champion,) if self.challenge is None else (self.champion, self.challenge.challenger)


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a bundle becomes ``Served``.

    Attributes:
        max_batch: most customers or records in a batch.
        metrics: where its predictions are counted.
        document: makes the OpenAPI document.
        now_s: the platform's clock.
    """

    max_batch: int
    metrics: Metrics
    document: Callable[[RequestTypes, Bundle], bytes]
    now_s: Callable[[], float]

    def prepare(self, bundle: Bundle, row: Serving, *, from_cache: bool) -> Served:
        """Everything that follows from a champion.

        Raises:
            ReleaseError: its signature can't be asked for, such as one with a column twice.
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
    """A release's reference sample, or none if it can't be read."""
    try:
        return read_reference(bundle.reference, bundle.manifest.signature)
    except ReleaseError as error:
        say("reference_not_read", logging.WARNING, release=bundle.digest[:SHOWN_DIGITS], detail=str(error))
        return None
