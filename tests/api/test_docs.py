"""The documentation: the serving release's own columns, every route and no other, and nothing from elsewhere."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from churn_api.security.keys import SCOPES
from churn_store.experiments.history import append
from churn_store.experiments.lifecycle import create
from churn_store.experiments.plan import Wish
from churn_store.experiments.record import Event
from churn_store.model.signature import FLOAT32_MAX
from churn_store.releases.bundles import stage
from churn_store.reports import publish
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, Candidate, bless, small_columns, train

DOCS = {"/docs", "/docs/openapi.json"}
CALLS: dict[str, Any] = {"subject": "actions", "metric": "retention", "effect": 0.05, "deviation": 0.3}
METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}


def document(service: Service) -> dict[str, Any]:
    response = service.get("/docs/openapi.json", key=None)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    return response.json()


def attributes(service: Service) -> dict[str, Any]:
    return document(service)["components"]["schemas"]["Attributes"]


def follow(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]
    return schema


def every(node: Any) -> Iterator[dict[str, Any]]:
    """All objects inside of a document."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from every(inner)


def operations(api: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in api["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_the_schema_of_a_prediction_has_the_releases_columns(service: Service) -> None:
    schema, columns = attributes(service), service.installation.manifest().signature.columns
    assert list(schema["properties"]) == [column.name for column in columns]
    assert schema["required"] == [column.name for column in columns]
    assert schema["additionalProperties"] is False
    for column in columns:
        told = schema["properties"][column.name]
        kinds = told.get("anyOf", [told])
        assert ({"type": "null"} in kinds) is column.nullable
        (told,) = (kind for kind in kinds if kind != {"type": "null"})
        if column.kind == "number":
            assert told["type"] == "number"
            assert told["minimum"] == (-FLOAT32_MAX if column.low is None else column.low)
            assert told["maximum"] == (FLOAT32_MAX if column.high is None else column.high)
            assert f"({column.unit})" in told["description"]
        else:
            assert (told["type"], told["maxLength"], told["examples"]) == ("string", 256, list(column.categories))
        assert column.description in told["description"]


def test_both_bodies_lead_to_the_same_columns(service: Service) -> None:
    api = document(service)
    single = follow(api, api["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"])
    batch = follow(api, api["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"])
    assert single["required"] == ["attributes"]
    assert set(single["properties"]) == {"attributes", "customer_id"}
    assert follow(api, single["properties"]["attributes"]) == attributes(service)
    assert set(batch["properties"]) == {"customer_ids", "records"}
    assert follow(api, batch["properties"]["records"]["items"]) == single
    assert batch["properties"]["records"]["maxItems"] == batch["properties"]["customer_ids"]["maxItems"] == 10_000


def test_the_document_says_what_serves(service: Service) -> None:
    bundle = service.installation.bundle()
    about = document(service)["info"]["description"]
    for part in (bundle.digest[:12], bundle.manifest.family, bundle.manifest.label, "within 30 days", "0.5"):
        assert part in about


def test_a_new_release_brings_another_document(fresh: Service) -> None:
    before = document(fresh)
    fresh.installation.release(train(small_columns(numbers=5)))
    fresh.until(lambda: document(fresh) != before)
    assert list(attributes(fresh)["properties"]) == [column.name for column in small_columns(numbers=5)]


def test_before_the_first_release_the_document_says_that_the_attributes_are_not_known(
    installation: Installation,
) -> None:
    with installation.serve() as service:
        api = document(service)
    assert "No release serves yet" in api["info"]["description"]
    assert "Attributes" not in api["components"]["schemas"]
    assert_is_openapi(api)


def assert_is_openapi(api: dict[str, Any]) -> None:
    """What OpenAPI 3.1 demands of the parts that are used here."""
    assert set(api) == {"openapi", "info", "paths", "components"}
    assert re.fullmatch(r"3\.1\.\d", api["openapi"])
    assert all(isinstance(api["info"][name], str) and api["info"][name] for name in ("title", "version", "description"))
    assert set(api["components"]) == {"schemas", "securitySchemes"}
    for name in api["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
    for node in every(api):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/components/schemas/") in api["components"]["schemas"]
        if isinstance(node.get("required"), list):
            assert set(node["required"]) <= set(node["properties"])
    seen = set()
    for path, method, operation in operations(api):
        assert path.startswith("/")
        assert method in METHODS
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        assert operation["summary"]
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path" and one["required"]}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert "200" in operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]
            assert response["content"]
        for need in operation.get("security", []):
            assert set(need) <= set(api["components"]["securitySchemes"])
    for scheme in api["components"]["securitySchemes"].values():
        assert {"apiKey": {"type", "name", "in"}, "http": {"type", "scheme"}}[scheme["type"]] == set(scheme)


def test_the_document_is_openapi(service: Service) -> None:
    assert_is_openapi(document(service))


def test_every_route_is_in_the_document_and_every_documented_route_is_there(service: Service) -> None:
    there = {(route.path_format, method.lower()) for route in service.app.routes for method in route.methods - {"OPTIONS"}}
    told = {(path, method) for path, method, _ in operations(document(service))}
    assert told == {(path, method) for path, method in there if path not in DOCS}
    assert {path for path, _ in there} >= DOCS


COLUMNS = small_columns()
INFER = {
    "id": "mine",
    "inputs": [
        {
            "name": name, "datatype": datatype, "shape": [1, len(columns)],
            "data": [ONLINE_ROWS[1][column.name] for column in columns],
        }
        for name, datatype, columns in (
            ("numbers", "FP64", [column for column in COLUMNS if column.kind == "number"]),
            ("categories", "BYTES", [column for column in COLUMNS if column.kind == "category"]),
        )
    ],
}  # fmt: skip


ASK_FOR_A_CUSTOMER = {("/outcomes", "get"), ("/survey/answers", "get"), ("/treatments", "get")}


def ask(service: Service, path: str, method: str, key: str | None, **named: str) -> Any:
    record, version = {"attributes": ONLINE_ROWS[0]}, str(service.installation.newest_epoch())
    bodies = {
        "/predict": record, "/predict/batch": {"customer_ids": ["c1"]}, "/validate": {"records": [record]},
        "/releases/rollback": {"reason": "a test"},
        "/releases/approve": {"candidate": version, "reason": "a test"},
        "/releases/reject": {"candidate": named.get("rejected", ""), "reason": "a test"},
        "/monitoring/baseline": {"baseline": "1", "reason": "a test"},
        "/ab/config": {"challenger": named.get("challenger", ""), "share": 0.1, "reason": "a test", "override": True},
        "/v2/models/churn/infer": INFER, "/v2/models/churn/versions/{version}/infer": INFER,
        "/outcomes": {"customer_id": "c1", "churned": True},
        "/treatments": {"customer_id": "c1", "assigned": "2026-01-01"},
        "/experiments": {"name": "calls", **CALLS, "reason": "a test"},
        **{f"/experiments/{{name}}/{what}": {"reason": "a test"} for what in ("start", "stop", "promote")},
        "/survey/submit": {
            "customer_id": "c1", "survey": "s", "answers": [{"question": "q", "answer": 1}], "idempotency_key": "k",
        },
    }  # fmt: skip
    headers = service.key_header(key)
    return service.client.request(
        method,
        path.format(customer_id="c1", report="card", version=version, name="new" if path.endswith("/start") else "won")
        + ("?customer_id=c1" if (path, method) in ASK_FOR_A_CUSTOMER else ""),
        json=bodies.get(path) if method in {"post", "put"} else None,
        headers=headers,
    )


def test_every_answer_has_the_documented_fields_and_every_key_is_needed_as_documented(
    fresh: Service, other_candidate: Candidate
) -> None:
    service = fresh
    service.installation.make_key("all", *SCOPES)
    service.installation.release(other_candidate)
    engine, files = service.installation.engine, service.installation.files
    publish(engine, files, "<p>page", name="card", title="Card", verdict="accepted", now_s=NOW_S)
    named = {}
    for name, other in (("rejected", train(seed=8)), ("challenger", train(seed=9))):
        staged = stage(files, other.contents, other.manifest)
        named[name] = bless(engine, staged, epoch=2).candidate
    for name in ("new", "won"):
        create(engine, files, Wish(name=name, **CALLS), by="Ada", reason="a test", now_s=NOW_S)
    started = Event(experiment="won", number=2, kind="started", actor="Ada", reason="a test", at_s=NOW_S, turn=1)
    append(engine, started)
    append(engine, msgspec.structs.replace(started, number=3, kind="promoted", turn=None))
    service.until(lambda: service.get("/models", key="all").status_code == 200)
    api = document(service)
    for path, method, operation in operations(api):
        service.until(lambda: service.get("/ab/config", key="all").json()["serves"])
        response = ask(service, path, method, "all", **named)
        assert response.status_code == 200
        media_type, content = next(iter(operation["responses"]["200"]["content"].items()))
        assert response.headers["content-type"].split(";")[0] == media_type
        if media_type == "application/json":
            assert set(response.json()) == set(follow(api, content["schema"])["properties"])
        without = ask(service, path, method, None)
        assert (without.status_code == 401) == ("security" in operation) == ("401" in operation["responses"])


def test_every_status_that_is_answered_is_documented(service: Service) -> None:
    paths = document(service)["paths"]
    problems = ProblemFields(document(service))
    for path, method, response in (
        ("/predict/{customer_id}", "get", service.get("/predict/nobody")),
        ("/predict/{customer_id}", "get", service.get("/predict/%7F")),
        ("/predict", "post", service.post("/predict", b"")),
        ("/predict", "post", service.post("/predict", b" " * 300_000)),
        ("/predict/batch", "post", service.post("/predict/batch", b"{}")),
    ):
        told = paths[path][method]["responses"][str(response.status_code)]
        assert list(told["content"]) == [response.headers["content-type"]]
        assert set(problem(response, response.status_code)) <= problems.names


class ProblemFields:
    """The fields of an error as documented."""

    def __init__(self, api: dict[str, Any]) -> None:
        self.names = set(api["components"]["schemas"]["ProblemDetails"]["properties"])


class References(HTMLParser):
    """Every address that a page makes a browser fetch or offers to open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses in attributes."""
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset", "data"}]


def test_the_page_needs_nothing_from_another_host(service: Service) -> None:
    response = service.get("/docs", key=None)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = References()
    page.feed(response.text)
    assert page.found == ["docs/openapi.json"]
    assert "//" not in re.sub(r"(?m)/\*.*?\*/", "", response.text).replace("<!doctype", "")
    assert "@import" not in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


@pytest.mark.parametrize("word", ["innerHTML", "outerHTML", "document.write", "insertAdjacentHTML", "eval("])
def test_the_page_never_puts_text_in_as_markup(service: Service, word: str) -> None:
    assert word not in service.get("/docs").text
