"""Litestar's OpenAPI document of the ordinary routes, with what the request pipeline adds: scopes and problem details.

Belongs here: from the routes of an application to their part of the document. Does not belong here: the fast lane and a
release's columns (``docs.openapi``).
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler, Method
from litestar.types.internal_types import PathParameterDefinition

from churn_api.http.edge import LightLitestar
from churn_api.http.lanes import SCOPE, UNLIMITED
from churn_api.http.problems import MEDIA_TYPE, ProblemDetails

REFERENCE: Final = "#/components/schemas/{name}"


def ordinary_document(app: Litestar, routes: Sequence[ControllerRouterHandler]) -> dict[str, Any]:
    """The document as Litestar makes it, from a second application that exists only for the document.

    Litestar's OpenAPI configuration would also add routes with pages that load from other hosts to the service's own application.

    Args:
        app: the complete application.
        routes: controllers of its ordinary routes.
    """
    documented = LightLitestar(
        route_handlers=routes,
        dependencies=app.dependencies,
        openapi_config=OpenAPIConfig(
            title="Churn predictions",
            version=version("churn-platform"),
            render_plugins=[JsonRenderPlugin()],
            operation_id_creator=_operation_id_by_litestar,
        ),
        logging_config=None,
    )
    made: dict[str, Any] = _any_of(documented.openapi_schema.to_schema())
    problems = msgspec.json.schema(ProblemDetails, ref_template=REFERENCE)["$defs"]["ProblemDetails"]
    made.setdefault("components", {}).setdefault("schemas", {})["ProblemDetails"] = problems
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            for method in handler.http_methods:
                operation = made["paths"].get(route.path_format, {}).get(method.lower())
                if operation is not None and SCOPE in handler.opt:
                    _complete(operation, handler)
    return made


def _any_of(part: Any) -> Any:
    """A part of the document with ``anyOf`` in place of Litestar's ``oneOf``: a whole number is both an integer and a number."""
    if isinstance(part, dict):
        return {"anyOf" if name == "oneOf" else name: _any_of(inner) for name, inner in part.items()}
    return [_any_of(inner) for inner in part] if isinstance(part, list) else part


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    """Add the errors and the security that the pipeline brings to the handler."""
    takes_body = {"data", "body"} & set(handler.parsed_fn_signature.parameters)
    operation["responses"]["400"] = problem_response_object("The request is malformed; `errors` names the places.")
    if takes_body:
        operation["responses"]["413"] = problem_response_object("The body is too large.")
    if UNLIMITED not in handler.opt:
        limit(operation)
    secure(operation, handler.opt[SCOPE])


def secure(operation: dict[str, Any], scope: str | None) -> None:
    """Add the key that an operation needs, and its errors without one."""
    if scope is None:
        return
    limit(operation)
    operation["security"] = [{"key": []}, {"bearer": []}]
    operation["description"] = f"Needs a key with the scope `{scope}`."
    operation["responses"]["401"] = problem_response_object("No usable key.")
    operation["responses"]["403"] = problem_response_object("The key lacks the scope.")


def limit(operation: dict[str, Any]) -> None:
    """Add the error of a caller that asks too often."""
    operation["responses"]["429"] = problem_response_object("Too many requests; `Retry-After` says when to try again.")


def problem_response_object(meaning: str) -> dict[str, Any]:
    """An error as a response of OpenAPI."""
    schema = {"$ref": REFERENCE.format(name="ProblemDetails")}
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": schema}}}


def operation_id(method: str, path: str) -> str:
    """Name of an operation for programs, such as ``get_model_version``."""
    return f"{method}{path}".replace("/", "_").strip("_").replace("{", "").replace("}", "")


def _operation_id_by_litestar(
    _: HTTPRouteHandler, method: Method, path_components: list[str | PathParameterDefinition]
) -> str:
    path = "".join(f"/{part if isinstance(part, str) else part.name}" for part in path_components)
    return operation_id(str(getattr(method, "value", method)).lower(), path)
