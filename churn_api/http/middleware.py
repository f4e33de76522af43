"""The front desk: one pass around every route that checks the key, calls the handler, counts, times and logs.

One small ASGI wrapper instead of five stock middlewares, which cost six times the model (design.md, section 8). Litestar finds
the route; the desk calls the route's function itself, without the request object, the parameters and the exit stack that
Litestar would prepare and that no handler here uses.

A route says in its ``opt`` which scope it needs (``needs``) or that it needs none (``PUBLIC``); a route that says nothing is not
answered. Belongs here: what happens to every request alike. Does not belong here: what a request asks for.
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.types import ASGIApp, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from churn_api.http.body import Answer
from churn_api.http.problems import MEDIA_TYPE, Problem, problem_of
from churn_api.security.key_ring import KeyRing
from churn_api.telemetry.access_log import AccessLine, AccessLog
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.prediction_log import new_prediction_id

PUBLIC: Final[dict[str, Any]] = {"answers": True, "scope": None}
"""``opt`` of a route that needs no key."""

UNMATCHED: Final = "unmatched"
"""Stands for a route in metrics and log lines where there was none."""

_CALLERS_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_BEARER: Final = b"bearer "


def needs(scope: str) -> dict[str, Any]:
    """``opt`` of a route that needs a key with a scope."""
    return {"answers": True, "scope": scope}


class Call:
    """A request as the service sees it.

    Attributes:
        id: made here, unique; the key of the prediction log and the only id that a log line carries.
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else ``id``; echoed, never trusted.
        begun: by ``time.perf_counter``.
        receive: gives the body.
        key_id: whose key, once it is known.
        release: which release answered, for the access log.
    """

    __slots__ = ("begun", "id", "key_id", "receive", "release", "request_id")

    def __init__(self, receive: Receive) -> None:
        self.begun = time.perf_counter()
        self.id = new_prediction_id()
        self.request_id = self.id
        self.receive = receive
        self.key_id: str | None = None
        self.release: str | None = None


def call_of(scope: Scope) -> Call:
    """The call that a handler is working on."""
    call: Call = scope["churn.call"]  # type: ignore[typeddict-item]
    return call


@dataclass(frozen=True)
class Desk:
    """What the front desk works with."""

    ring: KeyRing
    metrics: Metrics
    access_log: AccessLog


class Front:
    """The wrapper around one route and method; Litestar makes one for each.

    Args:
        app: what Litestar would call; not used, see the module.
        desk: shared by all routes.
    """

    def __init__(self, app: ASGIApp, desk: Desk) -> None:  # noqa: ARG002
        self._desk = desk
        self._handler: Callable[[Scope], Awaitable[Answer]] | None = None
        self._counters: dict[int, Counter] = {}
        self._route = self._method = ""
        self._needs: str | None
        self._histogram: Histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = self._handler or self._learn(scope)
        call = Call(receive)
        scope["churn.call"] = call  # type: ignore[typeddict-unknown-key]
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
            answer = await handler(scope)
        except Exception as error:
            answer = _answer_of(problem_of(error), call)
        if call.request_id is call.id:
            await answer.send(send)
        else:
            await answer.send(send, (b"x-request-id", call.request_id.encode()))
        self._note(call, answer.status)

    def _learn(self, scope: Scope) -> Callable[[Scope], Awaitable[Answer]]:
        """Once per route: its template, its function and what it needs."""
        handler = scope["route_handler"]
        if not handler.opt.get("answers"):  # such as the OPTIONS that Litestar adds to every route
            raise MethodNotAllowedException
        self._needs = handler.opt["scope"]
        self._method = scope["method"]  # type: ignore[typeddict-item]
        self._route = scope["path_template"]
        self._histogram = self._desk.metrics.latency.labels(self._route, self._method)
        function: Callable[[Scope], Awaitable[Answer]] = handler.fn
        self._handler = function
        return function

    def _check(self, call: Call, presented: bytes | None, needed: str) -> None:
        call.key_id, refusal = self._desk.ring.check(presented, needed)
        if refusal is None:
            return
        self._desk.metrics.refused_keys.labels(refusal).inc()
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
            counter = self._counters[status] = self._desk.metrics.requests.labels(self._route, self._method, status)
        counter.inc()
        self._histogram.observe(seconds)
        if self._desk.access_log.wants(status):
            self._desk.access_log.add(
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


def note_unmatched(desk: Desk) -> Callable[[Exception, Scope], Awaitable[None]]:
    """Litestar's hook for exceptions: counts and logs what reached no route, so no ``Front`` (404, 405, a bad host)."""

    async def note(error: Exception, scope: Scope) -> None:
        call = Call(_nothing)
        scope["churn.call"] = call  # type: ignore[typeddict-unknown-key]
        status = error.status_code if isinstance(error, HTTPException) else 500
        desk.metrics.requests.labels(UNMATCHED, "", status).inc()
        desk.access_log.add(AccessLine(ts=datetime.now(UTC), id=call.id, route=UNMATCHED, status=status))

    return note


def _answer_of(problem: Problem, call: Call) -> Answer:
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return Answer(problem.body(call.request_id), (b"content-type", MEDIA_TYPE.encode()), *headers, status=problem.status)


async def _nothing() -> Any:
    return {"type": "http.disconnect"}
