"""The challenge: which customers a second release answers, so that it can be compared with the champion on real requests.

A customer is asked of one release for as long as the challenge lasts: the choice is a hash of the customer's id and the
challenger's candidate, so it is the same in every worker and after every restart, another challenger gets other customers, and
a larger share keeps the customers of a smaller one. Does not belong here: who may be challenger (``churn_store.promotion``) and
what the comparison says.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from churn_api.releases.in_role import InRole
from churn_store.bundles import Bundle
from churn_store.errors import ReleaseError

_HASHES: Final = 2**64


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenger with its share of the customers.

    Attributes:
        challenger: what answers them.
        share: of the customers, above 0 and at most 1.
        salt: digest of the challenger's candidate.
    """

    challenger: InRole
    share: float
    salt: str

    def takes(self, customer_id: str) -> bool:
        """Whether this customer is the challenger's."""
        salted = hashlib.sha256(f"{self.salt}:{customer_id}".encode())
        return int.from_bytes(salted.digest()[:8], "big") < self.share * _HASHES


def require_comparable(champion: Bundle, challenger: Bundle, share: float) -> None:
    """Refuse a challenger that can't answer the champion's requests, or would answer another question.

    Raises:
        ReleaseError: other inputs, another horizon, or a share that is none.
    """
    if not 0 < share <= 1:
        raise ReleaseError(f"the challenger's share is {share}; expected more than 0 and at most 1")
    ours, theirs = champion.manifest, challenger.manifest
    if ours.signature.asked_for != theirs.signature.asked_for:
        differing = sorted({*ours.signature.names} ^ {*theirs.signature.names})
        what = f"they differ in {', '.join(differing[:10])}" if differing else "in order, kinds, bounds or units"
        raise ReleaseError(f"the challenger takes other columns than the champion: {what}")
    if ours.horizon_days != theirs.horizon_days:
        raise ReleaseError(
            f"the challenger's horizon is {theirs.horizon_days} days, the champion's {ours.horizon_days}: their answers can't be "
            "compared"
        )
