"""The routes of the Open Inference Protocol V2: ``/v2`` and what lies below it.

Belongs here: addresses, headers and limits. Does not belong here: what a tensor holds (``open_inference.tensors``).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from importlib.metadata import version
from typing import Any, Final

from litestar import Controller, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.types import Scope

from churn_api.http.body import JSON, OK, RawResponse, read_body
from churn_api.http.call import Call, call_of
from churn_api.http.decode_errors import malformed
from churn_api.http.lanes import PROBED, fast_lane, needs
from churn_api.http.problems import Problem, problem_spec
from churn_api.open_inference.metadata import (
    MODEL,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    model_metadata,
)
from churn_api.open_inference.tensors import InferAnswer, infer_answer, infer_request
from churn_api.predictions.service import Predictor
from churn_api.releases.poller import ReleasePoller
from churn_api.releases.served import Served
from churn_api.settings import ServiceSettings

JSON_SIZE: Final = b"inference-header-content-length"
BINARY: Final = (b"content-type", b"application/octet-stream")

LARGE_BODY: Final = 64 * 1024
"""Bytes above which a request is answered in a thread."""

_UNAVAILABLE: Final = 503


class ServerController(Controller):
    """The service; no key needed."""

    path = "/v2"
    opt = PROBED

    @get("/", summary="The service, by the Open Inference Protocol V2")
    async def server(self) -> ServerMetadata:
        """Its name, version and extensions of the protocol."""
        return ServerMetadata(name="churn-platform", version=version("churn-platform"), extensions=["binary_tensor_data"])

    @get("/health/live", summary="Whether the process runs, by the Open Inference Protocol V2")
    async def live(self) -> Live:
        """Answered by the event loop alone."""
        return Live()

    @get(
        "/health/ready",
        summary="Whether a release serves, by the Open Inference Protocol V2",
        responses={_UNAVAILABLE: ResponseSpec(Ready, description="No release serves yet.", generate_examples=False)},
    )
    async def ready(self, releases: ReleasePoller) -> Response[Ready]:
        """The status says it."""
        found = Ready(ready=releases.current is not None)
        return Response(found, status_code=OK if found.ready else _UNAVAILABLE)

    @get(
        "/models/churn/ready",
        summary="Whether the model can be asked, by the Open Inference Protocol V2",
        responses={_UNAVAILABLE: ResponseSpec(ModelReady, description="No release serves yet.", generate_examples=False)},
    )
    async def model_ready(self, releases: ReleasePoller) -> Response[ModelReady]:
        """The status says it."""
        found = ModelReady(ready=releases.current is not None)
        return Response(found, status_code=OK if found.ready else _UNAVAILABLE)

    @get(
        "/models/churn/versions/{version:str}/ready",
        summary="Whether an epoch serves, by the Open Inference Protocol V2",
        responses={404: problem_spec("Another epoch serves."), 503: problem_spec("No release serves yet.")},
    )
    async def version_ready(self, version: str, call: Call, predictor: Predictor) -> ModelReady:
        """The status says it."""
        _require_version(predictor.serving(call), version)
        return ModelReady(ready=True)


class ModelMetadataController(Controller):
    """The model: its tensors and their columns."""

    path = "/v2/models/churn"
    opt = needs("predict")

    @get(
        "/",
        summary="The inputs and outputs of the model, by the Open Inference Protocol V2",
        responses={503: problem_spec("No release serves yet.")},
    )
    async def model(self, call: Call, predictor: Predictor) -> ModelMetadata:
        """As the release has them that serves."""
        return model_metadata(predictor.serving(call))

    @get(
        "/versions/{version:str}",
        summary="The same of an epoch, by the Open Inference Protocol V2",
        responses={404: problem_spec("Another epoch serves."), 503: problem_spec("No release serves yet.")},
    )
    async def model_version(self, version: str, call: Call, predictor: Predictor) -> ModelMetadata:
        """Only of the epoch that serves."""
        served = predictor.serving(call)
        _require_version(served, version)
        return model_metadata(served)


def infer_routes(predictor: Predictor, threads: Executor, settings: ServiceSettings) -> list[HTTPRouteHandler]:
    """``POST /v2/models/churn/infer``, and the same of a version."""

    async def infer(scope: Scope, of_version: str | None) -> RawResponse:
        call = call_of(scope)
        json_size = _json_size(scope)
        body = await read_body(scope, call.receive, at_most=settings.max_batch_body_bytes)
        served = predictor.serving(call)
        if of_version is not None:
            _require_version(served, of_version)

        def work() -> RawResponse:
            return _answered(predictor, call, served, body, json_size, settings.max_batch)

        if len(body) <= LARGE_BODY:
            return work()
        return await _in_thread(threads, work)

    @post("/v2/models/churn/infer", opt=fast_lane("predict"), include_in_schema=False)
    async def infer_newest(scope: Scope) -> RawResponse:
        return await infer(scope, None)

    @post("/v2/models/churn/versions/{version:str}/infer", opt=fast_lane("predict"), include_in_schema=False)
    async def infer_version(scope: Scope) -> RawResponse:
        return await infer(scope, scope["path_params"]["version"])

    return [infer_newest, infer_version]


async def _in_thread(threads: Executor, work: Callable[[], RawResponse]) -> RawResponse:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


def _answered(
    predictor: Predictor, call: Call, served: Served, body: bytes, json_size: int | None, max_rows: int
) -> RawResponse:
    asked = infer_request(body, json_size, served.champion.bundle.manifest.signature, max_rows=max_rows)
    made = []
    for entry in predictor.made(call, served, list(zip(asked.ids, asked.rows, strict=True)), None, is_whole=True):
        if isinstance(entry, Problem):
            raise entry
        made.append(entry)
    answer = InferAnswer(
        model_name=MODEL,
        model_version=str(served.row.epoch),
        id=asked.id,
        parameters={
            "release": served.row.champion,
            "request_id": call.request_id,
            "prediction_id": call.id,
            "latency_ms": round((time.perf_counter() - call.begun) * 1000, 3),
        },
        outputs=[],
    )
    values: dict[str, Sequence[Any]] = {
        "probability": [line.probability for _, line in made],
        "churn": [line.churn for _, line in made],
        "risk_band": [role.bands.of(line.probability) for role, line in made],
        "threshold": [line.threshold for _, line in made],
        "role": [line.role for _, line in made],
        "arm": [line.arm or "" for _, line in made],
    }
    content, size = infer_answer(answer, values, asked.outputs)
    if size is None:
        return RawResponse(content, JSON, served.champion.header)
    return RawResponse(content, BINARY, (JSON_SIZE, b"%d" % size), served.champion.header)


def _json_size(scope: Scope) -> int | None:
    """The length of the JSON part by the header.

    Raises:
        Problem: if it is no number (400), or the body is compressed (415).
    """
    size = None
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise Problem(415, "compressed", "The body is compressed; expected it as it is, without Content-Encoding.")
        if name == JSON_SIZE:
            if not value.isdigit() or len(value) > 12 or size is not None:  # noqa: PLR2004 - far more than a body has
                raise malformed("", "the header Inference-Header-Content-Length is not one whole number")
            size = int(value)
    return size


def _require_version(served: Served, asked: str) -> None:
    """Refuse an epoch that does not serve.

    Raises:
        Problem: if it is another one (404).
    """
    if asked != str(served.row.epoch):
        raise Problem(
            404,
            "no-version",
            f"This version does not serve; version {served.row.epoch} does, and /v2/models/churn/infer asks whichever serves.",
        )
