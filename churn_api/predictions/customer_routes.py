"""What was answered about customers: ``GET /customers/infos`` for the newest rows, ``GET /customers/{customer_id}`` for one of them.

Belongs here: the routes. Does not belong here: reading the log (``telemetry.logged``), the features
(``predictions.online_features``) and the outcomes (``churn_store.outcomes``).
"""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import sqlalchemy as sa
from litestar import Controller, Request, get
from litestar.params import Parameter

from churn_api.http.asking import asked
from churn_api.http.lanes import needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.predictions.address import customer_id_of
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.service import time_of
from churn_api.schemas.intake import SHOWN
from churn_api.schemas.outcomes import OutcomeEntry, entries_of
from churn_api.schemas.predictions import Features
from churn_api.telemetry.logged import LoggedPrediction, of_customer, recent
from churn_store.outcomes.log import versions_of

MOST: Final = 1_000

Limit = Annotated[int, Parameter(ge=1, le=MOST, description="most predictions, newest first")]


class RecentPredictions(msgspec.Struct, kw_only=True):
    """The newest predictions in the database; what waits in the spool comes within about a second."""

    predictions: list[LoggedPrediction]


class CustomerHistory(msgspec.Struct, kw_only=True):
    """A customer as this service knows them.

    Attributes:
        snapshot: time T of the features; null if the customer is not in the online features, and where data has no time.
        features: all features that are served of the customer now, also those that the release does not take; null if there are none.
        predictions: what was answered about the customer, newest first.
        outcomes: what became of the customer as it was posted, the newest snapshot first, and of each the newest version first; 200 at most.
    """

    customer_id: str
    snapshot: datetime | None
    features: Features | None
    predictions: list[LoggedPrediction]
    outcomes: list[OutcomeEntry]


_AWAY = problem_spec("The database or the online features can't be read at the moment.")


class CustomerController(Controller):
    """Predictions as they were answered."""

    path = "/customers"
    opt = needs("read")

    @get("/infos", summary="The newest predictions, with the features they were made of", responses={503: _AWAY})
    async def infos(self, engine: sa.Engine, limit: Limit = 100) -> RecentPredictions:
        """Of all customers."""
        return RecentPredictions(predictions=await asked(lambda: recent(engine, limit=limit)))

    @get(
        "/{customer_id:str}",
        summary="What was answered about a customer, what became of them, and the features that are served now",
        responses={404: problem_spec("Neither log nor outcomes nor online features know the customer."), 503: _AWAY},
    )
    async def customer(
        self,
        customer_id: str,
        request: Request[Any, Any, Any],
        engine: sa.Engine,
        online: OnlineFeatures,
        limit: Limit = 100,
    ) -> CustomerHistory:
        """An id with a slash, and the id `infos`, can't be asked here."""
        known = customer_id_of(request.scope, customer_id)
        snapshot, features = await online.of_customer(known)
        predictions = await asked(lambda: of_customer(engine, known, limit=limit))
        outcomes = entries_of(await asked(lambda: versions_of(engine, known, limit=SHOWN)))
        if features is None and not predictions and not outcomes:
            raise Problem(
                404, "unknown-customer",
                "Neither the prediction log nor the outcomes nor the online features know this customer.",
            )  # fmt: skip
        return CustomerHistory(
            customer_id=known,
            snapshot=None if features is None else time_of(snapshot),
            features=features,
            predictions=predictions,
            outcomes=outcomes,
        )
