"""Hostile requests: every wrong one is a 4xx in the one form of all errors, names the place, and repeats no value."""

import gzip
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.routes import HTTPRoute

from churn_api.http.lanes import is_fast
from churn_api.predictions.service import Predictor
from churn_api.security.keys import SCOPES
from churn_api.telemetry.json_log import LOGGER, JsonLines
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem, refused_since
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

ROW = ONLINE_ROWS[0]
DEPTH = 100_000
CANARY = "canary-7f3a-mustermann"
CANARY_NUMBER = 918_273_645


def single(**changed: Any) -> bytes:
    """A right body but for some attributes."""
    return msgspec.json.encode({"attributes": {**ROW, **changed}})


def written(name: str, value: bytes) -> bytes:
    """A right body but for one attribute, whose value is written as it is."""
    return single(**{name: "PUT IT HERE"}).replace(b'"PUT IT HERE"', value)


def without(name: str) -> dict[str, Any]:
    return {"attributes": {other: value for other, value in ROW.items() if other != name}}


NAMED_ATTRIBUTES = {
    "missing number": (msgspec.json.encode(without("paid_2_cents")), "paid_2_cents", "missing"),
    "missing category": (msgspec.json.encode(without("plan")), "plan", "missing"),
    "missing nullable": (msgspec.json.encode(without("days_since_ticket")), "days_since_ticket", "or null"),
    "unknown": (single(paid_99_cents=1), "paid_99_cents", "not an input"),
    "unknown, long": (single(**{"x" * 5_000: 1}), "x" * 80, "not an input"),
    "below the range": (single(sessions_30d=-1), "sessions_30d", ">= 0"),
    "just below the range": (single(sessions_30d=-1e-9), "sessions_30d", ">= 0"),
    "above the range": (single(sessions_30d=1_000.5), "sessions_30d", "<= 1000"),
    "beyond float32": (written("paid_1_cents", b"1e39"), "paid_1_cents", "out of range"),
    "1e308": (written("paid_1_cents", b"1e308"), "paid_1_cents", "out of range"),
    "1e999": (written("paid_1_cents", b"1e999"), "paid_1_cents", "out of range"),
    "-1e999": (written("paid_1_cents", b"-1e999"), "paid_1_cents", "out of range"),
    "400 digits": (written("paid_1_cents", b"9" * 400), "paid_1_cents", "out of range"),
    "text for a number": (single(sessions_30d="5"), "sessions_30d", "found text"),
    "true for a number": (single(sessions_30d=True), "sessions_30d", "found true or false"),
    "a list for a number": (single(sessions_30d=[5]), "sessions_30d", "found a list"),
    "an object for a number": (single(sessions_30d={}), "sessions_30d", "found an object"),
    "null for a number": (single(sessions_30d=None), "sessions_30d", "found null"),
    "text for a nullable number": (single(days_since_ticket=""), "days_since_ticket", "or null"),
    "a number for a word": (single(plan=5), "plan", "found a number"),
    "a long word": (single(plan="x" * 257), "plan", "at most 256"),
    "deep in an attribute": (written("plan", b"[" * DEPTH), "plan", "found a list"),
    "twice": (written("sessions_30d", b'5,"sessions_30d":6'), "sessions_30d", "twice"),
    "twice, spelled otherwise": (written("sessions_30d", b'5,"sessions\\u005f30d":6'), "sessions_30d", "twice"),
    "twice, beside a colon": (written("plan", b'":","plan":":"'), "plan", "twice"),
}


@pytest.mark.parametrize("case", NAMED_ATTRIBUTES)
def test_a_wrong_attribute_is_named_with_what_was_expected(service: Service, case: str) -> None:
    body, name, said = NAMED_ATTRIBUTES[case]
    refused = problem(service.post("/predict", body), 400)
    (error,) = refused["errors"]
    assert name in error["path"]
    assert name in refused["detail"]
    assert said in refused["detail"]
    assert len(refused["detail"]) < 1_000


