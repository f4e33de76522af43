"""``POST /outcomes``, ``GET /outcomes`` and ``GET /outcomes/status``.

An answer of 200 means that every outcome of the request is committed. Any other answer means that nothing is known to be saved: the
request is sent again, under the same idempotency key. Belongs here: addresses and answers. Does not belong here: what a body
holds (``outcomes.parsing``), how it is saved (``intake.saving``), and the database (``churn_store.outcomes``).
"""

from datetime import UTC, datetime

from litestar import Controller, get, post
from litestar.types import Scope

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.file_type import csv_type
from churn_api.http.lanes import needs
from churn_api.intake.saving import READING_PROBLEMS, SAVING_PROBLEMS, AskedCustomer, RequestKey, Saver
from churn_api.releases.poller import ReleasePoller
from churn_api.schemas.intake import SHOWN
from churn_api.schemas.outcomes import OutcomeEntries, OutcomeReceipt, OutcomeRecord, OutcomeStatus, entries_of
from churn_api.schemas.requests import require_customer_id
from churn_store.outcomes.counts import count
from churn_store.outcomes.log import Outcome, versions_of


class OutcomeService:
    """Saves and reads outcomes.

    Args:
        saver: what saves them.
        releases: source of the release that serves, for its horizon.
    """

    def __init__(self, saver: Saver[OutcomeRecord, Outcome], releases: ReleasePoller) -> None:
        self.saver = saver
        self._engine, self._turns = saver.engine, saver.turns
        self._releases = releases

    async def status(self) -> OutcomeStatus:
        """The counts, by the horizon of the release that serves.

        Raises:
            Problem: if the database does not answer (503).
        """
        served, now_s = self._releases.current, self.saver.now_s()
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
            responses=SAVING_PROBLEMS,
        )
        async def save(
            self,
            body: bytes,
            scope: Scope,
            call: Call,
            outcomes: OutcomeService,
            idempotency_key: RequestKey = None,
        ) -> OutcomeReceipt:
            """Take the raw bytes, so that each row is judged by itself."""
            return OutcomeReceipt(**await outcomes.saver.save(body, csv_type(scope), call, idempotency_key))

        @get("/", opt=needs("read"), summary="The outcomes of a customer, all versions", responses=READING_PROBLEMS)
        async def of_customer(self, customer_id: AskedCustomer, outcomes: OutcomeService) -> OutcomeEntries:
            """Empty for a customer without one."""
            return await outcomes.of_customer(require_customer_id(customer_id))

        @get(
            "/status",
            opt=needs("read"),
            summary="How many outcomes there are, and how many of them meet a prediction",
            responses=READING_PROBLEMS,
        )
        async def status(self, outcomes: OutcomeService) -> OutcomeStatus:
            """Counted anew for each request."""
            return await outcomes.status()

    return OutcomeController
