"""The challenge: which customers a second release answers, so that it can be compared with the champion on real requests.

One release answers for a customer for as long as the challenge lasts. The choice is a hash of the customer's id and the
challenger's candidate. So it is the same in every worker and after every restart, another challenger gets other customers, and a
larger share keeps the customers of a smaller one. Does not belong here: who may be challenger
(``churn_store.releases.challenge``) and what the comparison shows.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from churn_api.releases.serving_model import ServingModel
from churn_store.errors import ReleaseError

_HASHES: Final = 2**64


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
        salted = hashlib.sha256(f"{self.salt}:{customer_id}".encode())
        return int.from_bytes(salted.digest()[:8], "big") < self.share * _HASHES
