"""Who answers a customer: the challenge, and the experiment that says which arm somebody is in.

One release answers for a customer for as long as the challenge lasts. The choice is a hash of the customer's id and a salt: the
experiment's, or without one the challenger's candidate. So it is the same in every worker and after every restart, another challenger gets
other customers, and a larger share keeps the customers of a smaller one. Does not belong here: who may be challenger
(``churn_store.releases.challenge``), what is compared (``churn_store.experiments``) and what the comparison shows.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from churn_api.releases.serving_model import ServingModel
from churn_store.errors import ReleaseError
from churn_store.experiments.assignment import is_treated
from churn_store.experiments.plan import CONTROL, TREATMENT, Arm, Subject
from churn_store.experiments.record import Running

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenger with its share of the customers.

    Attributes:
        challenger: release that answers them.
        share: share of the customers, above 0 and at most 1.
        salt: digest of the challenger's candidate.
    """

    challenger: ServingModel
    share: float
    salt: str

    def __post_init__(self) -> None:
        """Check the share.

        Raises:
            ReleaseError: if the row gives the challenger no customers, or more than all.
        """
        if not 0 < self.share <= 1:
            raise ReleaseError(f"the challenger's share is {self.share}; expected more than 0 and at most 1")

    def takes(self, customer_id: str) -> bool:
        """Whether this customer is the challenger's."""
        return is_treated(self.salt, customer_id, self.share)


class Assigned(NamedTuple):
    """A place in an experiment.

    Attributes:
        experiment: name of the experiment.
        subject: what it compares.
        unit: digest of the header's value; ``None`` where the customer is the unit.
    """

    experiment: str
    subject: Subject
    arm: Arm
    unit: str | None

    @property
    def is_treated(self) -> bool:
        """Whether it is the treatment."""
        return self.arm == TREATMENT


class Assignment:
    """The experiment that runs, as a request needs it.

    Args:
        running: the experiment.

    Attributes:
        running: the experiment.
        splits_models: whether the arm says which release answers.
    """

    def __init__(self, running: Running) -> None:
        plan = running.experiment
        self.running = running
        self.splits_models = plan.subject == "models"
        self._salt, self._share = plan.salt, plan.share
        self._header = None if plan.header is None else plan.header.encode()
        self._control, self._treatment = (Assigned(plan.name, plan.subject, arm, None) for arm in (CONTROL, TREATMENT))

    def of(self, customer_id: str | None, headers: Headers) -> Assigned | None:
        """The place of a request; ``None`` without a customer, or without the header that decides, or with it twice."""
        if self._header is None:
            if customer_id is None:
                return None
            return self._treatment if is_treated(self._salt, customer_id, self._share) else self._control
        values = [value for name, value in headers if name == self._header]
        if len(values) != 1 or not values[0].strip():
            return None
        unit = values[0].strip().decode("latin-1")
        place = self._treatment if is_treated(self._salt, unit, self._share) else self._control
        return place._replace(unit=hashlib.sha256(f"{self._salt}:{unit}".encode()).hexdigest())
