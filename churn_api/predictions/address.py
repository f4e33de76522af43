"""The customer's id in an address."""

from litestar.types import Scope

from churn_api.http.decode_errors import malformed
from churn_api.schemas.requests import require_customer_id


def customer_id_of(scope: Scope, named: str) -> str:
    """Check an id that an address names.

    Raises:
        Problem: if it is no id, or holds a slash (400).
    """
    customer_id = require_customer_id(named)
    if b"%2f" in scope["raw_path"].lower():  # Litestar drops a slash at either end: c1%2F would be answered as c1
        raise malformed("customer_id", "an id with a slash can't be asked by address; use POST /predict/batch")
    return customer_id
