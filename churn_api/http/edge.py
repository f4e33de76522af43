"""What holds for every answer, whatever route gave it: HEAD, and the headers that keep browsers and caches from misusing it.

Belongs here: rules about answers as a whole. Does not belong here: keys, counts and logs (``http.middleware``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from churn_api.http.fast_paths import FastPaths

_UNLESS_SET: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

ON_EVERY_ANSWER: Final = (*_UNLESS_SET, *_ALWAYS)
"""Headers of every answer. A route may set a Cache-Control and a Content-Security-Policy of its own in place of these two."""

PREFLIGHT_S: Final = 600
"""Time for which a browser may remember what it was allowed."""

_NAMES: Final = frozenset(name for name, _ in _UNLESS_SET)


def cors_of(origins: Sequence[str]) -> CORSConfig | None:
    """What pages of other origins may ask from a browser; ``None`` for nothing at all. Cookies are never taken."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["X-API-Key", "Authorization", "Content-Type", "X-Request-ID", "Idempotency-Key"],
        expose_headers=["X-Request-ID", "Retry-After", "X-Release"],
        allow_credentials=False,
        max_age=PREFLIGHT_S,
    )


class LightLitestar(Litestar):
    """Litestar that leaves OpenTelemetry alone (``http.traced`` puts its middleware where it belongs)."""

    @staticmethod
    def _patch_opentelemetry_middleware(config: AppConfig) -> AppConfig:
        """Leave the middlewares as they are: Litestar loads all of OpenTelemetry to look for one of its classes among them."""
        return config


class ServiceApp(LightLitestar):
    """Litestar, with what holds for every answer.

    Attributes:
        fast_paths: finds the routes of the fast lane; ``None`` to leave all to Litestar.
    """

    fast_paths: "FastPaths | None" = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Answer a request; a HEAD as the GET of the same address, without the body."""
        if scope["type"] != ScopeType.HTTP:  # a websocket, or a start and a stop, which have no method
            await super().__call__(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                own = {name for name, _ in headers if name in _NAMES}
                if own:
                    headers += [field for field in ON_EVERY_ANSWER if field[0] not in own]
                else:
                    headers += ON_EVERY_ANSWER
                message["headers"] = headers
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        if is_head:
            scope = {**scope, "method": "GET"}
        pipeline = None if self.fast_paths is None else self.fast_paths.find(scope)
        if pipeline is not None:
            await pipeline(scope, receive, finish)
            return
        await super().__call__(scope, receive, finish)
        if self.fast_paths is not None and "path_template" in scope:  # its Host was accepted
            self.fast_paths.accepted(scope)
