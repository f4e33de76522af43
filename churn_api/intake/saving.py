"""Saves the statements of a body, and answers only once they are committed.

Belongs here: from a body to a receipt, and what is said where an idempotency key stands for something else. Does not belong here: the
addresses (``outcomes.routes``, ``treatments.routes``), and the transaction (``churn_store.database.intake``).
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Generic

import msgspec
import sqlalchemy as sa
from litestar.params import Parameter

from churn_api.http.asking import Turns
from churn_api.http.call import Call
from churn_api.http.file_type import CsvType
from churn_api.http.problems import Problem, problem_spec
from churn_api.intake.bodies import Bodies, Said
from churn_api.intake.rows import Record
from churn_api.schemas.intake import KEY, LONGEST_KEY
from churn_api.schemas.requests import ID_PATTERN, LONGEST_ID
from churn_store.database.intake import Receipt, ReusedKeyError, Sender, digest_of_all

RequestKey = Annotated[
    str | None,
    Parameter(
        header="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=KEY,
        description="your own name for this request: sent again under it, it is written once and answered alike",
    ),
]

AskedCustomer = Annotated[
    str, Parameter(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN, description="as in your own systems")
]

SAVING_PROBLEMS: Final = {
    415: problem_spec("The body is compressed, or in a charset that is not read here."),
    422: problem_spec("An idempotency key stands for something else already; nothing was saved."),
    503: problem_spec("The database does not answer; nothing is known to be saved."),
}

READING_PROBLEMS: Final = {503: problem_spec("The database does not answer.")}


class Saver(Generic[Record, Said]):
    """Saves statements of a kind, a few requests at a time, so that a database that hangs takes few threads.

    Args:
        engine: the serving database.
        bodies: reader of bodies.
        record: what writes statements of the kind, in one transaction.
        now_s: the platform's clock.
        turns: turns at the database.
    """

    def __init__(
        self,
        engine: sa.Engine,
        bodies: Bodies[Record, Said],
        record: Callable[[sa.Engine, Sequence[Said], Sender], Receipt],
        now_s: Callable[[], float],
        turns: Turns,
    ) -> None:
        self.engine = engine
        self.now_s = now_s
        self.turns = turns
        self._bodies = bodies
        self._record = record

    async def save(self, body: bytes, kind: CsvType | None, call: Call, idempotency_key: str | None) -> dict[str, Any]:
        """Save the statements of a body.

        Returns:
            The request's id and the fields of the receipt.

        Raises:
            Problem: if a row is bad (400), a key stands for something else (422), or the database does not answer (503).
        """
        receipt = await self.turns.asked(lambda: self._saved(body, kind, call, idempotency_key))
        return {"request_id": call.request_id, **msgspec.structs.asdict(receipt)}

    def _saved(self, body: bytes, kind: CsvType | None, call: Call, idempotency_key: str | None) -> Receipt:
        statements = self._bodies.read(body, kind)
        of_bytes = hashlib.sha256(body).hexdigest()
        sender = Sender(
            key_id=call.key_id or "",
            request_id=call.id,
            now_s=self.now_s(),
            idempotency_key=idempotency_key,
            digest=of_bytes if kind is not None else digest_of_all(statements),
            former_digest=of_bytes,
        )
        try:
            return self._record(self.engine, statements, sender)
        except ReusedKeyError as error:
            said = "the idempotency key stands for something else already; expected a new one, or the same content"
            rows = len(statements)
            places = [(self._bodies.place_of(place, rows, kind), said) for place in error.places]
            details = self._bodies.bad_rows(places, rows).details if places else None
            raise Problem(
                422,
                "idempotency-key",
                details.detail if details is not None else f"Nothing was saved: {said}.",
                errors=details.errors if details is not None else None,
            ) from error
