"""The request pipeline around every route: checks the key, gets the answer, then counts, times and logs the request.

It is one small ASGI wrapper. Five stock middlewares in its place cost six times the model (design.md, section 8). Litestar finds
the route. In the fast lane the pipeline calls the route's function itself, without the request object, the parameters and the
exit stack that Litestar would prepare. In the ordinary lane it checks the request and lets Litestar call the handler.

Belongs here: what happens to every request alike. Does not belong here: what a request asks for.
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from churn_api.http.body import RawResponse
from churn_api.http.call import Call, known_call
from churn_api.http.lanes import SCOPE, is_fast
from churn_api.http.ordinary import Inputs
from churn_api.http.problems import MEDIA_TYPE, Problem, problem_of
from churn_api.security.key_ring import KeyRing
from churn_api.telemetry.access_log import AccessLine, AccessLog
from churn_api.telemetry.metrics import Metrics

UNMATCHED: Final = "unmatched"
"""Name in metrics and log lines for requests that matched no route."""

_CALLERS_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_BEARER: Final = b"bearer "


@dataclass(frozen=True)
class PipelineParts:
    """The parts that the pipelines of all routes share."""

    ring: KeyRing
    metrics: Metrics
    access_log: AccessLog


class RequestPipeline:
    """The wrapper around one route and method; Litestar makes one for each.

    Args:
        app: Litestar's own call of the handler, for the ordinary lane.
        parts: parts shared by all routes.
    """

    def __init__(self, app: ASGIApp, parts: PipelineParts) -> None:
        self._app = app
        self._parts = parts
        self._counters: dict[int, Counter] = {}
        self._is_known = False
        self._route = self._method = ""
        self._needs: str | None = None
        self._fast: Callable[[Scope], Awaitable[RawResponse]] | None = None
        self._inputs: Inputs | None = None
        self._histogram: Histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not self._is_known:
            self._learn(scope)
        call = Call(receive)
        call.enter(scope)
        key = bearer = None
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                key = value
            elif name == b"authorization":
                bearer = value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""
            elif name == b"x-request-id" and _CALLERS_ID(value):
                call.request_id = value.decode("ascii")
        try:
            if self._needs is not None:
                self._check(call, key if key is not None else bearer, self._needs)
            if self._fast is not None:
                answer = await self._fast(scope)
            else:
                await self._inputs.check(scope, call)  # type: ignore[union-attr]
                answer = None
        except Exception as error:
            answer = _answer_of(problem_of(error), call)
        if answer is None:
            await self._call_ordinary(call, scope, receive, send)
            return
        if call.request_id is call.id:
            await answer.send(send)
        else:
            await answer.send(send, (b"x-request-id", call.request_id.encode()))
        self._note(call, answer.status)

    async def _call_ordinary(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Litestar call the handler and turn its exceptions into problems; note the status that was sent."""
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if call.request_id is not call.id:
                    message["headers"] = [*message["headers"], (b"x-request-id", call.request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._note(call, status)

    def _learn(self, scope: Scope) -> None:
        """Learn once per route its template, its lane, its inputs and the scope that it needs."""
        handler: HTTPRouteHandler = scope["route_handler"]  # type: ignore[assignment]
        self._method = scope["method"]  # type: ignore[typeddict-item]
        if self._method == "OPTIONS":  # Litestar adds it to every route, with the opt of its controller
            raise MethodNotAllowedException
        self._needs = handler.opt[SCOPE]
        self._route = scope["path_template"]
        self._histogram = self._parts.metrics.latency.labels(self._route, self._method)
        if is_fast(handler):
            self._fast = handler.fn
        else:
            routes = (route for route in scope["litestar_app"].routes if isinstance(route, HTTPRoute))
            route = next(route for route in routes if handler in route.route_handlers)
            self._inputs = Inputs.of(route, handler, self._method)
        self._is_known = True

    def _check(self, call: Call, presented: bytes | None, needed: str) -> None:
        call.key_id, refusal = self._parts.ring.check(presented, needed)
        if refusal is None:
            return
        self._parts.metrics.refused_keys.labels(refusal).inc()
        if refusal == "scope":
            raise Problem(403, "scope", f"This key is not for that: it lacks the scope {needed!r}.")
        raise Problem(
            401,
            "key",
            "Send a usable API key in the header X-API-Key, or as Authorization: Bearer <key>.",
            headers={"www-authenticate": "Bearer"},
        )

    def _note(self, call: Call, status: int) -> None:
        seconds = time.perf_counter() - call.begun
        counter = self._counters.get(status)
        if counter is None:
            counter = self._counters[status] = self._parts.metrics.requests.labels(self._route, self._method, status)
        counter.inc()
        self._histogram.observe(seconds)
        if self._parts.access_log.wants(status):
            self._parts.access_log.add(
                AccessLine(
                    ts=datetime.now(UTC),
                    id=call.id,
                    route=self._route,
                    method=self._method,
                    status=status,
                    latency_ms=round(seconds * 1000, 3),
                    release=call.release,
                    key_id=call.key_id,
                )
            )


def note_unmatched(parts: PipelineParts) -> Callable[[Exception, Scope], Awaitable[None]]:
    """Litestar's hook for exceptions: counts and logs requests that reached no route (404, 405, a bad host).

    Such requests pass no pipeline, which counts all others.
    """

    async def note(error: Exception, scope: Scope) -> None:
        if known_call(scope) is not None:  # the pipeline counts what reached it
            return
        call = Call(_nothing)
        call.enter(scope)
        status = error.status_code if isinstance(error, HTTPException) else 500
        parts.metrics.requests.labels(UNMATCHED, "", status).inc()
        parts.access_log.add(AccessLine(ts=datetime.now(UTC), id=call.id, route=UNMATCHED, status=status))

    return note


def _answer_of(problem: Problem, call: Call) -> RawResponse:
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return RawResponse(
        problem.body(call.request_id), (b"content-type", MEDIA_TYPE.encode()), *headers, status=problem.status
    )


async def _nothing() -> Any:
    return {"type": "http.disconnect"}
