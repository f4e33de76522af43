"""Checks what an ordinary route was sent, before Litestar reads it.

Litestar alone lets too much pass: it turns ``"1"`` into 1, takes the last of two equal names, accepts NUL, unknown names and
unknown query parameters, and fails at a body of 100,000 brackets.

Belongs here: the check of address, query and body against the handler's declaration. Does not belong here: calling the handler,
which Litestar does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Scope

from churn_api.http.body import read_body
from churn_api.http.call import Call, call_of
from churn_api.http.decode_errors import malformed
from churn_api.http.strict_json import strict_decoder


class CheckedRequest(Request[Any, Any, Any]):
    """Litestar's request, with the body that the pipeline has already read and decoded."""

    async def body(self) -> bytes:
        """The bytes, for a handler that declares ``body``."""
        return call_of(self.scope).body

    async def json(self) -> Any:
        """The decoded value, for a handler that declares ``data``."""
        return call_of(self.scope).data


@dataclass(frozen=True)
class Inputs:
    """What a route takes, by its declaration.

    Attributes:
        query: whether each query parameter is required, by name; includes those of the route's dependencies.
        lists: query parameters that may occur more than once.
        largest: largest body in bytes.
        takes_body: whether a body is read at all.
        decode: function from a body to ``data``; ``None`` if the handler takes the bytes.
        body_required: whether an empty body is refused.
    """

    query: dict[str, bool]
    lists: frozenset[str]
    largest: int
    takes_body: bool
    decode: Callable[[bytes], Any] | None
    body_required: bool

    @classmethod
    def of(cls, route: HTTPRoute, handler: HTTPRouteHandler, method: Any) -> "Inputs":
        """The inputs that a handler declares."""
        model = route.route_handler_map[method][1]
        parameters = model.expected_query_params
        declared = handler.parsed_fn_signature.parameters
        data = declared.get("data")
        return cls(
            query={one.field_alias: one.is_required for one in parameters},
            lists=frozenset(one.field_alias for one in parameters if one.is_sequence),
            largest=handler.resolve_request_max_body_size() or 0,
            takes_body=data is not None or "body" in declared,
            decode=None if data is None else strict_decoder(data.raw),
            body_required=data is not None and not model.is_data_optional,
        )

    async def check(self, scope: Scope, call: Call) -> None:
        """Read the body, and refuse what the route does not take.

        Raises:
            Problem: if address, query or body are not what the route takes (400), or the body is too large (413). The message
                repeats nothing that the caller sent.
        """
        if "\0" in scope["path"] or b"%00" in scope["raw_path"].partition(b"?")[0]:
            raise malformed("", "the address holds the character NUL; expected text without it")
        self._check_query(scope["query_string"])
        if not self.takes_body:
            return
        call.body = await read_body(scope, call.receive, at_most=self.largest)
        if self.decode is not None and (call.body or self.body_required):
            call.data = self.decode(call.body)

    def _check_query(self, query: bytes) -> None:
        seen = set()
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name not in self.query:
                expected = f"expected only {', '.join(sorted(self.query))}" if self.query else "none is expected here"
                raise malformed("", f"the query has a parameter that is not known; {expected}")
            if name in seen and name not in self.lists:
                raise malformed(name, f"the query parameter {name} occurs twice; expected it once")
            if "\0" in value:
                raise malformed(name, f"the query parameter {name} holds the character NUL; expected text without it")
            seen.add(name)
        for name, is_required in self.query.items():
            if is_required and name not in seen:
                raise malformed(name, f"the query parameter {name} is missing")
