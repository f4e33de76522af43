"""``GET /admin/audit``: who changed something, and who was refused.

Does not belong here: what is noted (``security.audit``).
"""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa
from litestar import Controller, get
from litestar.params import Parameter

from churn_api.http.asking import asked
from churn_api.http.lanes import needs
from churn_api.http.problems import problem_spec
from churn_api.security.audit import entries

MOST: Final = 1_000
"""Most rows in an answer."""

GREATEST: Final = 2**31 - 1


class AuditEntry(msgspec.Struct, kw_only=True):
    """A row of the audit.

    Attributes:
        at: time of the call, or of the last one of a count, by the wall clock.
        what: ``change``: a call that changes something, let in; ``refused``: a known key was refused; ``limited``: a key's requests
            beyond its limit, one row a minute; ``stranger``: what an address without a usable key was refused, one row a minute.
        key_id, name: the key and its owner; null for strangers.
        address: address that the request came from; behind a proxy the proxy's.
        route: template of the address; null for strangers.
        status: status of the answer; of a count the most frequent one.
        reason: why the key was refused: ``expired``, ``scope``, ``unconfirmed`` or ``limit``.
        requests: number of requests.
        request_id: id of the request in the access log.
    """

    id: int
    at: datetime
    what: str
    key_id: str | None
    name: str | None
    address: str
    method: str | None
    route: str | None
    status: int | None
    reason: str | None
    requests: int
    request_id: str | None


class Audit(msgspec.Struct, kw_only=True):
    """Rows of the audit, newest first.

    Attributes:
        before: value of the parameter ``before`` for older rows; null where these are the oldest.
    """

    rows: list[AuditEntry]
    before: int | None


class AuditController(Controller):
    """The audit."""

    @get(
        "/admin/audit",
        opt=needs("admin"),
        summary="Who changed something, and who was refused",
        responses={503: problem_spec("The database does not answer.")},
    )
    async def audit(
        self,
        engine: sa.Engine,
        limit: Annotated[int, Parameter(ge=1, le=MOST, description="most rows")] = 100,
        before: Annotated[int | None, Parameter(ge=1, le=GREATEST, description="rows older than this id")] = None,
        key_id: Annotated[str | None, Parameter(max_length=32, description="rows about this key alone")] = None,
    ) -> Audit:
        """A row is there about a second after its call."""
        found = await asked(lambda: entries(engine, limit=limit + 1, before=before, key_id=key_id))
        rows = [
            AuditEntry(
                id=row.id,
                at=datetime.fromtimestamp(row.at_s, UTC),
                what=row.what,
                key_id=row.key_id,
                name=row.name,
                address=row.address,
                method=row.method,
                route=row.route,
                status=row.status,
                reason=row.reason,
                requests=row.requests,
                request_id=row.request_id,
            )
            for row in found[:limit]
        ]
        return Audit(rows=rows, before=rows[-1].id if len(found) > limit else None)
