"""A request as the service sees it, in both lanes.

Belongs here: what is known of a request before anybody looks at what it asks for. Does not belong here: the pipeline that fills
it in (``http.middleware``).
"""

import time
from typing import Final

from litestar.types import Receive, Scope

from churn_api.telemetry.prediction_log import new_prediction_id

_IN_SCOPE: Final = "churn.call"


class Call:
    """One request.

    Attributes:
        id: made here, unique; the key of the prediction log and the only id that a log line carries.
        request_id: the caller's ``X-Request-ID`` if it sent a valid one, else ``id``; echoed, never trusted.
        begun: by ``time.perf_counter``.
        receive: gives the body.
        key_id: whose key, once it is known.
        release: which release answered, for the access log.
        body: what the pipeline has read, for a route of the ordinary lane that takes a body.
        data: the decoded and checked body, for a route that declares ``data``.
    """

    __slots__ = ("begun", "body", "data", "id", "key_id", "receive", "release", "request_id")

    def __init__(self, receive: Receive) -> None:
        self.begun = time.perf_counter()
        self.id = new_prediction_id()
        self.request_id = self.id
        self.receive = receive
        self.key_id: str | None = None
        self.release: str | None = None
        self.body = b""
        self.data: object = None

    def enter(self, scope: Scope) -> None:
        """Make this the call of a scope."""
        scope[_IN_SCOPE] = self  # type: ignore[typeddict-unknown-key]


def call_of(scope: Scope) -> Call:
    """The call that a handler is working on."""
    call: Call = scope[_IN_SCOPE]  # type: ignore[typeddict-item]
    return call


def known_call(scope: Scope) -> Call | None:
    """The call of a scope; ``None`` if the request reached no route."""
    call: Call | None = scope.get(_IN_SCOPE)  # type: ignore[assignment]
    return call
