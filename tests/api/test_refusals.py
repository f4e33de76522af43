"""Requests without a usable key: counted by address and minute, not logged one by one."""

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from churn_api.telemetry import refusals as module
from churn_api.telemetry.line_writer import LineWriter
from churn_api.telemetry.refusals import MOST_ADDRESSES, OTHERS, Refusals
from tests.api.conftest import Installation, Service, problem, refused_since
from tests.release_factory import Candidate


def lines_of(file: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]


def counted(tmp_path: Path, asked: list[tuple[str, int]]) -> list[dict[str, object]]:
    """The lines of one minute."""
    file = tmp_path / "lines"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)

    async def run() -> None:
        refusals = Refusals(writer)
        for address, status in asked:
            refusals.count(address, status)
        refusals.flush()
        refusals.flush()

    asyncio.run(run())
    writer.close()
    os.close(descriptor)
    return lines_of(file)


def test_an_address_gets_one_line_with_its_counts_by_status(tmp_path: Path) -> None:
    first, second = counted(tmp_path, [("10.0.0.1", 401)] * 500 + [("10.0.0.1", 404)] * 3 + [("::1", 431)])
    assert (first["event"], first["address"], first["requests"]) == ("refused", "10.0.0.1", 503)
    assert first["statuses"] == {"401": 500, "404": 3}
    assert (second["address"], second["requests"], second["statuses"]) == ("::1", 1, {"431": 1})


def test_the_addresses_of_a_minute_are_bounded_and_none_of_their_requests_is_lost(tmp_path: Path) -> None:
    lines = counted(tmp_path, [(f"10.0.{i // 256}.{i % 256}", 401) for i in range(MOST_ADDRESSES + 500)] * 2)
    assert len(lines) == MOST_ADDRESSES + 1
    assert {line["requests"] for line in lines if line["address"] != OTHERS} == {2}
    assert [line["requests"] for line in lines if line["address"] == OTHERS] == [1_000]


def test_a_line_comes_by_itself_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    read, write = os.pipe()
    writer = LineWriter(write)

    async def run() -> None:
        refusals = Refusals(writer)
        for _ in range(3):
            refusals.count("a", 401)
            refusals.count("a", 401)
            await asyncio.sleep(0.2)

    asyncio.run(run())
    writer.close()
    os.close(write)
    received = os.read(read, 1 << 16)
    os.close(read)
    assert [msgspec.json.decode(line)["requests"] for line in received.splitlines()] == [2, 2, 2]


def test_the_service_logs_no_refused_request_by_itself_and_every_error_of_a_known_key(
    tmp_path: Path, candidate: Candidate, capfd: pytest.CaptureFixture[str]
) -> None:
    began = datetime.now(UTC)
    with Installation.make(tmp_path) as installed:
        installed.release(candidate)
        installed.put_online()
        expired = installed.make_key("expired", "predict", days_ago=2, expires_days=1)
        with installed.serve() as service:
            _refused(service, expired.key)
            for _ in range(5):
                problem(service.get("/predict/nobody"), 404)
            before = time.monotonic()
    out, _ = capfd.readouterr()
    lines = [msgspec.json.decode(line) for line in out.splitlines() if line.startswith("{")]
    assert [(line["status"], line["route"]) for line in lines if line["event"] == "request"] == [
        (404, "/predict/{customer_id}")
    ] * 5
    (refused,) = refused_since(began, lines)
    assert refused["address"] == "testclient"
    assert refused["statuses"] == {"401": 60, "404": 20, "405": 20}
    assert time.monotonic() - before < 30


def _refused(service: Service, expired: str) -> None:
    for _ in range(20):
        problem(service.get("/predict/c1", key=None), 401)
        problem(service.get("/models", key=None, headers={"X-API-Key": "wrong"}), 401)
        problem(service.get("/predict/c1", key=None, headers={"X-API-Key": expired}), 401)
        problem(service.get("/wp-login.php", key=None), 404)
        problem(service.client.delete("/models"), 405)
