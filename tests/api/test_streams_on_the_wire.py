"""A streamed batch over a real socket: it arrives in chunks, others are answered meanwhile, and a caller that leaves ends it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.api.conftest import Installation
from tests.api.processes import Process, serving
from tests.api.wire import connect, request
from tests.release_factory import Candidate, rows_of, small_columns

pytestmark = pytest.mark.integration

MANY = 10_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[tuple[Installation, Process]]:
    home = tmp_path_factory.mktemp("streams")
    with Installation.make(home, ship_s=60, max_batch_body_bytes=32 * 1024 * 1024) as made:
        made.release(candidate)
        made.put_online()
        with serving(home) as process:
            process.until("/health/ready", 200)
            yield made, process


@pytest.fixture(scope="module")
def body() -> bytes:
    return msgspec.json.encode({"records": [{"attributes": row} for row in rows_of(small_columns(), MANY, seed=3)]})


def logged(made: Installation) -> int:
    return len(made.spooled())


def test_it_arrives_piece_by_piece_while_others_are_answered(served: tuple[Installation, Process], body: bytes) -> None:
    made, process = served
    headers = {"X-API-Key": made.keys["both"].key, "Accept": "application/x-ndjson"}
    slowest_s, lines, line = 0.0, 0, ""
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{process.port}", headers=headers, timeout=60) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{process.port}", headers=headers, timeout=60) as other,
        client.stream("POST", "/predict/batch", content=body) as response,
    ):
        assert response.headers["transfer-encoding"] == "chunked"
        for lines, line in enumerate(response.iter_lines(), start=1):  # noqa: B007 - the last one is looked at
            if lines % 1_000 == 0:
                begun = time.monotonic()
                assert other.get("/predict/c1").status_code == 200
                slowest_s = max(slowest_s, time.monotonic() - begun)
        assert json.loads(line)["item"] == MANY - 1
    assert lines == MANY
    assert slowest_s < 2.0  # a batch in the event loop would hold it for longer


def test_a_caller_that_leaves_ends_it(served: tuple[Installation, Process], body: bytes) -> None:
    made, process = served
    before = logged(made)
    key: Any = made.keys["both"].key
    with connect(process.port, receive_buffer=4_096) as wire:
        fields = (f"X-API-Key: {key}", "Accept: application/x-ndjson", f"Content-Length: {len(body)}")
        wire.sendall(request("/predict/batch?features=true", *fields, method="POST", body=body))
        assert wire.recv(100).startswith(b"HTTP/1.1 200")
    end = time.monotonic() + 20
    seen, quiet = logged(made), 0
    while quiet < 5 and time.monotonic() < end:
        time.sleep(0.2)
        now = logged(made)
        quiet, seen = (quiet + 1, now) if now == seen else (0, now)
    assert 0 < seen - before < MANY
    process.until("/health/live", 200)
