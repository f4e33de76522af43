"""The fast lane's routes by their plain addresses, found without Litestar's router, which costs a tenth of a prediction.

A plain address is written as the route's template is, with at most one parameter at its end and nothing encoded. Every other request goes to
Litestar: another spelling of the address, another method, a Host that Litestar has not accepted yet. So an answer does not depend on who found
the route. Belongs here: which requests are found. Does not belong here: how they are answered (``http.middleware``).
"""

from dataclasses import dataclass
from typing import Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Scope

from churn_api.http.lanes import is_fast
from churn_api.http.middleware import PipelineParts, RequestPipeline

MOST_HOSTS: Final = 100
"""So many values of Host are remembered; the callers of a service use few."""


@dataclass(frozen=True)
class _ByParameter:
    """A route whose address ends with a parameter.

    Attributes:
        parameter: name of the parameter.
        others: ends of the addresses of other routes in its place, which are no values of the parameter.
    """

    pipeline: RequestPipeline
    template: str
    parameter: str
    others: frozenset[str]


class FastPaths:
    """Finds the pipeline of a request to the fast lane.

    Args:
        app: the service, whose routes are all registered.
        parts: parts that the pipelines of all routes share.
    """

    def __init__(self, app: Litestar, parts: PipelineParts) -> None:
        self._whole: dict[tuple[str, str], tuple[RequestPipeline, str]] = {}
        self._by_parameter: dict[tuple[str, str], _ByParameter] = {}
        self._hosts: set[bytes] = set()
        addresses = [route.path for route in app.routes]
        for route in app.routes:
            if not isinstance(route, HTTPRoute):
                continue
            for handler in route.route_handlers:
                for method in handler.http_methods if is_fast(handler) else ():
                    self._add(route, handler, method, addresses, parts)

    def find(self, scope: Scope) -> RequestPipeline | None:
        """The pipeline of a request, with the scope as Litestar's router leaves it; ``None`` if Litestar has to find the route."""
        if b"%" in scope["raw_path"] or not self._has_known_host(scope):
            return None
        method: str = scope["method"]  # type: ignore[typeddict-item]
        path = scope["path"]
        found = self._whole.get((method, path))
        if found is not None:
            scope["path_params"] = {}
            scope["path_template"] = found[1]
            return found[0]
        before, _, value = path.rpartition("/")
        route = self._by_parameter.get((method, before))
        if route is None or not value or value in route.others or not path.isascii():
            return None
        scope["path_params"] = {route.parameter: value}
        scope["path_template"] = route.template
        return route.pipeline

    def accepted(self, scope: Scope) -> None:
        """Remember the Host of a request that Litestar has found a route for."""
        host = _host_of(scope)
        if host is not None and len(self._hosts) < MOST_HOSTS:
            self._hosts.add(host)

    def _has_known_host(self, scope: Scope) -> bool:
        return _host_of(scope) in self._hosts

    def _add(
        self, route: HTTPRoute, handler: HTTPRouteHandler, method: str, addresses: list[str], parts: PipelineParts
    ) -> None:
        pipeline = RequestPipeline.of_route(handler, method, route.path_format, parts)
        parameters = list(route.path_parameters.values())
        if not parameters:
            self._whole[method, route.path_format] = pipeline, route.path_format
            return
        before, _, last = route.path_format.rpartition("/")
        [parameter] = parameters if len(parameters) == 1 else [None]
        if parameter is None or parameter.type is not str or last != f"{{{parameter.name}}}":
            return
        siblings = (address.rpartition("/") for address in addresses)
        others = frozenset(end for start, _, end in siblings if start == before)
        self._by_parameter[method, before] = _ByParameter(pipeline, route.path_format, parameter.name, others)


def _host_of(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"host":
            return value
    return None
