"""The routes of single predictions: read the request, call the predictor, send its answer.

Belongs here: addresses and limits. Does not belong here: batches (``predictions.batch_route``), and anything about a prediction
(``predictions.service``).
"""

from collections.abc import Awaitable, Callable

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from churn_api.http.body import JSON, RawResponse, read_body
from churn_api.http.call import call_of
from churn_api.http.lanes import fast_lane
from churn_api.predictions.address import customer_id_of
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.options import options_of
from churn_api.predictions.service import Predictor, unknown_customer
from churn_api.releases.serving_model import ServingModel
from churn_api.schemas.reasons import Reasons
from churn_api.schemas.requests import Row
from churn_api.settings import ServiceSettings

Explained = Callable[[ServingModel, str | None, Row], Awaitable[Reasons]]
"""Function from the release that answers, a customer's id and a row to the reasons."""


def prediction_routes(
    predictor: Predictor, online: OnlineFeatures, settings: ServiceSettings, explained: Explained
) -> list[HTTPRouteHandler]:
    """``GET /predict/{customer_id}`` and ``POST /predict``; ``explained`` gives the reasons of a row."""

    async def reasons(role: ServingModel, customer_id: str | None, row: Row) -> Reasons:
        predictor.require_complete(role, row)
        return await explained(role, customer_id, row)

    @get("/predict/{customer_id:str}", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_customer(scope: Scope) -> RawResponse:
        call = call_of(scope)
        options = options_of(scope, "explain", "features", "use_cache")
        served = predictor.serving(call)
        customer_id = customer_id_of(scope, scope["path_params"]["customer_id"])
        if not options.use_cache:
            await online.require_newest()
        features = await online.look_up((customer_id,), served)
        if features.rows[0] is None:
            raise unknown_customer(features.snapshot)
        (role, assigned), row = predictor.answering(call, served, customer_id), features.rows[0]
        why = await reasons(role, customer_id, row) if options.explain else None
        answer = predictor.one(call, role, customer_id, row, features.snapshot, assigned, options, why)
        return RawResponse(answer, JSON, role.header)

    @post("/predict", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_attributes(scope: Scope) -> RawResponse:
        call = call_of(scope)
        options = options_of(scope, "explain", "features")
        body = await read_body(scope, call.receive, at_most=settings.max_body_bytes)
        served = predictor.serving(call)
        customer_id, row = served.requests.decode_single(body)
        role, assigned = predictor.answering(call, served, customer_id)
        why = await reasons(role, customer_id, row) if options.explain else None
        answer = predictor.one(call, role, customer_id, row, None, assigned, options, why)
        return RawResponse(answer, JSON, role.header)

    return [predict_customer, predict_attributes]
