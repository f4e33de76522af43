"""What holds for every answer: HEAD, and the headers that keep browsers and caches from misusing it."""

import pytest
from litestar.routes import HTTPRoute

from tests.api.conftest import ONLINE_ROWS, Service

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}

ANSWERS = {
    "a prediction by id": ("GET", b"/predict/c1", b"", 200),
    "a prediction by attributes": ("POST", b"/predict", b'{"attributes": {}}', 400),
    "a batch": ("POST", b"/predict/batch", b'{"customer_ids": ["c1", "nobody"]}', 200),
    "findings": ("POST", b"/validate", b'{"records": [{}]}', 200),
    "an unknown customer": ("GET", b"/predict/nobody", b"", 404),
    "an ordinary route": ("GET", b"/models", b"", 200),
    "health": ("GET", b"/health", b"", 200),
    "metrics": ("GET", b"/metrics", b"", 200),
    "the document": ("GET", b"/docs/openapi.json", b"", 200),
    "no route": ("GET", b"/nothing", b"", 404),
    "no method": ("DELETE", b"/models", b"", 405),
    "a refused key's scope": ("POST", b"/releases/rollback", b'{"reason": "x"}', 403),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_every_answer_has_each_security_header_once_and_is_not_stored(service: Service, case: str) -> None:
    method, target, body, status = ANSWERS[case]
    response = service.raw(method, target, body)
    assert response.status_code == status
    assert {name: response.headers.get_list(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}


def test_without_a_key_they_are_there_as_well(service: Service) -> None:
    response = service.get("/predict/c1", key=None)
    assert response.status_code == 401
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS


def test_the_page_of_the_documentation_has_a_policy_of_its_own_and_only_that(service: Service) -> None:
    response = service.get("/docs", key=None)
    (policy,) = response.headers.get_list("content-security-policy")
    assert {"default-src 'none'", "frame-ancestors 'none'", "script-src 'unsafe-inline'"} <= set(policy.split("; "))
    assert response.headers["x-frame-options"] == "DENY"


def test_head_answers_where_get_does_with_the_same_headers_and_no_body(service: Service) -> None:
    asked = 0
    for route in service.app.routes:
        assert isinstance(route, HTTPRoute)
        if "GET" not in {method for handler in route.route_handlers for method in handler.http_methods}:
            continue
        target = route.path_format.replace("{customer_id}", "c1").encode()
        got, head = service.raw("GET", target), service.raw("HEAD", target)
        assert head.status_code == got.status_code, target
        assert head.content == b""
        assert got.content
        assert head.headers.keys() == got.headers.keys()
        asked += got.status_code == 200
    assert asked >= 9


@pytest.mark.parametrize(
    ("target", "key", "status"),
    [("/predict/c1", None, 401), ("/models", None, 401), ("/nothing", "both", 404), ("/predict/batch", "both", 405)],
)
def test_head_is_refused_as_get_is(service: Service, target: str, key: str | None, status: int) -> None:
    response = service.client.head(target, headers=service.key_header(key))
    assert (response.status_code, response.content) == (status, b"")


def test_head_is_counted_as_get(service: Service) -> None:
    labels = {"route": "/predict/{customer_id}", "method": "GET", "status": "200"}
    before = service.metric("churn_requests_total", **labels)
    service.client.head("/predict/c1", headers=service.key_header("both"))
    assert service.metric("churn_requests_total", **labels) == before + 1


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [("DELETE", "/models", "GET, HEAD"), ("GET", "/predict", "POST"), ("OPTIONS", "/predict", None)],
)
def test_a_wrong_method_is_told_which_are_answered(service: Service, method: str, target: str, allowed: str | None) -> None:
    response = service.client.request(method, target, headers=service.key_header("both"))
    assert (response.status_code, response.headers.get("allow")) == (405, allowed)


def test_a_post_is_not_made_a_get(service: Service) -> None:
    assert service.post("/predict", {"attributes": ONLINE_ROWS[0]}).status_code == 200
