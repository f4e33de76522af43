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
from typing import TYPE_CHECKING, Any, Final, NoReturn

from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from churn_api.http.body import RawResponse, Sendable
from churn_api.http.call import Call, known_call
from churn_api.http.lanes import SCOPE, UNLIMITED, changes, is_fast
from churn_api.http.ordinary import Inputs
from churn_api.http.problems import MEDIA_TYPE, Problem, problem_of
from churn_api.security.audit import AuditTrail
from churn_api.security.key_ring import KeyRing, Refusal
from churn_api.security.rate_limits import RateLimits, Refused, What, network_of
from churn_api.telemetry.access_log import ERRORS_FROM, AccessLine, AccessLog
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.refusals import Refusals

if TYPE_CHECKING:
    from churn_api.telemetry.spans import Tracing

UNMATCHED: Final = "unmatched"
"""Name in metrics for requests that matched no route."""

UNAUTHORIZED: Final = 401

_CALLERS_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_BEARER: Final = b"bearer "


@dataclass(frozen=True)
class PipelineParts:
    """The parts that the pipelines of all routes share."""

    ring: KeyRing
    limits: RateLimits
    audit: AuditTrail
    metrics: Metrics
    access_log: AccessLog
    refusals: Refusals
    tracing: "Tracing | None" = None

    def note_unmatched(self, address: str, status: int) -> None:
        """Count a request that reached no route."""
        self.metrics.requests.labels(UNMATCHED, "", status).inc()
        self.refusals.count(address, status)


