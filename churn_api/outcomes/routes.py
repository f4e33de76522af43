"""``POST /outcomes``, ``GET /outcomes`` and ``GET /outcomes/status``.

An answer of 200 means that every outcome of the request is committed. Any other answer means that nothing is known to be saved: the
request is sent again, under the same idempotency key. Belongs here: addresses, threads and errors. Does not belong here: what a body
holds (``outcomes.parsing``), and the database (``churn_store.outcomes``).
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import sqlalchemy as sa
from litestar import Controller, get, post
from litestar.params import Parameter
from litestar.types import Scope

from churn_api.http.asking import Turns
from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.file_type import CsvType, csv_type
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.outcomes.parsing import OutcomeBodies, bad_rows, place_of
from churn_api.releases.poller import ReleasePoller
from churn_api.schemas.outcomes import KEY, LONGEST_KEY, SHOWN, OutcomeEntries, OutcomeReceipt, OutcomeStatus, entries_of
from churn_api.schemas.requests import ID_PATTERN, LONGEST_ID, require_customer_id
from churn_store.outcomes.counts import count
from churn_store.outcomes.log import Receipt, ReusedKeyError, Sender, digest_of, record, versions_of


class OutcomeService:
    """Saves and reads outcomes, a few requests at a time, so that a database that hangs takes few threads.

    Args:
        engine: the serving database.
        bodies: reader of bodies.
        releases: source of the release that serves, for its horizon.
        now_s: the platform's clock.
        turns: turns at the database.
    """

    def __init__(
        self, engine: sa.Engine, bodies: OutcomeBodies, releases: ReleasePoller, now_s: Callable[[], float], turns: Turns
    ) -> None:
        self._engine = engine
        self._bodies = bodies
        self._releases = releases
        self._now_s = now_s
        self._turns = turns

    async def save(self, body: bytes, kind: CsvType | None, call: Call, idempotency_key: str | None) -> OutcomeReceipt:
        """Save the outcomes of a body.

        Raises:
            Problem: if a row is bad (400), a key stands for something else (422), or the database does not answer (503).
        """
        receipt = await self._turns.asked(lambda: self._saved(body, kind, call, idempotency_key))
        return OutcomeReceipt(request_id=call.request_id, **msgspec.structs.asdict(receipt))

    async def status(self) -> OutcomeStatus:
        """The counts, by the horizon of the release that serves.

        Raises:
            Problem: if the database does not answer (503).
        """
        served, now_s = self._releases.current, self._now_s()
        horizon = None if served is None else served.champion.bundle.manifest.horizon_days
        counts = await self._turns.asked(
            lambda: count(self._engine, now_s=now_s, horizon_days=horizon, is_known=served is not None)
        )
        return OutcomeStatus(
            received=counts.received,
            corrected=counts.corrected,
            customers_and_snapshots=counts.customers_and_snapshots,
            joined=counts.joined,
            unmatched=counts.unmatched,
            matured=counts.matured,
            churned=counts.churned,
            as_of=datetime.fromtimestamp(now_s, UTC),
        )

    async def of_customer(self, customer_id: str) -> OutcomeEntries:
        """All versions of a customer's outcomes.

        Raises:
            Problem: if the database does not answer (503).
        """
        found = await self._turns.asked(lambda: versions_of(self._engine, customer_id, limit=SHOWN))
        return OutcomeEntries(customer_id=customer_id, outcomes=entries_of(found))

    def _saved(self, body: bytes, kind: CsvType | None, call: Call, idempotency_key: str | None) -> Receipt:
        outcomes = self._bodies.read(body, kind)
        of_bytes = hashlib.sha256(body).hexdigest()
        sender = Sender(
            key_id=call.key_id or "",
            request_id=call.id,
            now_s=self._now_s(),
            idempotency_key=idempotency_key,
            digest=of_bytes if kind is not None else digest_of(outcomes),
            former_digest=of_bytes,
        )
        try:
            return record(self._engine, outcomes, sender)
        except ReusedKeyError as error:
            said = "the idempotency key stands for something else already; expected a new one, or the same content"
            places = [(place_of(place, len(outcomes), kind), said) for place in error.places]
            details = bad_rows(places, len(outcomes)).details if places else None
            raise Problem(
                422,
                "idempotency-key",
                details.detail if details is not None else f"Nothing was saved: {said}.",
                errors=details.errors if details is not None else None,
            ) from error


def outcome_controller(largest: int) -> type[Controller]:
    """The routes of outcomes.

    Args:
        largest: largest body of a request that saves outcomes, in bytes.
    """

    class OutcomeController(Controller):
        """What became of customers: to save, to read, and how much of it meets a prediction."""

        path = "/outcomes"

        @post(
            "/",
            opt=needs("act"),
            request_max_body_size=largest,
            status_code=OK,
            summary="Save what became of customers: one, many, or CSV; answered once all of it is committed",
            responses={
                415: problem_spec("The body is compressed, or in a charset that is not read here."),
                422: problem_spec("An idempotency key stands for something else already; nothing was saved."),
                503: problem_spec("The database does not answer; nothing is known to be saved."),
            },
        )
        async def save(
            self,
            body: bytes,
            scope: Scope,
            call: Call,
            outcomes: OutcomeService,
            idempotency_key: Annotated[
                str | None,
                Parameter(
                    header="Idempotency-Key",
                    min_length=1,
                    max_length=LONGEST_KEY,
                    pattern=KEY,
                    description="your own name for this request: sent again under it, it is written once and answered alike",
                ),
            ] = None,
        ) -> OutcomeReceipt:
            """Take the raw bytes, so that each row is judged by itself."""
            return await outcomes.save(body, csv_type(scope), call, idempotency_key)

        @get(
            "/",
            opt=needs("read"),
            summary="The outcomes of a customer, all versions",
            responses={503: problem_spec("The database does not answer.")},
        )
        async def of_customer(
            self,
            customer_id: Annotated[
                str,
                Parameter(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN, description="as in your own systems"),
            ],
            outcomes: OutcomeService,
        ) -> OutcomeEntries:
            """Empty for a customer without one."""
            return await outcomes.of_customer(require_customer_id(customer_id))

        @get(
            "/status",
            opt=needs("read"),
            summary="How many outcomes there are, and how many of them meet a prediction",
            responses={503: problem_spec("The database does not answer.")},
        )
        async def status(self, outcomes: OutcomeService) -> OutcomeStatus:
            """Counted anew for each request."""
            return await outcomes.status()

    return OutcomeController