@pytest.mark.parametrize("case", NAMED_ATTRIBUTES)
def test_a_wrong_attribute_in_a_batch_names_the_record(service: Service, case: str) -> None:
    body, name, said = NAMED_ATTRIBUTES[case]
    records = b'{"records": [' + single() + b"," + single() + b"," + body + b"]}"
    (error,) = problem(service.post("/predict/batch", records), 400)["errors"]
    assert name in error["path"]
    assert said in error["detail"]
    if said != "twice":
        assert error["path"].startswith("records[2].attributes.")


NOT_A_PREDICTION = {
    "empty": b"",
    "white space": b" \n",
    "null": b"null",
    "a list": b"[" + single() + b"]",
    "a number": b"5",
    "text": b'"attributes"',
    "an empty object": b"{}",
    "attributes null": b'{"attributes": null}',
    "attributes a list": b'{"attributes": []}',
    "attributes empty": b'{"attributes": {}}',
    "attributes twice": b'{"attributes": {}, ' + single()[1:],
    "attributes twice, both right": single()[:-1] + b"," + single()[1:],
    "id twice": single()[:-1] + b',"customer_id":"a","customer_id":"b"}',
    "an unknown name": single()[:-1] + b',"debug":true}',
    "NaN": written("sessions_30d", b"NaN"),
    "Infinity": written("sessions_30d", b"Infinity"),
    "-Infinity": written("sessions_30d", b"-Infinity"),
    "hexadecimal": written("sessions_30d", b"0x10"),
    "a leading zero": written("sessions_30d", b"01"),
    "cut off": single()[:-5],
    "something behind": single() + single(),
    "a comma too many": single()[:-2] + b",}}",
    "a comment": b"/* */" + single(),
    "not UTF-8": written("plan", b'"\xff\xfe"'),
    "UTF-16": single().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + single(),
    "half a surrogate pair": written("plan", b'"\\ud800"'),
    "a raw control character": written("plan", b'"a\nb"'),
    "gzip": gzip.compress(single()),
    "a form": b"attributes=1&customer_id=2",
    "XML": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "deep lists": b"[" * DEPTH,
    "deep objects": b'{"a":' * (DEPTH // 5),
    "deep attributes": b'{"attributes":' * (DEPTH // 10),
    "deep in the id": single()[:-1] + b',"customer_id":' + b"[" * DEPTH,
    "an empty id": single()[:-1] + b',"customer_id":""}',
    "a long id": single()[:-1] + b',"customer_id":"' + b"x" * 257 + b'"}',
    "an id with NUL": single()[:-1] + b',"customer_id":"a\\u0000b"}',
    "an id with a line feed": single()[:-1] + b',"customer_id":"c1\\n"}',
    "a number as id": single()[:-1] + b',"customer_id":5}',
}


@pytest.mark.parametrize("case", NOT_A_PREDICTION)
def test_a_body_that_is_no_prediction_is_a_400(service: Service, case: str) -> None:
    refused = problem(service.post("/predict", NOT_A_PREDICTION[case]), 400)
    assert refused["type"] == "urn:churn:problem:malformed-request"
    assert refused["errors"]


def batch(**content: Any) -> bytes:
    return msgspec.json.encode(content)


NOT_A_BATCH = {
    "both": (batch(customer_ids=["c1"], records=[{"attributes": ROW}]), "", "both"),
    "neither": (batch(), "", "neither"),
    "no id": (batch(customer_ids=[]), "customer_ids", "at least 1"),
    "no record": (batch(records=[]), "records", "at least 1"),
    "too many ids": (batch(customer_ids=["c1"] * 10_001), "customer_ids", "10000"),
    "too many records": (b'{"records":[' + b",".join([single()] * 10_001) + b"]}", "records", "10000"),
    "null ids": (batch(customer_ids=None), "customer_ids", "expected a list"),
    "text for ids": (batch(customer_ids="c1"), "customer_ids", "expected a list"),
    "an object for records": (batch(records={"attributes": ROW}), "records", "expected a list"),
    "a number as id": (batch(customer_ids=["c1", 5]), "customer_ids[1]", "found a number"),
    "null as id": (batch(customer_ids=["c1", "c2", None]), "customer_ids[2]", "found null"),
    "an empty id": (batch(customer_ids=["c1", ""]), "customer_ids[1]", "1 to 256"),
    "a long id": (batch(customer_ids=["x" * 257]), "customer_ids[0]", "1 to 256"),
    "an id with a line feed": (batch(customer_ids=["c1\n"]), "customer_ids[0]", "control characters"),
    "an id with NUL": (batch(customer_ids=["c1", "a\0"]), "customer_ids[1]", "control characters"),
    "a record that is none": (batch(records=[{"attributes": ROW}, 7]), "records[1]", "expected an object"),
    "a record without attributes": (batch(records=[{"attributes": ROW}, {}]), "records[1].attributes", "missing"),
    "a record with more": (batch(records=[{"attributes": ROW, "x": 1}]), "records[0].x", "not expected"),
    "ids twice": (b'{"customer_ids":["c1"],"customer_ids":["c2"]}', "customer_ids", "twice"),
    "an unknown name": (batch(customers=["c1"]), "customers", "not expected"),
    "empty": (b"", "", "not JSON"),
    "a list": (b'["c1"]', "", "expected an object"),
    "deep": (b'{"records":' + b"[" * DEPTH, "records[0]", "expected an object"),
    "half a surrogate pair": (b'{"customer_ids":["\\ud800"]}', "", "not JSON"),
}


@pytest.mark.parametrize("case", NOT_A_BATCH)
def test_a_body_that_is_no_batch_is_a_400_that_names_the_place(service: Service, case: str) -> None:
    body, path, said = NOT_A_BATCH[case]
    (error,) = problem(service.post("/predict/batch", body), 400)["errors"]
    assert error["path"] == path
    assert said in error["detail"]


ADDRESSES = {
    "empty id": ("GET", b"/predict/", 405),
    "NUL": ("GET", b"/predict/%00", 400),
    "line feed": ("GET", b"/predict/c1%0a", 400),
    "delete": ("GET", b"/predict/%7f", 400),
    "too long": ("GET", b"/predict/" + b"x" * 257, 400),
    "much too long": ("GET", b"/predict/" + b"x" * 60_000, 400),
    "long in characters": ("GET", b"/predict/" + b"%C3%A4" * 256, 404),
    "slash": ("GET", b"/predict/a%2Fb", 404),
    "slash at the end": ("GET", b"/predict/c1%2F", 400),
    "slash at the start": ("GET", b"/predict/%2fc1", 400),
    "path upwards": ("GET", b"/predict/../health", 404),
    "path upwards, encoded": ("GET", b"/predict/%2e%2e", 404),
    "unicode": ("GET", b"/predict/%F0%9F%92%A9", 404),
    "right to left": ("GET", b"/predict/%E2%80%AE", 404),
    "not UTF-8": ("GET", b"/predict/%ff%fe", 404),
    "half a surrogate pair": ("GET", b"/predict/%ED%A0%80", 404),
    "encoded twice": ("GET", b"/predict/c%2531", 404),
    "SQL": ("GET", b"/predict/'%20OR%201=1%20--", 404),
    "the template": ("GET", b"/predict/{customer_id}", 404),
    "two segments": ("GET", b"/predict/c1/c2", 404),
    "unknown": ("GET", b"/nothing", 404),
    "root": ("GET", b"/", 404),
    "unknown, long": ("GET", b"/" + b"a/" * 20_000, 404),
    "POST for GET": ("POST", b"/predict/c1", 405),
    "GET for POST": ("GET", b"/predict", 405),
    "GET for a batch": ("GET", b"/predict/batch", 405),
    "PUT": ("PUT", b"/predict", 405),
    "DELETE": ("DELETE", b"/models", 405),
    "OPTIONS": ("OPTIONS", b"/predict/c1", 405),
    "TRACE": ("TRACE", b"/health", 405),
    "no method at all": ("BREW", b"/health", 405),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_address_that_leads_nowhere_is_a_4xx(service: Service, case: str) -> None:
    method, target, status = ADDRESSES[case]
    problem(service.raw(method, target), status)


@pytest.mark.parametrize("customer_id", ["x" * 256, "ä" * 256, "a b", "a%2525b", "'\"\\"])
def test_an_unusual_id_is_looked_up_like_any_other(service: Service, customer_id: str) -> None:
    by_batch = service.post("/predict/batch", {"customer_ids": [customer_id]}).json()["predictions"]
    assert by_batch[0]["customer_id"] == customer_id
    assert by_batch[0]["error"]["status"] == 404
    answered = service.post("/predict", {"attributes": ROW, "customer_id": customer_id})
    assert answered.json()["customer_id"] == customer_id


LIMITS = [("/predict", 256 * 1024), ("/predict/batch", 16 * 1024 * 1024)]


@pytest.mark.parametrize(("path", "limit"), LIMITS)
def test_a_body_above_the_limit_is_a_413(service: Service, path: str, limit: int) -> None:
    assert f"{limit:,}" in problem(service.post(path, b"[" + b" " * limit), 413)["detail"]
    problem(service.post(path, b" " * limit), 400)


def test_a_body_without_an_announced_length_is_read_no_further_than_the_limit(service: Service) -> None:
    parts = [b" " * 100_000] * 3 + [b"never read"] * 100
    problem(service.raw("POST", b"/predict", *parts), 413)


def test_a_body_in_many_parts_is_put_together(service: Service) -> None:
    body = single()
    parts = [body[i : i + 7] for i in range(0, len(body), 7)]
    assert service.raw("POST", b"/predict", *parts).status_code == 200


@pytest.mark.parametrize("length", ["-1", "999999999999999999999999", "1e9", "²", ""])
def test_a_strange_announced_length_does_no_harm(service: Service, length: str) -> None:
    headers = (*service.key_header("both").items(), ("content-length", length))
    response = service.raw("POST", b"/predict", single(), headers=headers)
    assert response.status_code in {200, 413}


FLOODS: dict[str, list[Any]] = {
    "many headers": [(f"x-{i}", "y" * 100) for i in range(5_000)],
    "a long header": [("x-long", "y" * 1_000_000)],
    "many request ids": [("x-request-id", f"id-{i}") for i in range(1_000)],
    "a long request id": [("x-request-id", "y" * 1_000_000)],
    "bytes": [(b"x-bytes", bytes(range(256)))],
    "an empty name": [("", "")],
    "many cookies": [("cookie", f"a{i}=b") for i in range(1_000)],
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_of_headers_changes_nothing(service: Service, case: str) -> None:
    flood = tuple(FLOODS[case])
    answered = service.raw("GET", b"/predict/c1", headers=(*service.key_header("both").items(), *flood))
    assert answered.json()["customer_id"] == "c1"
    problem(service.raw("GET", b"/predict/c1", headers=flood), 401)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
names = st.sampled_from([*ROW, "attributes", "customer_id", "customer_ids", "records"]) | st.text(max_size=8)
nearly_right = st.dictionaries(names, json_values, max_size=3).map(lambda changed: {"attributes": {**ROW, **changed}})
fuzzed = settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def answers_or_refuses(service: Service, path: str, body: Any) -> None:
    response = service.post(path, body)
    if response.status_code != 200:
        assert response.status_code < 500
        problem(response, response.status_code)


@fuzzed
@given(body=json_values | nearly_right | st.dictionaries(names, json_values, max_size=4))
def test_no_json_makes_a_prediction_fail(service: Service, body: Any) -> None:
    answers_or_refuses(service, "/predict", body)


@fuzzed
@given(body=st.dictionaries(names, st.lists(json_values | nearly_right | st.text(max_size=9), max_size=4), max_size=2))
def test_no_json_makes_a_batch_fail(service: Service, body: Any) -> None:
    answers_or_refuses(service, "/predict/batch", body)


@fuzzed
@given(body=st.binary(max_size=200), where=st.integers(0, len(single())), drop=st.integers(0, 50))
def test_no_bytes_make_a_prediction_fail(service: Service, body: bytes, where: int, drop: int) -> None:
    right = single()
    answers_or_refuses(service, "/predict", right[:where] + body + right[where + drop :])


@fuzzed
@given(customer_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_no_id_makes_a_prediction_fail(service: Service, customer_id: str) -> None:
    target = b"/predict/" + b"".join(b"%%%02X" % byte for byte in customer_id.encode())
    response = service.raw("GET", target)
    assert 400 <= response.status_code < 500
    problem(response, response.status_code)


def ordinary_routes(app: Litestar) -> list[tuple[str, str]]:
    """Method and address of every route that Litestar itself calls."""
    return sorted(
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "scope" in handler.opt and not is_fast(handler)
        for method in handler.http_methods - {"OPTIONS"}
    )


@pytest.mark.parametrize("path", ["/health", "/docs", "/models", "/predict"])
def test_the_options_that_litestar_adds_are_not_answered(service: Service, path: str) -> None:
    problem(service.raw("OPTIONS", path.encode()), 405)


def hostile_decision(named: bytes) -> dict[str, bytes]:
    """Bodies of a decision about what ``named`` names, as ``"candidate": "x"``."""
    return {
        "a name twice": b"{" + named + b", " + named + b', "reason": "x"}',
        "text for a number": b"{" + named + b', "reason": "x", "read_epoch": "1"}',
        "a number for text": b"{" + named + b', "reason": 1}',
        "NUL": b"{" + named + b', "reason": "a\\u0000b"}',
        "an unknown name": b"{" + named + b', "reason": "x", "canary-7f3a-mustermann": 1}',
        "deep": b"[" * DEPTH,
        "deep in a value": b"{" + named + b', "reason": ' + b"[" * DEPTH,
        "not UTF-8": b"{" + named + b', "reason": "\xff"}',
        "empty": b"",
    }


ANSWERED = b'{"customer_id": "c1", "survey": "s", "idempotency_key": "k", "answers": %s}'
TREATED = b'{"customer_id": "c1", "assigned": "2026-01-01", %s}'
PLANNED = b'{"name": "n", "subject": "actions", "metric": "retention", "effect": 0.05, "deviation": 0.3, "reason": "x", %s}'
HOSTILE_REASONS = {
    "no reason": b"{}",
    "an empty reason": b'{"reason": ""}',
    "a name twice": b'{"reason": "x", "reason": "y"}',
    "NUL": b'{"reason": "a\\u0000b"}',
    "an unknown name": b'{"reason": "x", "canary-7f3a-mustermann": 1}',
    "not UTF-8": b'{"reason": "\xff"}',
    "deep": b"[" * DEPTH,
    "deep in a value": b'{"reason": ' + b"[" * DEPTH,
    "empty": b"",
}

HOSTILE_BODIES = {
    ("POST", "/releases/approve"): hostile_decision(b'"candidate": "canary-7f3a-mustermann"'),
    ("POST", "/releases/reject"): {
        case: body
        for case, body in hostile_decision(b'"candidate": "canary-7f3a-mustermann"').items()
        if case != "text for a number"
    },
    ("PUT", "/ab/config"): hostile_decision(b'"challenger": null'),
    ("PUT", "/monitoring/baseline"): hostile_decision(b'"baseline": null'),
    ("POST", "/releases/rollback"): {
        "text for a number": b'{"reason": "x", "to_epoch": "1"}',
        "a name twice": b'{"reason": "x", "to_epoch": 1, "to_epoch": 2}',
        "a name twice, spelled otherwise": b'{"reason": "x", "to_epoch": 1, "to\\u005fepoch": 2}',
        "NUL": b'{"reason": "a\\u0000b"}',
        "an unknown name": b'{"reason": "x", "canary-7f3a-mustermann": 1}',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"reason": ' + b"[" * DEPTH,
        "not UTF-8": b'{"reason": "\xff"}',
        "empty": b"",
    },
    ("POST", "/validate"): {
        "text for the records": b'{"records": "1"}',
        "a name twice": b'{"records": [{}], "records": [{}]}',
        "NUL": b'{"records\\u0000": [{}]}',
        "an unknown name": b'{"records": [{}], "customers": 1}',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"records": ' + b"[" * DEPTH,
        "empty": b"",
    },
    ("POST", "/outcomes"): {
        "not an object": b'"x"',
        "no list": b'{"outcomes": {}}',
        "no outcome": b'{"outcomes": []}',
        "outcomes twice": b'{"outcomes": [], "outcomes": [{"customer_id": "c1", "churned": true}]}',
        "an unknown name": b'{"customer_id": "c1", "churned": true, "canary-7f3a-mustermann": 1}',
        "a name twice": b'{"customer_id": "c1", "churned": true, "churned": false}',
        "a number for truth": b'{"customer_id": "c1", "churned": 1}',
        "NUL": b'{"customer_id": "c1\\u0000", "churned": true}',
        "not UTF-8": b'{"customer_id": "\xff", "churned": true}',
        "half a letter": b'{"customer_id": "\\ud800", "churned": true}',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"outcomes": ' + b"[" * DEPTH,
        "empty": b"",
    },
    ("POST", "/treatments"): {
        "not an object": b'"x"',
        "no list": b'{"treatments": {}}',
        "no treatment": b'{"treatments": []}',
        "treatments twice": b'{"treatments": [], "treatments": [{"customer_id": "c1", "assigned": "2026-01-01"}]}',
        "an unknown name": TREATED % b'"canary-7f3a-mustermann": 1',
        "a name twice": TREATED % b'"treated": true, "treated": false',
        "a number for truth": TREATED % b'"treated": 1',
        "text for a number": TREATED % b'"propensity": "0.5"',
        "a number beyond all": TREATED % b'"propensity": 1e400',
        "no number": TREATED % b'"propensity": NaN',
        "nobody can be held out": TREATED % b'"treated": false, "propensity": 1',
        "a chance of nothing": TREATED % b'"propensity": 0',
        "NUL": TREATED % b'"offer": "a\\u0000"',
        "not UTF-8": TREATED % b'"offer": "\xff"',
        "half a letter": TREATED % b'"offer": "\\ud800"',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"treatments": ' + b"[" * DEPTH,
        "empty": b"",
    },
    ("POST", "/survey/submit"): {
        "not an object": b'"x"',
        "no answers": ANSWERED % b"[]",
        "an answer that is a list": ANSWERED % b'[{"question": "q", "answer": ["canary-7f3a-mustermann"]}]',
        "a number beyond all": ANSWERED % b'[{"question": "q", "answer": 1e400}]',
        "a question twice": ANSWERED % b'[{"question": "q", "answer": 1}, {"question": "q", "answer": 2}]',
        "an unknown name": ANSWERED % b'[{"question": "q", "answer": 1, "canary-7f3a-mustermann": 1}]',
        "a name twice": ANSWERED % b'[{"question": "q", "answer": 1, "answer": 2}]',
        "NUL": ANSWERED % b'[{"question": "q", "answer": "a\\u0000"}]',
        "not UTF-8": ANSWERED % b'[{"question": "q", "answer": "\xff"}]',
        "half a letter": ANSWERED % b'[{"question": "q", "answer": "\\ud800"}]',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"answers": ' + b"[" * DEPTH,
        "empty": b"",
    },
    ("POST", "/experiments"): {
        "not an object": b'"x"',
        "text for a number": PLANNED % b'"share": "0.5"',
        "a number beyond all": PLANNED % b'"share": 1e400',
        "a share of nobody": PLANNED % b'"share": 0',
        "a name twice": PLANNED % b'"share": 0.5, "share": 0.4',
        "an unknown name": PLANNED % b'"canary-7f3a-mustermann": 1',
        "a header that is none": PLANNED % b'"unit": "canary-7f3a-mustermann\\r\\nx"',
        "NUL": PLANNED % b'"challenger": "a\\u0000b"',
        "not UTF-8": PLANNED % b'"challenger": "\xff"',
        "deep": b"[" * DEPTH,
        "deep in a value": b'{"guard_rails": ' + b"[" * DEPTH,
        "empty": b"",
    },
    ("POST", "/experiments/{name}/start"): {**HOSTILE_REASONS, "text for truth": b'{"reason": "x", "override": "true"}'},
    ("POST", "/experiments/{name}/stop"): HOSTILE_REASONS,
    ("POST", "/experiments/{name}/promote"): {**HOSTILE_REASONS, "text for truth": b'{"reason": "x", "override": "true"}'},
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[Service]:
    """A service with a key for everything."""
    with Installation.make(tmp_path_factory.mktemp("hostile")) as made:
        made.make_key("all", *SCOPES)
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            yield service


def refused_once(service: Service, method: str, path: str, target: bytes, body: bytes) -> dict[str, Any]:
    """The problem that a request is refused with; it is counted once, and repeats nothing."""
    before = service.metric("churn_requests_total", method=method, route=path, status="400")
    all_before = service.metric("churn_requests_total")
    response = service.raw(method, target, body, headers=tuple(service.key_header("all").items()))
    refused = problem(response, 400)
    assert service.metric("churn_requests_total", method=method, route=path, status="400") == before + 1
    assert service.metric("churn_requests_total") == all_before + 3  # and two readings of the metrics
    assert CANARY not in response.text
    return refused


def test_every_ordinary_route_with_a_body_is_sent_hostile_ones(hostile: Service) -> None:
    paths = hostile.get("/docs/openapi.json").json()["paths"]
    ordinary = {(method, path) for method, path in ordinary_routes(hostile.app) if path in paths}
    assert {(method, path) for method, path in ordinary if "requestBody" in paths[path][method.lower()]} == set(
        HOSTILE_BODIES
    )


@pytest.mark.parametrize(("route", "case"), [(route, case) for route, bodies in HOSTILE_BODIES.items() for case in bodies])
def test_a_hostile_body_of_an_ordinary_route_is_a_400_counted_once(
    hostile: Service, route: tuple[str, str], case: str
) -> None:
    method, path = route
    refused = refused_once(hostile, method, path, path.encode(), HOSTILE_BODIES[route][case])
    assert refused["type"] == "urn:churn:problem:malformed-request"
    assert refused["errors"]
    assert hostile.installation.newest_epoch() == 1


@pytest.mark.parametrize("query", ["x=1", "x", f"{CANARY}={CANARY}", "%00=1", "x=%00", "reason=1&reason=2"])
def test_a_query_that_an_ordinary_route_does_not_know_is_a_400_counted_once(hostile: Service, query: str) -> None:
    for method, path in ordinary_routes(hostile.app):
        refused = refused_once(hostile, method, path, f"{path}?{query}".encode(), b"")
        assert "query" in refused["detail"]


def test_nul_in_an_address_leads_nowhere_and_is_counted_once(hostile: Service) -> None:
    for method, path in ordinary_routes(hostile.app):
        near = "/customers/{customer_id}" if path == "/customers/infos" else path  # with more letters it is an id
        route, status = (
            (near, 400) if near.endswith("}") else ("unmatched", 404)
        )  # a parameter may have any text but this one
        before = hostile.metric("churn_requests_total", route=route)
        problem(hostile.raw(method, path.encode() + b"%00"), status)
        assert hostile.metric("churn_requests_total", route=route) == before + 1


def test_an_ordinary_body_above_the_limit_is_a_413_counted_once(hostile: Service) -> None:
    before = hostile.metric("churn_requests_total")
    problem(hostile.post("/releases/rollback", b" " * (256 * 1024 + 1), key="all"), 413)
    problem(hostile.post("/validate", b" " * (16 * 1024 * 1024 + 1), key="all"), 413)
    assert hostile.metric("churn_requests_total") == before + 3


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    """The service's own log lines in the form that `churn serve` writes them."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    root, level = logging.getLogger(), LOGGER.level
    root.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        LOGGER.setLevel(level)


WITH_CANARY = {
    "unknown id": ("GET", f"/predict/{CANARY}", b""),
    "malformed id": ("GET", f"/predict/{CANARY}%00", b""),
    "unknown address": ("GET", f"/customers/{CANARY}", b""),
    "wrong method": ("DELETE", f"/predict/{CANARY}", b""),
    "query": ("GET", f"/nothing?customer={CANARY}", b""),
    "text for a number": ("POST", "/predict", single(sessions_30d=CANARY)),
    "out of range": ("POST", "/predict", single(sessions_30d=CANARY_NUMBER)),
    "a long word": ("POST", "/predict", single(plan=CANARY * 20)),
    "cut off": ("POST", "/predict", single(plan=CANARY)[:-1]),
    "malformed id in the body": ("POST", "/predict", single()[:-1] + f',"customer_id":"{CANARY}\\u0000"}}'.encode()),
    "twice": ("POST", "/predict", written("plan", f'"{CANARY}","plan":"{CANARY}"'.encode())),
    "an id in a list": ("POST", "/predict/batch", batch(customer_ids=[CANARY, CANARY + "\0"])),
    "ids as text": ("POST", "/predict/batch", batch(customer_ids=CANARY)),
    "a word in a record": ("POST", "/predict/batch", batch(records=[{"attributes": {**ROW, "sessions_30d": CANARY}}])),
}


@pytest.mark.parametrize("case", WITH_CANARY)
def test_no_error_repeats_an_id_or_a_value(service: Service, case: str) -> None:
    method, target, body = WITH_CANARY[case]
    response = service.raw(method, target.encode(), body)
    assert 400 <= response.status_code < 500
    assert CANARY not in response.text
    assert str(CANARY_NUMBER) not in response.text
    assert CANARY not in str(response.headers)


def test_no_log_line_and_no_metric_names_a_customer_or_a_value(
    tmp_path: Path,
    candidate: Candidate,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError(f"the row of {CANARY} with {CANARY_NUMBER}")

    right = msgspec.json.encode({"attributes": {**ROW, "plan": CANARY}, "customer_id": CANARY})
    began = datetime.now(UTC)
    with Installation.make(tmp_path, access_log_share=1.0, ship_s=0.05) as installed, log_lines() as said:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            for method, target, body in WITH_CANARY.values():
                service.raw(method, target.encode(), body)
            sent = (*service.key_header("both").items(), ("x-request-id", CANARY), ("user-agent", CANARY))
            assert service.raw("POST", b"/predict", right, headers=sent).status_code == 200
            assert service.raw("POST", b"/predict", right, headers=(("x-api-key", CANARY),)).status_code == 401
            assert service.post("/predict/batch", b'{"records": [' + right + b"]}").status_code == 200
            monkeypatch.setattr(Predictor, "one", fail)
            failed = problem(service.raw("POST", b"/predict", right), 500)
            metrics = service.get("/metrics").text
            service.until(installed.logged)
    out, err = capfd.readouterr()
    lines = [msgspec.json.decode(line) for line in (out + said.getvalue()).splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("request") >= len(WITH_CANARY) + 2  # without a key, or at no route, it is counted and not logged
    assert "release_serves" in events
    assert len(refused_since(began, lines)) == 1
    (internal,) = (line for line in lines if line["event"] == "request_failed")
    assert internal["error"].startswith("RuntimeError at test_hostile_requests.py:")
    for text in (out, err, said.getvalue(), metrics, str(failed)):
        assert CANARY not in text
        assert str(CANARY_NUMBER) not in text


def test_a_text_with_a_nul_is_refused_in_every_attribute(service: Service) -> None:
    row = {**ONLINE_ROWS[0], "plan": "a\0b"}
    one = problem(service.post("/predict", {"attributes": row}), 400)
    many = problem(service.post("/predict/batch", {"records": [{"attributes": ONLINE_ROWS[0]}, {"attributes": row}]}), 400)
    for refused, path in ((one, "attributes.plan"), (many, "records[1].attributes.plan")):
        assert refused["errors"][0]["path"] == path
        assert "U+0000" in refused["detail"]
    harmless = {**ONLINE_ROWS[0], "plan": "a\\u0000b"}
    assert service.post("/predict", {"attributes": harmless}).status_code == 200
