"""Assignment: which arm a customer is in, from the experiment's salt and the customer's id alone.

It is the same in every worker, after every restart and in the analysis, so nothing has to be stored. Another experiment has
another salt, so its arms cut across these; a larger share keeps the customers of a smaller one. Does not belong here: which release
an arm asks, and what the arms' outcomes prove (``inference``).
"""

import hashlib
from typing import Final

_HASHES: Final = 2**64


def is_treated(salt: str, unit: str, share: float) -> bool:
    """Whether a unit is in the arm that has a share of all units."""
    salted = hashlib.sha256(f"{salt}:{unit}".encode())
    return int.from_bytes(salted.digest()[:8], "big") < share * _HASHES
