"""A release as the service holds it: one immutable object that a request takes once and uses to its end.

Belongs here: what is worked out once per release so that no request works it out again. Does not belong here: when a release
is taken (``releases.poller``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from churn_api.predictions.answers import Model
from churn_api.predictions.requests import RequestTypes
from churn_api.telemetry.log import say
from churn_api.telemetry.metrics import Metrics
from churn_api.validation.reference import Reference, read_reference
from churn_store.errors import ReleaseError
from churn_store.releases import Bundle, Serving

CHAMPION: Final = "champion"
SHOWN_DIGITS: Final = 12
"""Of a digest, in metrics and log lines."""


@dataclass(frozen=True, slots=True)
class Served:
    """A verified release with everything that follows from it.

    Attributes:
        bundle: manifest and scorer.
        row: the row of ``releases`` that made it serve.
        since_s: when this worker began to serve it, by the platform's clock.
        from_cache: whether it came from local disk because the database or the store was away.
        requests: its request bodies.
        model: what every answer says of it.
        header: the response header that names it.
        openapi: the OpenAPI document with its columns.
        reference: what new rows are compared with; none if it can't be read, which is no reason not to serve.
        stays, leaves: the counters of its predictions.
    """

    bundle: Bundle
    row: Serving
    since_s: float
    from_cache: bool
    requests: RequestTypes
    model: Model
    header: tuple[bytes, bytes]
    openapi: bytes
    reference: Reference | None
    stays: Counter
    leaves: Counter

    @property
    def short(self) -> str:
        """The digest's first digits."""
        return self.row.champion[:SHOWN_DIGITS]


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
        """Everything that follows from a bundle.

        Raises:
            ReleaseError: its signature can't be asked for, such as one with a column twice.
        """
        try:
            requests = RequestTypes(bundle.manifest.signature, max_batch=self.max_batch)
        except (TypeError, ValueError) as error:
            raise ReleaseError(
                f"release {row.champion[:SHOWN_DIGITS]} has a signature that can't be served: {error}"
            ) from error
        counted = self.metrics.predictions.labels
        short = row.champion[:SHOWN_DIGITS]
        return Served(
            bundle=bundle,
            row=row,
            since_s=self.now_s(),
            from_cache=from_cache,
            requests=requests,
            model=Model(release=row.champion, epoch=row.epoch, family=bundle.manifest.family, role=CHAMPION),
            header=(b"x-release", row.champion.encode()),
            openapi=self.document(requests, bundle),
            reference=_reference(bundle),
            stays=counted(short, CHAMPION, "false"),
            leaves=counted(short, CHAMPION, "true"),
        )


def _reference(bundle: Bundle) -> Reference | None:
    try:
        return read_reference(bundle.reference, bundle.manifest.signature)
    except ReleaseError as error:
        say("reference_not_read", logging.WARNING, release=bundle.digest[:SHOWN_DIGITS], detail=str(error))
        return None
