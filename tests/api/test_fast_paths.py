"""The fast lane's routes are found without Litestar, and answered as Litestar answers them, however the address is written."""

from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from churn_api.http.fast_paths import MOST_HOSTS
from churn_api.http.lanes import is_fast
from tests.api.conftest import Installation, Service

VARYING = {"request_id", "prediction_id", "answered_at", "latency_ms", "feature_age_s"}

SPELLINGS = [
    b"/predict", b"/predict/", b"//predict", b"/predict?features=true", b"/predict?x=1", b"/%70redict", b"/predict/c1", b"/predict/c1/",
    b"/predict//c1", b"/predict/%631", b"/predict/c%2F1", b"/predict/c%001", b"/predict/c%C3%A4", b"/predict/c1/more",
    b"/predict/nobody", b"/predict/batch", b"/predict/batch/", b"/predict/c1?features=true", b"/predict/ c1", b"/predict/.", b"/predict/..",
    b"/PREDICT/c1", b"/v2/models/churn/infer", b"/v2/models/churn/versions/1/infer", b"/v2/models/churn/versions/x/infer",
]  # fmt: skip


def asked(service: Service, method: str, target: bytes, body: bytes) -> tuple[int, Any, set[str]]:
    answer = service.raw(method, target, body)
    content = answer.json() if answer.content else None
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in VARYING}
    return answer.status_code, content, {*answer.headers}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD", "OPTIONS"])
def test_an_answer_does_not_depend_on_who_found_the_route(service: Service, method: str) -> None:
    body = b'{"customer_ids": ["c1", "nobody"]}' if method == "POST" else b""
    service.get("/predict/c1")  # a Host that is known from here on
    fast = service.app.fast_paths
    assert fast is not None
    found = {target: asked(service, method, target, body) for target in SPELLINGS}
    service.app.fast_paths = None
    try:
        assert {target: asked(service, method, target, body) for target in SPELLINGS} == found
    finally:
        service.app.fast_paths = fast


def test_every_route_of_the_fast_lane_is_found_by_its_plain_address_and_no_other_is(service: Service) -> None:
    service.get("/predict/c1")
    fast = service.app.fast_paths
    assert fast is not None
    for route in service.app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            path = route.path_format.replace("{customer_id}", "c1").replace("{version}", "1")
            for method in handler.http_methods:
                scope: Any = {
                    "method": method,
                    "path": path,
                    "raw_path": path.encode(),
                    "headers": [(b"host", b"testserver")],
                }
                is_plain = is_fast(handler) and "{version}" not in route.path_format
                assert (fast.find(scope) is not None) == is_plain, f"{method} {path}"


@pytest.mark.parametrize("host", [b"a b", b"x/y"])
def test_a_host_that_litestar_refuses_stays_refused(service: Service, host: bytes) -> None:
    service.get("/predict/c1")
    key = service.key_header("both")["X-API-Key"].encode()
    for _ in range(2):
        answer = service.raw("GET", b"/predict/c1", headers=((b"x-api-key", key),), host=host)
        assert answer.status_code == 400


def test_a_request_is_counted_once_and_by_its_template(fresh: Service) -> None:
    for _ in range(5):
        fresh.get("/predict/c1")
    assert fresh.metric("churn_requests_total", route="/predict/{customer_id}", status="200") == 5


def test_hosts_that_are_made_up_are_not_remembered_for_ever(fresh: Service) -> None:
    key = fresh.key_header("both")["X-API-Key"].encode()
    for number in range(MOST_HOSTS + 5):
        answer = fresh.raw("GET", b"/predict/c1", headers=((b"x-api-key", key),), host=b"h%d" % number)
        assert answer.status_code == 200
    assert len(fresh.app.fast_paths._hosts) == MOST_HOSTS


def test_where_browsers_of_other_origins_may_ask_litestar_finds_all_routes(tmp_path: Path) -> None:
    with Installation.make(tmp_path, cors_origins=["https://a.example"]) as made, made.serve() as service:
        assert service.app.fast_paths is None
