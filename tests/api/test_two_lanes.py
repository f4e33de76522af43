"""The two lanes: a new ordinary controller gets everything of the pipeline by itself; a route of a wrong form stops the start."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest
from litestar import Controller, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import Parameter
from litestar.types import Scope

from churn_api.app import create_app
from churn_api.http.body import RawResponse
from churn_api.http.call import Call
from churn_api.http.lanes import PUBLIC, fast_lane, needs
from churn_api.http.problems import Problem
from churn_api.releases.poller import ReleasePoller
from tests.api.conftest import Installation, Service, problem
from tests.api.test_hostile_requests import CANARY, DEPTH


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A struct inside of a struct."""

    amount: int
    kind: str = "a"


class Order(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A body."""

    count: Annotated[int, msgspec.Meta(ge=1)]
    note: str = ""
    lines: list[Line] = []


class Receipt(msgspec.Struct):
    """An answer."""

    count: int
    number: str
    release: str | None
    key_id: str | None


def no_order_7(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A rule about an object, as a guard."""
    if connection.path_params["number"] == "7":
        raise PermissionDeniedException("Order 7 is closed.")


class OrderController(Controller):
    """A later issue's route, as Litestar's documentation shows it."""

    path = "/orders"

    @post("/", opt=needs("read"), summary="Order", status_code=200)
    async def order(self, data: Order, call: Call, releases: ReleasePoller) -> Receipt:
        """With a body and two dependencies."""
        served = releases.current
        return Receipt(data.count, "new", None if served is None else served.row.champion, call.key_id)

    @get("/{number:str}", opt=needs("read"), summary="An order", guards=[no_order_7])
    async def read(
        self, number: str, limit: int, tags: Annotated[list[str] | None, Parameter(query="tag")] = None
    ) -> Receipt:
        """With an address, a query and a guard; fails in each way."""
        if number == "none":
            raise NotFoundException("There is no such order; see GET /orders.")
        if number == "away":
            raise Problem(503, "database-away", "The serving database does not answer; try again.")
        if number == "broken":
            raise RuntimeError(CANARY)
        return Receipt(limit, ",".join(tags or []), None, None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Installation.make(tmp_path_factory.mktemp("shop")) as made:
        made.make_key("other", "release")
        with made.serve(OrderController) as service:
            yield service


def counted(service: Service, route: str, status: int) -> float:
    return service.metric("churn_requests_total", route=route, status=str(status))


def test_it_is_called_as_litestar_documents_it(shop: Service) -> None:
    answered = shop.post("/orders", {"count": 3}, headers={"X-Request-ID": "mine"})
    assert answered.status_code == 200
    assert answered.json()["count"] == 3
    assert answered.json()["key_id"] == shop.installation.keys["both"].key_id
    assert answered.headers["x-request-id"] == "mine"
    assert shop.get("/orders/1?limit=5&tag=a&tag=b").json() == {
        "count": 5, "number": "a,b", "release": None, "key_id": None
    }  # fmt: skip


def test_its_key_is_checked_and_counted(shop: Service) -> None:
    problem(shop.post("/orders", {"count": 3}, key=None), 401)
    assert "'read'" in problem(shop.post("/orders", {"count": 3}, key="other"), 403)["detail"]
    assert (counted(shop, "/orders", 401), counted(shop, "/orders", 403)) == (1, 1)


BODIES = {
    "text for a number": (b'{"count": "1"}', "count"),
    "text for a number inside": (b'{"count": 1, "lines": [{"amount": "1"}]}', "lines[0].amount"),
    "a number with a point": (b'{"count": 1.5}', "count"),
    "out of range": (b'{"count": 0}', "count"),
    "missing": (b"{}", "count"),
    "twice": (b'{"count": 1, "count": 2}', ""),
    "twice inside": (b'{"count": 1, "lines": [{"amount": 1, "amount": 1}]}', ""),
    "NUL": (b'{"count": 1, "note": "a\\u0000"}', ""),
    "unknown": (b'{"count": 1, "canary-7f3a-mustermann": 1}', ""),
    "unknown inside": (b'{"count": 1, "lines": [{"amount": 1, "canary-7f3a-mustermann": 1}]}', "lines[0]"),
    "deep": (b"[" * DEPTH, ""),
    "empty": (b"", ""),
    "not JSON": (b"count=1", ""),
    "NaN": (b'{"count": NaN}', ""),
}


@pytest.mark.parametrize("case", BODIES)
def test_its_body_is_strict(shop: Service, case: str) -> None:
    body, path = BODIES[case]
    before = counted(shop, "/orders", 400)
    response = shop.post("/orders", body)
    (error,) = problem(response, 400)["errors"]
    assert error["path"] == path
    assert CANARY not in response.text
    assert counted(shop, "/orders", 400) == before + 1


def test_its_body_has_a_limit(shop: Service) -> None:
    assert "262,144" in problem(shop.post("/orders", b" " * 300_000), 413)["detail"]
    assert counted(shop, "/orders", 413) == 1


QUERIES = {
    "missing": ("", "limit"),
    "unknown": (f"?limit=1&{CANARY}={CANARY}", ""),
    "twice": ("?limit=1&limit=2", "limit"),
    "not a number": (f"?limit={CANARY}", "limit"),
    "NUL": ("?limit=1&tag=%00", "tag"),
}


@pytest.mark.parametrize("case", QUERIES)
def test_its_query_is_strict(shop: Service, case: str) -> None:
    query, path = QUERIES[case]
    before = counted(shop, "/orders/{number}", 400)
    response = shop.get(f"/orders/1{query}")
    (error,) = problem(response, 400)["errors"]
    assert error["path"] == path
    assert CANARY not in response.text
    assert counted(shop, "/orders/{number}", 400) == before + 1


def test_nul_in_its_address_is_refused(shop: Service) -> None:
    problem(shop.get("/orders/a%00b?limit=1"), 400)


ERRORS = {
    "none": (404, "There is no such order; see GET /orders."),
    "away": (503, "The serving database does not answer; try again."),
    "7": (403, "Order 7 is closed."),
    "broken": (500, "The service failed to answer; the failure was logged and counted. Trying again may help."),
}


@pytest.mark.parametrize("number", ERRORS)
def test_its_errors_keep_their_words_and_are_counted_once(shop: Service, number: str) -> None:
    status, words = ERRORS[number]
    before = shop.metric("churn_requests_total")
    response = shop.get(f"/orders/{number}?limit=1", headers={"X-Request-ID": "mine"})
    refused = problem(response, status)
    assert (refused["detail"], refused["request_id"]) == (words, "mine")
    assert CANARY not in response.text
    assert shop.metric("churn_requests_total") == before + 2  # and one reading of the metrics
    assert counted(shop, "/orders/{number}", status) == 1 if status != 404 else True


def test_it_is_in_the_document_with_its_key_and_its_problems(shop: Service) -> None:
    api = shop.get("/docs/openapi.json", key=None).json()
    operation = api["paths"]["/orders"]["post"]
    assert operation["operationId"] == "post_orders"
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert set(operation["responses"]) == {"200", "400", "401", "403", "413", "429"}
    for status in ("400", "401", "403", "413", "429"):
        (media_type,) = operation["responses"][status]["content"]
        assert media_type == "application/problem+json"
    assert operation["security"] == [{"key": []}, {"bearer": []}]
    query = {one["name"] for one in api["paths"]["/orders/{number}"]["get"]["parameters"] if one["in"] == "query"}
    assert query == {"limit", "tag"}


class Loose(msgspec.Struct):
    """Lets unknown names pass."""

    count: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    """Lets unknown names pass further in."""

    inner: list[Loose | None]


@get("/a", opt=fast_lane("read"))
async def fast_with_more(scope: Scope, limit: int) -> RawResponse:
    return RawResponse(b"")


@get("/a", opt=fast_lane("read"), sync_to_thread=False)
def fast_without_await(scope: Scope) -> RawResponse:
    return RawResponse(b"")


@get("/a")
async def without_scope() -> str:
    return ""


@post("/a", opt=PUBLIC)
async def loose(data: Loose) -> str:
    return ""


@post("/a", opt=PUBLIC)
async def loose_inside(data: Outer) -> str:
    return ""


@post("/a", opt=PUBLIC)
async def mapping(data: dict[str, Any]) -> str:
    return ""


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (fast_with_more, "route GET /a is in the fast lane, which calls `async def handler(scope)`"),
        (fast_without_await, "route GET /a is in the fast lane, which calls `async def handler(scope)`"),
        (without_scope, "route GET /a does not say which scope its key needs"),
        (loose, "route POST /a takes data that lets unknown names pass"),
        (loose_inside, "route POST /a takes data that lets unknown names pass"),
        (mapping, "route POST /a takes data that lets unknown names pass"),
    ],
)
def test_a_route_of_a_form_that_can_not_be_answered_stops_the_start(
    installation: Installation, handler: Any, said: str
) -> None:
    with pytest.raises(TypeError, match="route") as refused:
        create_app(installation.config, more_routes=[handler])
    assert said in str(refused.value)
