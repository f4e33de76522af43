"""The prediction routes: read the request, call the predictor, send its answer.

Belongs here: addresses, limits and threads. Does not belong here: anything about a prediction (``predictions.service``).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from churn_api.http.body import JSON, RawResponse, read_body
from churn_api.http.call import Call, call_of
from churn_api.http.csv_type import CsvType, csv_type
from churn_api.http.decode_errors import malformed
from churn_api.http.lanes import fast_lane
from churn_api.predictions.company_csv import CsvBodies, batch_of
from churn_api.predictions.online_features import OnlineFeatures
from churn_api.predictions.service import Predictor, unknown_customer
from churn_api.releases.served import Served
from churn_api.schemas.requests import require_customer_id
from churn_api.settings import ServiceSettings

T = TypeVar("T")

LARGE_BODY = 64 * 1024
"""Bytes above which a batch is decoded in a thread."""

LARGE_BATCH = 200
"""Rows above which a batch is scored in a thread."""


def prediction_routes(
    predictor: Predictor, online: OnlineFeatures, threads: Executor, settings: ServiceSettings, bodies: CsvBodies
) -> list[HTTPRouteHandler]:
    """``GET /predict/{customer_id}``, ``POST /predict``, ``POST /predict/batch``."""

    async def aside(is_large: bool, work: Callable[[], T]) -> T:
        """Do large work in a thread, so that it does not delay other answers."""
        return await asyncio.get_running_loop().run_in_executor(threads, work) if is_large else work()

    def predict_rows(call: Call, served: Served, body: bytes, kind: CsvType) -> bytes:
        """Answer a batch in CSV: all of its rows, or none."""
        signature, release = served.champion.bundle.manifest.signature, served.champion.short
        rows = bodies.rows(body, kind, signature, release=release)
        return predictor.batch(call, served, batch_of(rows, served.requests), None)

    @get("/predict/{customer_id:str}", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_customer(scope: Scope) -> RawResponse:
        call = call_of(scope)
        served = predictor.serving(call)
        customer_id = require_customer_id(scope["path_params"]["customer_id"])
        if b"%2f" in scope["raw_path"].lower():  # Litestar drops a slash at either end: c1%2F would be answered as c1
            raise malformed("customer_id", "an id with a slash can't be asked by address; use POST /predict/batch")
        features = await online.look_up((customer_id,), served)
        if features.rows[0] is None:
            raise unknown_customer(features.snapshot)
        role = predictor.answering(call, served, customer_id)
        return RawResponse(predictor.one(call, role, customer_id, features.rows[0], features.snapshot), JSON, role.header)

    @post("/predict", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_attributes(scope: Scope) -> RawResponse:
        body = await read_body(scope, call_of(scope).receive, at_most=settings.max_body_bytes)
        call = call_of(scope)
        served = predictor.serving(call)
        customer_id, row = served.requests.decode_single(body)
        role = predictor.answering(call, served, customer_id)
        return RawResponse(predictor.one(call, role, customer_id, row, None), JSON, role.header)

    @post("/predict/batch", opt=fast_lane("predict"), include_in_schema=False)
    async def predict_batch(scope: Scope) -> RawResponse:
        body = await read_body(scope, call_of(scope).receive, at_most=settings.max_batch_body_bytes)
        call = call_of(scope)
        served = predictor.serving(call)
        if (kind := csv_type(scope)) is not None:
            answer = await aside(True, lambda: predict_rows(call, served, body, kind))
            return RawResponse(answer, JSON, served.champion.header)
        ids, records = await aside(len(body) > LARGE_BODY, lambda: served.requests.decode_batch(body))
        if ids is None:
            answer = await aside(len(records) > LARGE_BATCH, lambda: predictor.batch(call, served, records, None))
        else:
            features = await online.look_up(ids, served)
            asked = list(zip(ids, features.rows, strict=True))
            answer = await aside(len(asked) > LARGE_BATCH, lambda: predictor.batch(call, served, asked, features.snapshot))
        return RawResponse(answer, JSON, served.champion.header)

    return [predict_customer, predict_attributes, predict_batch]
