"""Routes found once a shape, because a path that ends in a customer's id is a new path at nearly every request.

Litestar finds a route and remembers it by the whole path, for 1,024 paths; finding costs about a tenth of a prediction
(measured: 12 us of 120). Here a route whose only parameter is its last segment is remembered by what comes before it.
"""

from typing import Any

from litestar import Litestar


def remember_routes(app: Litestar) -> None:
    """Let an application find a route by the shape of its path; what is found is what Litestar finds."""
    router: Any = app.asgi_router
    find = router.handle_routing
    shapes: dict[tuple[str, str | None], tuple[Any, Any, str, str]] = {}

    def handle_routing(path: str, method: str | None) -> Any:
        before, _, last = path.rpartition("/")
        shape = shapes.get((before, method))
        if shape is not None and path not in router._plain_routes:  # as Litestar does: a path of its own comes first
            asgi_app, handler, name, template = shape
            return asgi_app, handler, path, {name: last}, template
        found = find(path=path, method=method)
        asgi_app, handler, _path, parameters, template = found
        if list(parameters.values()) == [last] and template.rpartition("/")[0] == before:
            shapes[before, method] = (asgi_app, handler, next(iter(parameters)), template)
        return found

    router.handle_routing = handle_routing
