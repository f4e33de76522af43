"""A request as the service sees it, in the fast lane and in the ordinary one.

Belongs here: what is known of a request before its content is looked at. Does not belong here: the pipeline that fills it in
(``http.middleware``).
"""

import time
from collections.abc import Iterable
from typing import Final

from litestar.types import Receive, Scope

from churn_api.telemetry.prediction_log import new_prediction_id

_IN_SCOPE: Final = "churn.call"


class Call:
    """One request.

    Attributes:
        id: unique id made here; the key of the prediction log and the only id that a log line carries.
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else ``id``; echoed, never trusted.
        begun: start of the request, by ``time.perf_counter``.
        receive: ASGI channel of the body.
        headers: the request's headers, as ASGI has them.
        key_id: id of the API key, once it is known.
        refusal: reason why the key was refused, or ``limit``; ``None`` for a request that was let in.
        release: release that answered, for the access log.
        body: bytes that the pipeline has read, for a route of the ordinary lane that takes a body.
        data: decoded and checked body, for a route that declares ``data``.
    """

    __slots__ = ("begun", "body", "data", "headers", "id", "key_id", "receive", "refusal", "release", "request_id")

    def __init__(self, receive: Receive) -> None:
        self.begun = time.perf_counter()
        self.id = new_prediction_id()
        self.request_id = self.id
        self.receive = receive
        self.headers: Iterable[tuple[bytes, bytes]] = ()
        self.key_id: str | None = None
        self.refusal: str | None = None
        self.release: str | None = None
        self.body = b""
        self.data: object = None

    def enter(self, scope: Scope) -> None:
        """Attach this call to an ASGI scope."""
        self.headers = scope["headers"]
        scope[_IN_SCOPE] = self  # type: ignore[typeddict-unknown-key]


def call_of(scope: Scope) -> Call:
    """The call that a handler is working on."""
    call: Call = scope[_IN_SCOPE]  # type: ignore[typeddict-item]
    return call


def known_call(scope: Scope) -> Call | None:
    """The call of a scope; ``None`` if the request reached no route."""
    call: Call | None = scope.get(_IN_SCOPE)  # type: ignore[assignment]
    return call
