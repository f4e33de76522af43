"""Errors as RFC 9457 problem details: what was found, what was expected, what to do.

Belongs here: the one form of every error that leaves the service. Does not belong here: when one is raised. A body never
says anything internal, and never repeats a value that a customer or a caller sent.
"""

import logging
import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi import ResponseSpec

from churn_api.http.call import call_of
from churn_api.telemetry.json_log import say, where_raised

INTERNAL: Final = 500
MEDIA_TYPE: Final = "application/problem+json"

_SAID_OF: Final = {
    400: "The request is not one that this service understands; see /docs.",
    404: "There is nothing at this address; see /docs.",
    405: "This address does not take that method; see /docs.",
    413: "The body is larger than allowed.",
    500: "The service failed to answer; the failure was logged and counted. Trying again may help.",
}

_KINDS: Final = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "text"}
_LENGTH: Final = re.compile(r"Expected `str(?: \| null)?` of length ([<>]=) (\d+)")
_BOUND: Final = re.compile(r"Expected `(int|float)(?: \| null)?` ([<>]=) (-?[\d.]+)")
_KIND: Final = re.compile(r"Expected `(int|float|bool|str)(?: \| null)?`, got")
_PATTERNS: Final = {
    "[!-~]": "visible characters of ASCII without blanks, such as a UUID",
    "[^\\\\x00-": "text without control characters",
}
"""What a parameter's pattern means, by a part of it as msgspec shows it."""


class ProblemDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every error (RFC 9457).

    Attributes:
        type: stable name for programs; ``about:blank`` where the status says it all.
        detail: explanation for people.
        errors: places in a request with wrong content, and what was expected there.
        snapshot: date of the features that were searched for an unknown customer.
        newest: row of the release that serves, where another one than the caller's was written.
        error: the same as ``detail``, for clients of the Open Inference Protocol, on routes below ``/v2``.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
    snapshot: str | None = None
    newest: dict[str, Any] | None = None
    request_id: str | None = None
    error: str | None = None


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An error that the caller is told about.

    Args:
        status: HTTP status.
        name: short, stable name: the end of the type's URI.
        detail: what was found, what was expected, what to do.
        errors: places in the request, each with ``path`` and ``detail``.
        snapshot, newest: as in ``ProblemDetails``.
        headers: additional headers of the answer.
    """

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        snapshot: str | None = None,
        newest: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(name)
        self.status = status
        self.headers = headers or {}
        self.details = ProblemDetails(
            type=f"urn:churn:problem:{name}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail,
            errors=errors,
            snapshot=snapshot,
            newest=newest,
        )

    def body(self, request_id: str, path: str = "") -> bytes:
        """The encoded problem details; ``path`` is the address that was asked."""
        error = self.details.detail if path.startswith("/v2") else None
        return msgspec.json.encode(msgspec.structs.replace(self.details, request_id=request_id, error=error))


def problem_spec(description: str) -> ResponseSpec:
    """An error response of a route, for Litestar's OpenAPI document."""
    return ResponseSpec(ProblemDetails, description=description, media_type=MEDIA_TYPE, generate_examples=False)


def problem_of(error: Exception, *, said_by_a_handler: bool = False) -> Problem:
    """Turn any exception into a problem.

    A ``Problem`` stays as it is, an exception of the framework is translated by its status, and everything else becomes a 500
    that reveals nothing.

    Args:
        error: the exception.
        said_by_a_handler: whether the request reached a route, so that the text of a framework's exception is the route's own.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationException):
        return _of_parameters(error)
    status, headers, detail = 500, {}, ""
    if isinstance(error, HTTPException):
        status = error.status_code
        headers = {name: value for name, value in (error.headers or {}).items() if name in {"allow", "retry-after"}}
        if "allow" in headers:
            headers["allow"] = _answered(headers["allow"])
        repeats_the_body = isinstance(error.__cause__, SerializationException)
        if said_by_a_handler and not repeats_the_body and error.detail != HTTPStatus(status).phrase:
            detail = error.detail
    known = Problem(status, "internal", detail or _SAID_OF.get(status, HTTPStatus(status).phrase), headers=headers)
    if status != INTERNAL:
        known.details.type = "about:blank"
    else:
        known.details.detail = _SAID_OF[INTERNAL]
        say("request_failed", logging.ERROR, error=where_raised(error))
    return known


def _answered(allow: str) -> str:
    """The methods that an address answers, from those that Litestar has: OPTIONS is refused, HEAD answered like GET."""
    methods = {method.strip() for method in allow.split(",")} - {"OPTIONS"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _of_parameters(error: ValidationException) -> Problem:
    """The problem of a parameter that Litestar refused: its name as it was sent, and what is expected of it.

    Of Litestar's own message only the expectation is taken: it may repeat the address and the value that was sent.
    """
    places = [one for one in error.extra if isinstance(one, dict)] if isinstance(error.extra, list) else []
    errors = [_of_parameter(one) for one in places]
    detail = "; ".join(one["detail"] for one in errors) or _SAID_OF[400]
    return Problem(400, "malformed-request", detail, errors=errors or None)


def _of_parameter(told: dict[str, Any]) -> dict[str, str]:
    source, name = told.get("source", ""), str(told.get("key", ""))
    kind = str(getattr(source, "value", source))
    if kind == "header":  # Litestar names the argument
        name = name.replace("_", "-").title()
    where = {"header": "the header", "query": "the query parameter", "path": "the part of the address"}.get(
        kind, "the value"
    )
    return {"path": name, "detail": f"{where} {name} does not fit; {_expected(str(told.get('message', '')))}"}


def _expected(said: str) -> str:
    """What a message of msgspec about a parameter expects, in words."""
    if (length := _LENGTH.fullmatch(said)) is not None:
        return (
            f"expected at {'least' if length[1] == '>=' else 'most'} {length[2]} character{'s' if length[2] != '1' else ''}"
        )
    if (bound := _BOUND.fullmatch(said)) is not None:
        return f"expected {_KINDS[bound[1]]} of at {'least' if bound[2] == '>=' else 'most'} {bound[3]}"
    if (kind := _KIND.match(said)) is not None:
        return f"expected {_KINDS[kind[1]]}"
    for pattern, words in _PATTERNS.items():
        if "matching regex" in said and pattern in said:
            return f"expected {words}"
    return "see /docs"


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler, for the routes of both lanes and for requests that reached no route."""
    call = call_of(request.scope)
    problem = problem_of(error, said_by_a_handler="route_handler" in request.scope)
    return Response(
        problem.body(call.request_id, request.scope["path"]),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )
