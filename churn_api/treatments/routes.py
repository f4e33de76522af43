"""``POST /treatments``, ``GET /treatments`` and ``GET /treatments/status``.

An answer of 200 means that every treatment of the request is committed, as with outcomes. Belongs here: addresses and answers. Does not
belong here: what a body holds (``treatments.parsing``), how it is saved (``intake.saving``), and the database (``churn_store.treatments``).
"""

from dataclasses import asdict
from datetime import UTC, datetime

from litestar import Controller, get, post
from litestar.types import Scope

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.file_type import csv_type
from churn_api.http.lanes import needs
from churn_api.intake.saving import READING_PROBLEMS, SAVING_PROBLEMS, AskedCustomer, RequestKey, Saver
from churn_api.schemas.intake import SHOWN
from churn_api.schemas.requests import require_customer_id
from churn_api.schemas.treatments import (
    TreatmentEntries,
    TreatmentReceipt,
    TreatmentRecord,
    TreatmentStatus,
    entries_of,
)
from churn_store.treatments.log import Treatment, count, versions_of


class TreatmentService:
    """Saves and reads treatments.

    Args:
        saver: what saves them.
    """

    def __init__(self, saver: Saver[TreatmentRecord, Treatment]) -> None:
        self.saver = saver

    async def status(self) -> TreatmentStatus:
        """The counts.

        Raises:
            Problem: if the database does not answer (503).
        """
        counts = await self.saver.turns.asked(lambda: count(self.saver.engine))
        return TreatmentStatus(**asdict(counts), as_of=datetime.fromtimestamp(self.saver.now_s(), UTC))

    async def of_customer(self, customer_id: str) -> TreatmentEntries:
        """All versions of a customer's treatments.

        Raises:
            Problem: if the database does not answer (503).
        """
        found = await self.saver.turns.asked(lambda: versions_of(self.saver.engine, customer_id, limit=SHOWN))
        return TreatmentEntries(customer_id=customer_id, treatments=entries_of(found))


def treatment_controller(largest: int) -> type[Controller]:
    """The routes of treatments.

    Args:
        largest: largest body of a request that saves treatments, in bytes.
    """

    class TreatmentController(Controller):
        """Who was treated and who was held out: to save, to read, and what is there."""

        path = "/treatments"

        @post(
            "/",
            opt=needs("act"),
            request_max_body_size=largest,
            status_code=OK,
            summary="Save who was treated and who was held out: one, many, or CSV; answered once all of it is committed",
            responses=SAVING_PROBLEMS,
        )
        async def save(
            self,
            body: bytes,
            scope: Scope,
            call: Call,
            treatments: TreatmentService,
            idempotency_key: RequestKey = None,
        ) -> TreatmentReceipt:
            """Take the raw bytes, so that each row is judged by itself."""
            return TreatmentReceipt(**await treatments.saver.save(body, csv_type(scope), call, idempotency_key))

        @get("/", opt=needs("read"), summary="The treatments of a customer, all versions", responses=READING_PROBLEMS)
        async def of_customer(self, customer_id: AskedCustomer, treatments: TreatmentService) -> TreatmentEntries:
            """Empty for a customer without one."""
            return await treatments.of_customer(require_customer_id(customer_id))

        @get(
            "/status",
            opt=needs("read"),
            summary="How many treatments there are, and how many lack a propensity or a prediction",
            responses=READING_PROBLEMS,
        )
        async def status(self, treatments: TreatmentService) -> TreatmentStatus:
            """Counted anew for each request."""
            return await treatments.status()

    return TreatmentController
