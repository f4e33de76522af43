"""The releases that serve, as one immutable object that a request takes once and uses to its end.

Belongs here: everything that is computed once per row of ``releases``, so that no request computes it again. Does not belong here:
when a row is taken (``releases.poller``).
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from churn_api.releases.reference import Reference
from churn_api.releases.serving_model import SHOWN_DIGITS, ServingModel, serving_model
from churn_api.releases.traffic_split import Assigned, Assignment, Challenge, Headers
from churn_api.schemas.requests import RequestTypes
from churn_api.telemetry.metrics import Metrics
from churn_store.errors import ReleaseError
from churn_store.experiments.plan import Subject
from churn_store.experiments.record import Running
from churn_store.releases.bundles import Bundle
from churn_store.releases.log import Serving
from churn_store.releases.manifest import Manifest
from churn_store.releases.risk_bands import RiskBands, bands_of


@dataclass(frozen=True, slots=True, eq=False)
class ShadowRelease:
    """A verified release in shadow: it answers nobody, and no process that answers loads it.

    Attributes:
        digest: its digest.
        manifest: its manifest.
        model: content of its ``model.onnx``.
    """

    digest: str
    manifest: Manifest
    model: bytes

    @property
    def short(self) -> str:
        """First digits of its digest."""
        return self.digest[:SHOWN_DIGITS]


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
        reference: reference sample that new rows are compared with; ``None`` until it is read, and if it can't be read, which does
            not keep the release from serving.
        shadow: challenger that answers nobody; ``None`` without one.
        assignment: experiment that runs; ``None`` without one, and while another row serves than the one that its challenger rides on.
    """

    champion: ServingModel
    challenge: Challenge | None
    row: Serving
    since_s: float
    from_cache: bool
    requests: RequestTypes
    reference: Reference | None
    shadow: ShadowRelease | None = None
    assignment: Assignment | None = None

    def answering(self, customer_id: str | None, headers: Headers) -> tuple[ServingModel, Assigned | None]:
        """The release that answers a request, and its place in the experiment that runs; without a customer, the champion and none."""
        assigned = None if self.assignment is None else self.assignment.of(customer_id, headers)
        if self.challenge is None:
            return self.champion, assigned
        if self.assignment is not None and self.assignment.splits_models:
            is_challengers = assigned is not None and assigned.is_treated
        else:
            is_challengers = customer_id is not None and self.challenge.takes(customer_id)
        return (self.challenge.challenger if is_challengers else self.champion), assigned

    def with_experiment(self, running: Running | None) -> "Served":
        """The same with the experiment that runs, where it fits what serves."""
        fits = running is not None and running.epoch in (None, self.row.epoch)
        return dataclasses.replace(self, assignment=Assignment(running) if running is not None and fits else None)

    @property
    def running(self) -> Running | None:
        """The experiment by which customers are assigned."""
        return None if self.assignment is None else self.assignment.running

    @property
    def subject(self) -> Subject | None:
        """What that experiment compares."""
        return None if self.assignment is None else self.assignment.running.experiment.subject

    @property
    def has_challenger(self) -> bool:
        """Whether the challenger of the row answers or is in shadow, or the row names none."""
        return self.row.challenger is None or self.challenge is not None or self.shadow is not None

    @property
    def digests(self) -> tuple[str, ...]:
        """All releases that answer or are in shadow."""
        answering = tuple(role.bundle.digest for role in self.roles)
        return answering if self.shadow is None else (*answering, self.shadow.digest)

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
        now_s: the platform's clock.
        bands: function that gives a release its risk bands.
    """

    max_batch: int
    metrics: Metrics
    now_s: Callable[[], float]
    bands: Callable[[Manifest], RiskBands] = bands_of

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
            champion=serving_model(bundle, self.bands(bundle.manifest), row, "champion", self.metrics),
            challenge=None,
            row=row,
            since_s=self.now_s(),
            from_cache=from_cache,
            requests=requests,
            reference=None,
        )
