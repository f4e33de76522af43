"""``POST /survey/submit`` and ``GET /survey/answers``.

Belongs here: addresses and scopes. Does not belong here: what is done (``surveys.service``).
"""

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import Parameter

from churn_api.http.body import OK
from churn_api.http.call import Call
from churn_api.http.lanes import needs
from churn_api.http.problems import problem_spec
from churn_api.schemas.requests import ID_PATTERN, LONGEST_ID, require_customer_id
from churn_api.schemas.surveys import SurveyEntries, SurveyReceipt, SurveySubmission
from churn_api.surveys.service import SurveyService

_AWAY = problem_spec("The database does not answer; nothing is known to be saved.")


class SurveyController(Controller):
    """What customers answer to surveys."""

    path = "/survey"

    @post(
        "/submit",
        opt=needs("act"),
        status_code=OK,
        summary="Save what a customer answered, and predict with it; answered once it is committed",
        responses={
            422: problem_spec("The idempotency key stands for another submission already; nothing was saved."),
            503: _AWAY,
        },
    )
    async def submit(self, data: SurveySubmission, call: Call, surveys: SurveyService) -> SurveyReceipt:
        """The answers are evidence for features, and never a label."""
        return await surveys.submit(data, call)

    @get("/answers", opt=needs("read"), summary="What a customer answered, all versions", responses={503: _AWAY})
    async def answers(
        self,
        customer_id: Annotated[
            str, Parameter(min_length=1, max_length=LONGEST_ID, pattern=ID_PATTERN, description="as in your own systems")
        ],
        surveys: SurveyService,
    ) -> SurveyEntries:
        """Empty for a customer without any."""
        return await surveys.of_customer(require_customer_id(customer_id))
