"""What a route declares in its ``opt``, and the check at start that every declaration is right.

A route names the scope that its key needs, or declares that it needs no key. By default it is in the ordinary lane: Litestar
calls it as Litestar's documentation shows. In the fast lane, the pipeline calls the route's function with the ASGI scope alone.

Belongs here: the words of ``opt``, and the refusal of a route that the pipeline could not answer. Does not belong here: the
pipeline (``http.middleware``).
"""

import inspect
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

SCOPE: Final = "scope"
FAST: Final = "fast"

UNLIMITED: Final = "unlimited"
CHANGES: Final = "changes"

PUBLIC: Final[dict[str, Any]] = {SCOPE: None}
"""``opt`` of a route that needs no key; it is limited by address."""

PROBED: Final[dict[str, Any]] = {SCOPE: None, UNLIMITED: True}
"""``opt`` of a route that needs no key and has no limit: whoever asks too often must not let the service look dead to others."""


def needs(scope: str) -> dict[str, Any]:
    """``opt`` of an ordinary route that needs a key with a scope."""
    return {SCOPE: scope}


def asks(scope: str) -> dict[str, Any]:
    """``opt`` of an ordinary route that takes a body and changes nothing, for keys with a scope: it is not in the audit."""
    return {SCOPE: scope, CHANGES: False}


def changes(handler: HTTPRouteHandler, method: str) -> bool:
    """Whether a route changes something, so that each call of it is in the audit: all but GET, unless they say otherwise."""
    return method != "GET" and not is_fast(handler) and bool(handler.opt.get(CHANGES, True))


def fast_lane(scope: str) -> dict[str, Any]:
    """``opt`` of a route that takes raw bytes and answers a ``RawResponse``, for keys with a scope."""
    return {SCOPE: scope, FAST: True}


def is_fast(handler: HTTPRouteHandler) -> bool:
    """Whether a route is in the fast lane."""
    return bool(handler.opt.get(FAST))


def require_answerable(app: Litestar) -> None:
    """Refuse routes that would fail, or be answered without a check, at their first request.

    Raises:
        TypeError: if a route is not HTTP, names no scope, is in the fast lane with a function other than
            ``async def handler(scope)``, or takes ``data`` that would let unknown names pass.
    """
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise TypeError(f"route {route.path}: only HTTP routes pass the request pipeline; make it one")
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"}:  # added by Litestar to every route; answered with 405
                continue
            name = f"route {'/'.join(sorted(handler.http_methods))} {route.path_format}"
            if SCOPE not in handler.opt:
                raise TypeError(f"{name} does not say which scope its key needs; give it opt=needs(...) or opt=PUBLIC")
            if is_fast(handler):
                _require_fast_form(name, handler)
            else:
                _require_strict_data(name, handler)


def _require_fast_form(name: str, handler: HTTPRouteHandler) -> None:
    parameters = list(inspect.signature(handler.fn).parameters)
    if parameters != ["scope"] or not inspect.iscoroutinefunction(handler.fn):
        raise TypeError(
            f"{name} is in the fast lane, which calls `async def handler(scope)`; found the parameters "
            f"({', '.join(parameters)}); take the scope alone, or leave the fast lane with opt=needs(...)"
        )


def _require_strict_data(name: str, handler: HTTPRouteHandler) -> None:
    data = handler.parsed_fn_signature.parameters.get("data")
    if data is None:
        return
    if handler.resolve_data_dto() is not None or not _is_strict(msgspec.inspect.type_info(data.raw), set()):
        raise TypeError(
            f"{name} takes data that lets unknown names pass; take a msgspec.Struct with forbid_unknown_fields=True, "
            "also inside of it"
        )


def _is_strict(node: Any, seen: set[type]) -> bool:
    """Whether a msgspec type refuses unknown names in every object that it can hold."""
    if isinstance(node, msgspec.inspect.StructType):
        if node.cls in seen:
            return True
        seen.add(node.cls)
        return node.forbid_unknown_fields and all(_is_strict(field.type, seen) for field in node.fields)
    if isinstance(
        node,
        (
            msgspec.inspect.DataclassType,
            msgspec.inspect.TypedDictType,
            msgspec.inspect.DictType,
            msgspec.inspect.AnyType,
            msgspec.inspect.CustomType,
            msgspec.inspect.RawType,
        ),
    ):
        return False
    inner = [getattr(node, name, None) for name in ("item_type", "type")]
    inner += [*getattr(node, "types", ()), *(getattr(node, "item_types", ()))]
    return all(_is_strict(one, seen) for one in inner if isinstance(one, msgspec.inspect.Type))
