"""Traces: a span for each request at a real collector, with nothing of a customer, and a collector that is away costs no answer."""

import http.client
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from churn_api.settings import ServiceSettings
from tests.api.collector import Collector, collecting, hanging, nowhere
from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import CHURN, Process, serving
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "secret=mustermann", "baggage": "name=mustermann"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
BODY = {"customer_id": "mustermann", "attributes": ONLINE_ROWS[0]}


@pytest.fixture
def released(installation: Installation, candidate: Candidate) -> Installation:
    installation.release(candidate)
    installation.put_online()
    return installation


def send(process: Process, method: str, path: str, *, key: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = process.connect()
    try:
        sent = {**({"X-API-Key": key} if key else {}), **headers}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def until(reached: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.05)
    return found


def named(collector: Collector, name: str, status: int) -> Any:
    """The newest span of a name and a status, once it has arrived."""

    def found() -> Any:
        spans = [
            one for one in collector.spans if (one.name, one.attributes["http.response.status_code"]) == (name, status)
        ]
        return spans[-1:]

    return until(found)[0]


def test_each_request_has_one_span_in_the_trace_of_its_caller_and_nothing_of_a_customer(released: Installation) -> None:
    key = released.keys["both"].key
    with collecting() as collector, serving(released.home, CHURN_SERVICE__OTEL_ENDPOINT=collector.endpoint) as process:
        process.until("/health/ready", 200)
        status, answer = send(process, "POST", "/predict", key=key, body=BODY, **CALLER)
        assert status == 200
        fast = named(collector, "POST /predict", 200)
        assert (fast.trace, fast.parent) == (TRACE, PARENT)
        assert fast.attributes == {
            "http.request.method": "POST",
            "http.route": "/predict",
            "http.response.status_code": 200,
            "churn.request_id": answer["prediction_id"],
            "churn.release": answer["model"]["release"][:12],
        }
        assert (fast.resource["service.name"], fast.resource["churn.worker"]) == ("churn-api", 1)

        assert send(process, "GET", "/customers/mustermann?limit=7", key=key, **CALLER)[0] == 404
        ordinary = named(collector, "GET /customers/{customer_id}", 404)
        assert (ordinary.trace, ordinary.parent) == (TRACE, PARENT)
        assert set(ordinary.attributes) == {
            "http.request.method", "http.route", "http.response.status_code", "churn.request_id"
        }  # fmt: skip
        assert ordinary.resource == fast.resource

        assert send(process, "GET", "/predict/mustermann", key=key)[0] == 404
        own = named(collector, "GET /predict/{customer_id}", 404)
        assert (own.parent, own.trace == TRACE) == ("", False)
        assert send(process, "GET", "/customers/mustermann", key="", **CALLER)[0] == 401
        assert named(collector, "GET /customers/{customer_id}", 401).trace == TRACE

        before = len(collector.spans)
        for path in ("/predict/mustermann", "/customers/mustermann"):
            send(process, "GET", path, key=key, **NOT_SAMPLED)
        assert send(process, "GET", "/customers/mustermann", key=key, traceparent="mustermann")[0] == 404
        until(lambda: len(collector.spans) > before)
        assert process.stop() == -signal.SIGTERM
        spans = len(collector.spans)
    assert spans == before + 1
    assert all(b"mustermann" not in body for body in collector.bodies)
    assert all(key.encode() not in body and b"127.0.0.1" not in body for body in collector.bodies)


@pytest.mark.parametrize("collector", ["away", "hanging"])
def test_a_collector_that_does_not_answer_costs_no_answer_and_no_time_at_the_end(
    released: Installation, collector: str
) -> None:
    key = released.keys["both"].key
    with hanging() as listening:
        endpoint = nowhere() if collector == "away" else listening
        with serving(released.home, CHURN_SERVICE__OTEL_ENDPOINT=endpoint) as process:
            process.until("/health/ready", 200)
            end = time.monotonic() + 6.0  # several attempts of the exporter
            while time.monotonic() < end:
                assert process.ask("/predict", key=key, body=BODY)[0] == 200
                assert process.ask("/status", key=key)[0] == 200
                time.sleep(0.05)
            line = process.wait_for("traces_not_exported")
            assert (line["level"], line["collector"]) == ("warning", endpoint.removeprefix("http://"))
            connection = process.connect()
            connection.request("GET", "/metrics", headers={"X-API-Key": key})
            lost = [line for line in connection.getresponse().read().decode().splitlines() if 'outcome="lost"' in line]
            assert float(lost[0].split()[-1]) > 0
            connection.close()
            assert process.ask("/predict", key=key, body=BODY)[0] == 200  # something waits at the end
            asked = time.monotonic()
            assert process.stop() == -signal.SIGTERM
            assert time.monotonic() - asked < 10.0
            said = (process.lines, process._read.queue, (released.home / "serve.err").read_text())
    text = str(said)
    assert text.count("traces_not_exported") == 1
    assert "Traceback" not in text
    assert "opentelemetry" not in text


def test_each_worker_hands_in_its_own_spans(released: Installation) -> None:
    key = released.keys["both"].key
    command = (CHURN, "serve", "--workers", "2")
    with (
        collecting() as collector,
        serving(released.home, command=command, CHURN_SERVICE__OTEL_ENDPOINT=collector.endpoint) as process,
    ):
        for _ in range(2):
            process.wait_for("worker_ready", within_s=60)

        def both() -> bool:
            try:
                process.ask("/status", key=key)
            except (OSError, http.client.HTTPException):
                return False
            return {span.resource["churn.worker"] for span in collector.spans} == {1, 2}

        until(both)
        assert process.stop() == -signal.SIGTERM
    instances = {(span.resource["churn.worker"], span.resource["service.instance.id"]) for span in collector.spans}
    assert len(instances) == 2
    assert len({instance for _, instance in instances}) == 2


@pytest.mark.parametrize("is_traced", [False, True])
def test_opentelemetry_is_loaded_only_where_there_is_a_collector(released: Installation, is_traced: bool) -> None:
    key = released.keys["both"].key
    told = {"CHURN_SERVICE__OTEL_ENDPOINT": nowhere()} if is_traced else {}
    command = (sys.executable, "-X", "importtime", CHURN, "serve")
    with serving(released.home, command=command, **told) as process:
        process.until("/health/ready", 200)
        for path in ("/predict/c0", "/status"):
            assert process.ask(path, key=key)[0] == 200
    imported = (released.home / "serve.err").read_text()
    assert "churn_api.http.middleware" in imported
    assert ("opentelemetry" in imported) is is_traced


@pytest.mark.parametrize("wrong", ["collector:4318", "ftp://x", "http://ada:secret@x", "http://x/?a=b", "http://"])
def test_an_address_that_is_no_collector_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an address like http://collector:4318"):
        ServiceSettings(otel_endpoint=wrong)
