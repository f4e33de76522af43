"""Routes remembered for many paths, because a path holds a customer's id.

Litestar finds a route once and remembers it by the whole path, for 1,024 paths. With an id in the path nearly every request is
a new one, and finding costs about a tenth of a prediction (measured: 12 us of 120).
"""

from functools import lru_cache
from typing import Any

from litestar import Litestar

REMEMBERED = 20_000
"""Paths, at most."""

LONGEST = 300
"""Characters of a path that is remembered: longer ones are no customer's, and would fill the memory."""


def remember_routes(app: Litestar) -> None:
    """Let an application remember more routes than Litestar does by itself."""
    router: Any = app.asgi_router
    find = router.handle_routing.__wrapped__
    remembered = lru_cache(REMEMBERED)(find)

    def handle_routing(path: str, method: str | None) -> Any:
        return remembered(path=path, method=method) if len(path) <= LONGEST else find(path=path, method=method)

    router.handle_routing = handle_routing