class RequestPipeline:
    """The wrapper around one route and method; Litestar makes one for each.

    Args:
        app: Litestar's own call of the handler, for the ordinary lane; ``None`` for a route of the fast lane that is reached without it.
        parts: parts shared by all routes.
    """

    def __init__(self, app: ASGIApp | None, parts: PipelineParts) -> None:
        self._app = app
        self._parts = parts
        self._counters: dict[int, Counter] = {}
        self._is_known = False
        self._route = self._method = ""
        self._needs: str | None = None
        self._is_limited = True
        self._changes = False
        self._fast: Callable[[Scope], Awaitable[Sendable]] | None = None
        self._inputs: Inputs | None = None
        self._histogram: Histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not self._is_known:
            self._learn(scope)
        call = Call(receive)
        call.enter(scope)
        presented = _presented(scope, call)
        try:
            if self._needs is not None:
                await self._admit(call, scope, presented, self._needs)
            elif self._is_limited:
                await self._limit_address(call, scope)
            if self._fast is not None:
                answer: Sendable | None = await self._fast(scope)
            else:
                await self._inputs.check(scope, call)  # type: ignore[union-attr]
                answer = None
        except Exception as error:
            answer = _answer_of(problem_of(error), call, scope)
        if answer is None:
            await self._call_ordinary(call, scope, receive, send)
            return
        if call.request_id is call.id:
            await answer.send(send)
        else:
            await answer.send(send, (b"x-request-id", call.request_id.encode()))
        self._note(call, scope, answer.status)
        if self._parts.tracing is not None:
            self._trace(self._parts.tracing, call, answer.status)

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
            await self._app(scope, receive, noting)  # type: ignore[misc]
        finally:
            self._note(call, scope, status)

    def _trace(self, tracing: "Tracing", call: Call, status: int) -> None:
        """The span of a request that Litestar did not call a handler for."""
        tracing.record(
            method=self._method,
            route=self._route,
            status=status,
            request_id=call.id,
            release=call.release,
            seconds=time.perf_counter() - call.begun,
            headers=call.headers,
        )

    @classmethod
    def of_route(cls, handler: HTTPRouteHandler, method: str, template: str, parts: PipelineParts) -> "RequestPipeline":
        """The pipeline of a route of the fast lane, for requests that reach it without Litestar.

        Args:
            handler: handler of the route.
            method: HTTP method.
            template: address of the route, for metrics and log lines.
            parts: parts shared by all routes.
        """
        pipeline = cls(None, parts)
        pipeline._learn_route(handler, method, template)
        return pipeline

    def _learn(self, scope: Scope) -> None:
        """Learn once per route its template, its lane, its inputs and the scope that it needs."""
        handler: HTTPRouteHandler = scope["route_handler"]  # type: ignore[assignment]
        method: str = scope["method"]  # type: ignore[typeddict-item]
        if method == "OPTIONS":  # Litestar adds it to every route, with the opt of its controller
            raise MethodNotAllowedException
        if not is_fast(handler):
            routes = (route for route in scope["litestar_app"].routes if isinstance(route, HTTPRoute))
            route = next(route for route in routes if handler in route.route_handlers)
            self._inputs = Inputs.of(route, handler, method)
        self._learn_route(handler, method, scope["path_template"])

    def _learn_route(self, handler: HTTPRouteHandler, method: str, template: str) -> None:
        self._method = method
        self._route = template
        self._needs = handler.opt[SCOPE]
        self._is_limited = UNLIMITED not in handler.opt
        self._changes = changes(handler, method)
        self._histogram = self._parts.metrics.latency.labels(template, method)
        if is_fast(handler):
            self._fast = handler.fn
        self._is_known = True

    async def _admit(self, call: Call, scope: Scope, presented: bytes | None, needed: str) -> None:
        """Check the key, and its limits; those of the address where it is no usable one."""
        call.key_id, refusal = self._parts.ring.check(presented, needed)
        if call.key_id is None or refusal == "expired":
            await self._limit_address(call, scope)
        else:
            keys = self._parts.limits.keys
            if not keys.take(call.key_id) and (refused := await keys.wait(call.key_id)) is not None:
                raise self._limited(call, refused, "key", "This key has made more requests than it may")
        if refusal is not None:
            call.refusal = refusal
            self._refuse(refusal, needed)

    async def _limit_address(self, call: Call, scope: Scope) -> None:
        addresses, name = self._parts.limits.addresses, network_of(address_of(scope))
        if not addresses.take(name) and (refused := await addresses.wait(name)) is not None:
            said = "More requests without a usable key came from this address than are answered"
            raise self._limited(call, refused, "address", said)

    def _limited(self, call: Call, refused: Refused, by: What, said: str) -> Problem:
        call.refusal = "limit"
        self._parts.metrics.limited.labels(by).inc()
        detail = f"{said}: at most {refused.rule}. Try again in {refused.wait_s} s."
        return Problem(429, "limit", detail, headers={"retry-after": str(refused.wait_s)})

    def _refuse(self, refusal: Refusal, needed: str) -> NoReturn:
        """Raise what a caller is told about its key."""
        self._parts.metrics.refused_keys.labels(refusal).inc()
        if refusal == "scope":
            raise Problem(403, "scope", f"This key is not for that: it lacks the scope {needed!r}.")
        if refusal == "unconfirmed":
            raise Problem(
                503,
                "keys-unconfirmed",
                "The serving database has been away for so long that no key can be known to be in use; try again later.",
            )
        raise Problem(
            401,
            "key",
            "Send a usable API key in the header X-API-Key, or as Authorization: Bearer <key>.",
            headers={"www-authenticate": "Bearer"},
        )

    def _note(self, call: Call, scope: Scope, status: int) -> None:
        seconds = time.perf_counter() - call.begun
        counter = self._counters.get(status)
        if counter is None:
            counter = self._counters[status] = self._parts.metrics.requests.labels(self._route, self._method, status)
        counter.inc()
        self._histogram.observe(seconds)
        if call.key_id is not None and (self._changes or call.refusal is not None):
            self._parts.audit.note(
                key_id=call.key_id,
                address=address_of(scope),
                method=self._method,
                route=self._route,
                status=status,
                reason=call.refusal,
                request_id=call.id,
            )
        if status >= ERRORS_FROM and (call.key_id is None or status == UNAUTHORIZED):
            self._parts.refusals.count(address_of(scope), status, is_known=call.key_id is not None)
        elif self._parts.access_log.wants(status):
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
    """Litestar's hook for exceptions: counts requests that reached no route (404, 405, a bad host).

    Such requests pass no pipeline, which counts all others.
    """

    async def note(error: Exception, scope: Scope) -> None:
        if known_call(scope) is not None:  # the pipeline counts what reached it
            return
        call = Call(_nothing)
        call.enter(scope)
        status = error.status_code if isinstance(error, HTTPException) else 500
        parts.note_unmatched(address_of(scope), status)

    return note


def address_of(scope: Scope) -> str:
    """The caller's address; behind a proxy the proxy's."""
    client = scope["client"]
    return client[0] if client else ""


def _answer_of(problem: Problem, call: Call, scope: Scope) -> RawResponse:
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return RawResponse(
        problem.body(call.request_id, scope["path"]),
        (b"content-type", MEDIA_TYPE.encode()),
        *headers,
        status=problem.status,
    )


def _presented(scope: Scope, call: Call) -> bytes | None:
    """The key that a request presents; takes its id besides."""
    key = bearer = None
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            key = value
        elif name == b"authorization":
            bearer = value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else b""
        elif name == b"x-request-id" and _CALLERS_ID(value):
            call.request_id = value.decode("ascii")
    return key if key is not None else bearer


async def _nothing() -> Any:
    return {"type": "http.disconnect"}
