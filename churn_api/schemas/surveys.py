"""Bodies of the survey routes.

Belongs here: what is sent and answered, and its bounds. Does not belong here: what is done with it (``surveys.service``).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec

from churn_api.http.problems import ProblemDetails
from churn_api.schemas.intake import IdempotencyKey, Time
from churn_api.schemas.predictions import Prediction
from churn_api.schemas.requests import CustomerId
from churn_store.surveys.log import SurveyVersion

MOST_QUESTIONS: Final = 100
LONGEST_ANSWER: Final = 2_000
GREATEST_NUMBER: Final = 1e15

_NAME: Final = "^[^\\x00-\\x1f\\x7f]+$(?!\\n)"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=_NAME)]
Number = Annotated[float, msgspec.Meta(ge=-GREATEST_NUMBER, le=GREATEST_NUMBER)]
Words = Annotated[str, msgspec.Meta(max_length=LONGEST_ANSWER)]


class Answer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The answer to a question.

    Attributes:
        answer: a number, true or false, or words; null for a question that was left out.
    """

    question: Name
    answer: Number | bool | Words | None


Given = Annotated[list[Answer], msgspec.Meta(min_length=1, max_length=MOST_QUESTIONS, description="each question once")]


class SurveySubmission(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a customer answered to a survey.

    Attributes:
        survey: name of the survey, with its wave where there are several, such as ``satisfaction-2026-02``.
        idempotency_key: such as a number that is drawn when the form is opened.
        answered: when the customer answered; absent where that is now.
        answers: a question with the name of an input of the model takes the place of the customer's online feature.
    """

    customer_id: CustomerId
    survey: Name
    answers: Given
    idempotency_key: IdempotencyKey
    answered: Time | None = None


class SurveyReceipt(msgspec.Struct, kw_only=True):
    """A submission that is committed, and what the release that serves the customer's arm says now.

    Attributes:
        version: number of the submission among those of this customer and survey; the greatest counts.
        repeated: whether the submission was here before, under the same idempotency key; then nothing was added.
        inputs: questions whose answers took the place of features.
        prediction: as ``GET /predict/{customer_id}`` answers; null if there can be none.
        not_predicted: why there is no prediction; null if there is one. The answers are saved all the same.
    """

    request_id: str
    customer_id: str
    survey: str
    version: int
    repeated: bool
    answered: datetime
    received: datetime
    inputs: list[str]
    prediction: Prediction | None
    not_predicted: ProblemDetails | None


class SurveyEntry(msgspec.Struct, kw_only=True):
    """A submission.

    Attributes:
        newest: whether it is the one of its survey that counts.
        key_id: id of the API key that sent it.
    """

    survey: str
    version: int
    newest: bool
    answers: dict[str, float | bool | str | None]
    answered: datetime
    received: datetime
    key_id: str


class SurveyEntries(msgspec.Struct, kw_only=True):
    """The submissions of a customer, those that were received last first."""

    customer_id: str
    surveys: list[SurveyEntry]


def entries_of(versions: Iterable[SurveyVersion]) -> list[SurveyEntry]:
    """Submissions as an answer has them."""
    return [
        SurveyEntry(
            survey=one.survey,
            version=one.version,
            newest=one.is_newest,
            answers=dict(one.answers),
            answered=datetime.fromtimestamp(one.answered_s, UTC),
            received=datetime.fromtimestamp(one.received_s, UTC),
            key_id=one.key_id,
        )
        for one in versions
    ]
