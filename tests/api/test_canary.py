"""A value that is sent in every field of every documented route, valid and not, is in no error, log line, metric, trace or row of the audit."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
import sqlalchemy as sa

from churn_api.security.keys import SCOPES
from churn_store.database.schema import audit_log
from tests.api.collector import collecting
from tests.api.conftest import Installation, Service
from tests.api.test_hostile_requests import log_lines
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

CANARY = "canary-93d1-mustermann"
NUMBER = 736_251_984
TRACE = (
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", f"a={CANARY}"),
    ("baggage", f"a={CANARY}"),
)
UNKNOWN = "an_unknown_name"
"""Names are no customer's: a refusal may repeat the name of a column that the release does not take."""

WRONG: tuple[Any, ...] = (CANARY, f"{CANARY}\0", CANARY * 40, NUMBER, -NUMBER, [CANARY], {UNKNOWN: CANARY}, None)
"""What is put in place of each value of a body."""


DECISIONS = ("/releases/", "/ab/config", "/monitoring/baseline")
"""Routes whose errors tell of the row that serves, with the reason that somebody gave for it."""

CSV = (
    f"{UNKNOWN},b\n{CANARY},{CANARY}\n",
    f'customer_id,churned\n"{CANARY}',
    f"customer_id\n{CANARY}\n",
    f"customer_id,churned\n{CANARY},{CANARY}\n{CANARY},true,{CANARY}\n",
    f"{CANARY}\0",
)


@dataclass(frozen=True)
class Sent:
    """A request with the canary."""

    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def follow(api: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]
    return schema


def valid(api: dict[str, Any], schema: dict[str, Any]) -> list[Any]:
    """Values that a schema takes, with the canary wherever a text may stand; one for each alternative."""
    schema = follow(api, schema)
    for kinds in (schema.get("anyOf"), schema.get("oneOf")):
        if kinds:
            return [value for kind in kinds if kind.get("type") != "null" for value in valid(api, kind)]
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        full = {name: valid(api, inner)[0] for name, inner in schema.get("properties", {}).items()}
        needed = {name: full[name] for name in schema.get("required", ())}
        alternatives = [{**needed, name: full[name]} for name in full if name not in needed]
        return [full, *alternatives, needed]
    if kind == "array":
        return [[valid(api, schema["items"])[0]]]
    if kind in {"number", "integer"}:
        return [min(max(NUMBER, schema.get("minimum", NUMBER)), schema.get("maximum", NUMBER))]
    return [True] if kind == "boolean" else [CANARY]


def spoiled(value: Any) -> Iterator[Any]:
    """A body with each of its values replaced in turn, and with a name that nobody knows."""
    yield from WRONG
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, one in list(inner):
        for other in spoiled(one):
            changed = copy.copy(value)
            changed[place] = other
            yield changed
    if isinstance(value, dict):
        yield {**value, UNKNOWN: CANARY}


def requests(api: dict[str, Any]) -> Iterator[Sent]:
    """Every field of every route: addresses, queries, headers and bodies."""
    for path, item in api["paths"].items():
        for method, operation in item.items():
            parameters = operation.get("parameters", [])
            names = {
                place: [one["name"] for one in parameters if one["in"] == place] for place in ("path", "query", "header")
            }
            media = operation.get("requestBody", {}).get("content", {})
            plain = path
            for name in names["path"]:
                plain = plain.replace(f"{{{name}}}", "c1")
            yield from in_address(method.upper(), path, plain, names)
            bodies = valid(api, media["application/json"]["schema"]) if media else []
            yield from in_body(method.upper(), plain, bodies, with_csv="text/csv" in media)
            for name in names["header"]:
                for text in (CANARY, f"{CANARY} {CANARY}", CANARY * 40):
                    yield Sent(method.upper(), plain, msgspec.json.encode(bodies[0]), ((name, text),))


def in_address(method: str, path: str, plain: str, names: dict[str, list[str]]) -> Iterator[Sent]:
    for name in names["path"]:
        for text in (CANARY, f"{CANARY}\x7f", CANARY * 40, f"{CANARY}/{CANARY}"):
            yield Sent(method, path.replace(f"{{{name}}}", quote(text, safe="")))
    for text in (CANARY, f"{CANARY}\0", str(NUMBER), ""):
        for name in (*names["query"], UNKNOWN):
            yield Sent(method, f"{plain}?{urlencode({name: text})}")


def in_body(method: str, plain: str, bodies: list[Any], *, with_csv: bool) -> Iterator[Sent]:
    for body in bodies:
        yield Sent(method, plain, msgspec.json.encode(body))
        yield Sent(method, plain, msgspec.json.encode(body)[:-1])
        for other in spoiled(body):
            yield Sent(method, plain, msgspec.json.encode(other))
    if bodies:
        yield Sent(method, plain, CANARY.encode())
    if with_csv:
        for csv in CSV:
            yield Sent(method, plain, csv.encode(), (("content-type", "text/csv"),))
        yield Sent(method, plain, b"x", (("content-type", f"text/csv; charset={CANARY}"),))


def test_what_is_sent_in_any_field_stays_between_the_caller_and_the_answer(
    tmp_path: Path, candidate: Candidate, other_candidate: Candidate, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        collecting() as collector,
        Installation.make(tmp_path, access_log_share=1.0, ship_s=0.05, otel_endpoint=collector.endpoint) as installed,
        log_lines() as said,
    ):
        installed.make_key("all", *SCOPES)
        installed.release(candidate)
        installed.release(other_candidate)
        installed.put_online()
        with installed.serve() as service:
            statuses = send_all(service)
            metrics = service.get("/metrics", key="all").text
        with installed.engine.connect() as connection:
            audit = [str(dict(row._mapping)) for row in connection.execute(sa.select(audit_log))]
    out, err = capfd.readouterr()
    lines = said.getvalue() + out + err
    assert len(lines.splitlines()) > len(statuses) / 2
    assert len(audit) > 20
    assert len(collector.spans) > len(statuses) / 2
    assert {span.name for span in collector.spans} >= {
        "POST /predict",
        "GET /customers/{customer_id}",
        "POST /outcomes",
        "POST /treatments",
    }
    assert {200, 400, 404} <= set(statuses)
    assert 500 not in statuses
    traces = [str(collector.spans), *(body.decode("latin-1") for body in collector.bodies)]
    for text in (lines, metrics, *audit, *traces):
        assert CANARY not in text
        assert str(NUMBER) not in text


def send_all(service: Service) -> list[int]:
    """Send every request, with the canary in what a caller's trace may carry; no error repeats what was sent."""
    api = service.get("/docs/openapi.json", key=None).json()
    statuses = []
    for sent in requests(api):
        headers = [*service.key_header("all").items(), *TRACE, *sent.headers]
        response = service.raw(sent.method, sent.target.encode("ascii"), sent.body, headers=tuple(headers))
        statuses.append(response.status_code)
        told = str(response.headers)
        if response.status_code >= 400 and not sent.target.startswith(DECISIONS):
            told += response.text
        assert CANARY not in told, (sent, told)
        assert str(NUMBER) not in told, (sent, told)
    return statuses
