"""A submission of a survey: saved as evidence first, then predicted with.

What a customer answers is not asked twice, so it is saved whatever the models say; where there can be no prediction, the answer says why.
Belongs here: the order of the steps, and which answers take the place of features. Does not belong here: the database
(``churn_store.surveys``), and anything about a prediction (``predictions.service``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from churn_api.http.asking import Turns
from churn_api.http.call import Call
from churn_api.http.decode_errors import malformed
from churn_api.http.problems import Problem
from churn_api.http.times import BadTimeError, past_seconds
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.service import Predictor, unknown_customer
from churn_api.schemas.predictions import Prediction
from churn_api.schemas.surveys import SurveyEntries, SurveyReceipt, SurveySubmission, entries_of
from churn_store.model.signature import Signature
from churn_store.surveys.log import Answers, ReusedSurveyKeyError, Submission, SurveyVersion, record, versions_of

SHOWN: Final = 200
"""Most submissions in an answer about a customer."""


@dataclass(frozen=True)
class SurveyService:
    """Saves submissions, and predicts with them.

    Attributes:
        engine: the serving database.
        predictor: what predicts.
        online: features of the customers.
        now_s: the platform's clock.
        turns: turns at the database.
    """

    engine: sa.Engine
    predictor: Predictor
    online: OnlineFeatures
    now_s: Callable[[], float]
    turns: Turns

    async def submit(self, submission: SurveySubmission, call: Call) -> SurveyReceipt:
        """Save a submission, and predict with it.

        Raises:
            Problem: if its time is none or a question occurs twice (400), its key stands for another one (422), or the database does not answer (503).
        """
        answers = answers_of(submission)
        saved = await self.turns.asked(lambda: self._saved(submission, answers, call))
        inputs: list[str] = []
        prediction, problem = None, None
        try:
            prediction, inputs = await self._predicted(submission.customer_id, answers, call)
        except Problem as error:
            problem = error.details
        return SurveyReceipt(
            request_id=call.request_id,
            customer_id=submission.customer_id,
            survey=saved.survey,
            version=saved.version,
            repeated=saved.is_repeated,
            answered=datetime.fromtimestamp(saved.answered_s, UTC),
            received=datetime.fromtimestamp(saved.received_s, UTC),
            inputs=inputs,
            prediction=prediction,
            not_predicted=problem,
        )

    async def of_customer(self, customer_id: str) -> SurveyEntries:
        """The submissions of a customer.

        Raises:
            Problem: if the database does not answer (503).
        """
        found = await self.turns.asked(lambda: versions_of(self.engine, customer_id, limit=SHOWN))
        return SurveyEntries(customer_id=customer_id, surveys=entries_of(found))

    def _saved(self, submission: SurveySubmission, answers: Answers, call: Call) -> SurveyVersion:
        now_s = self.now_s()
        try:
            answered_s = None if submission.answered is None else past_seconds(submission.answered, now_s)
        except BadTimeError as error:
            raise malformed("answered", str(error)) from None
        sent = Submission(submission.customer_id, submission.survey, answers, answered_s, submission.idempotency_key)
        try:
            return record(self.engine, sent, key_id=call.key_id or "", request_id=call.id, now_s=now_s)
        except ReusedSurveyKeyError as error:
            raise Problem(
                422, "idempotency-key",
                "Nothing was saved: the idempotency key stands for another submission already; expected a new one, or the same content.",
            ) from error  # fmt: skip

    async def _predicted(self, customer_id: str, answers: Answers, call: Call) -> tuple[Prediction, list[str]]:
        """The prediction of the customer's arm, and the questions that took the place of features.

        Raises:
            Problem: if there can be none.
        """
        served = self.predictor.serving(call)
        given = inputs_of(answers, served.champion.bundle.manifest.signature)
        features = await self.online.look_up((customer_id,), served)
        known, snapshot = features.rows[0], features.snapshot
        if known is None and not given:
            raise unknown_customer(snapshot)
        row = served.requests.of_values(customer_id, {**(known or {}), **given})[1] if given else known or {}
        role, assigned = self.predictor.answering(call, served, customer_id)
        dated = None if known is None else snapshot
        prediction = self.predictor.prediction(call, role, customer_id, row, dated, assigned)
        return prediction, sorted(given)


def answers_of(submission: SurveySubmission) -> dict[str, float | str | bool | None]:
    """The answers by question.

    Raises:
        Problem: if a question occurs twice (400).
    """
    answers: dict[str, float | str | bool | None] = {}
    for place, one in enumerate(submission.answers):
        if one.question in answers:
            raise malformed(f"answers[{place}].question", "a question that was here before; expected each once")
        answers[one.question] = one.answer
    return answers


def inputs_of(answers: Answers, signature: Signature) -> dict[str, Any]:
    """The answers that are inputs of a model; one that was left out is none."""
    return {name: value for name, value in answers.items() if name in signature.names and value is not None}
