"""The answers to surveys in the serving database: each submission written once, a later one as a new version, nothing ever changed.

Answers are evidence for features: each is dated by when the customer gave it and when it became known, so that a feature of a snapshot
can leave out what was not known then. They are never a label: who says "I will leave" has not left.

Belongs here: the transaction that adds a submission, and reading the versions. Does not belong here: what a body may hold
(``churn_api.surveys``), and what became of customers (``churn_store.outcomes``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from churn_store.database.schema import survey_answers
from churn_store.database.turns import take_turns
from churn_store.errors import ChurnError

ADVISORY_LOCK: Final = 0x737572766579  # "survey"

Answers = Mapping[str, float | str | bool | None]
"""Answers by question; ``None`` for a question that was left out."""


class ReusedSurveyKeyError(ChurnError):
    """An idempotency key that stands for another submission already."""

    def __init__(self) -> None:
        super().__init__("the idempotency key was used for another submission already")


@dataclass(frozen=True, slots=True)
class Submission:
    """What a customer answered.

    Attributes:
        survey: name of the survey.
        answered_s: when the customer answered, in epoch seconds; ``None`` where that is when it was received.
        idempotency_key: the sender's own name for this submission.
    """

    customer_id: str
    survey: str
    answers: Answers
    answered_s: int | None
    idempotency_key: str

    @property
    def digest(self) -> str:
        """Digest of what it says."""
        said = [self.customer_id, self.survey, self.answered_s, sorted(self.answers.items())]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


@dataclass(frozen=True, slots=True)
class SurveyVersion:
    """A submission as it was received.

    Attributes:
        is_newest: whether it is the one that counts.
        is_repeated: whether it was there before.
    """

    survey: str
    version: int
    answers: Answers
    answered_s: int
    received_s: float
    key_id: str
    is_newest: bool = True
    is_repeated: bool = False


def record(engine: sa.Engine, sent: Submission, *, key_id: str, request_id: str, now_s: float) -> SurveyVersion:
    """Add a submission, as the newest version of its customer and survey.

    When this returns, it is committed, on SQLite also synced to the disk.

    Args:
        engine: the serving database.
        sent: submission.
        key_id: id of the API key; idempotency keys are told apart by it.
        request_id: id of the request, made by the service.
        now_s: time of receipt, by the platform's clock.

    Raises:
        ReusedSurveyKeyError: if its key stands for another submission already; nothing was written.
        SQLAlchemyError: if the database does not answer or take it; nothing is known to be written.
    """
    answered_s = int(now_s) if sent.answered_s is None else sent.answered_s
    same_key = (survey_answers.c.key_id == key_id) & (survey_answers.c.idempotency_key == sent.idempotency_key)
    same = (survey_answers.c.customer_id == sent.customer_id) & (survey_answers.c.survey == sent.survey)
    with engine.connect() as connection:
        take_turns(connection, ADVISORY_LOCK)
        newest: int = connection.execute(
            sa.select(sa.func.coalesce(sa.func.max(survey_answers.c.version), 0)).where(same)
        ).scalar_one()
        former = connection.execute(survey_answers.select().where(same_key)).first()
        if former is not None:
            if former.digest != sent.digest:
                raise ReusedSurveyKeyError
            return SurveyVersion(
                former.survey, former.version, former.answers, former.answered_s, former.received_s, former.key_id,
                is_newest=former.version == newest, is_repeated=True,
            )  # fmt: skip
        row = {
            "customer_id": sent.customer_id, "survey": sent.survey, "version": newest + 1, "answers": dict(sent.answers),
            "answered_s": answered_s, "received_s": now_s, "idempotency_key": sent.idempotency_key, "digest": sent.digest,
            "key_id": key_id, "request_id": request_id,
        }  # fmt: skip
        connection.execute(survey_answers.insert().values(row))
        connection.commit()
    return SurveyVersion(sent.survey, newest + 1, sent.answers, answered_s, now_s, key_id)


def versions_of(engine: sa.Engine, customer_id: str, *, limit: int) -> list[SurveyVersion]:
    """The submissions of a customer, those that were received last first."""
    order = (survey_answers.c.received_s.desc(), survey_answers.c.id.desc())
    asked = survey_answers.select().where(survey_answers.c.customer_id == customer_id).order_by(*order).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(asked).all()
    newest = {row.survey: row.version for row in sorted(rows, key=lambda row: row.version)}
    return [
        SurveyVersion(
            row.survey, row.version, row.answers, row.answered_s, row.received_s, row.key_id,
            is_newest=row.version == newest[row.survey],
        )
        for row in rows
    ]  # fmt: skip
