"""Attacks without a key on a real process: memory stays flat, health answers, and what an attacker holds is taken back."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.attacks import Watched, open_connections, read_nothing, resident_mb, send_trailers, watching
from tests.api.conftest import Installation
from tests.api.processes import Process, ask, serving
from tests.api.wire import answers_in, connect, exchange, request
from tests.fault_table import Fault
from tests.release_factory import Candidate

pytestmark = [pytest.mark.integration, pytest.mark.faults]

LIVE = "/health/live"
WRITE_S, REQUEST_S, CONNECTIONS = 3.0, 3.0, 150
FLAT_MB = 100.0
"""Most that memory may grow under an attack that would take gigabytes."""

Running = tuple[Installation, Process]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[Running]:
    limits: dict[str, Any] = {"write_s": WRITE_S, "request_s": REQUEST_S, "connections": CONNECTIONS, "keep_alive_s": 5}
    with Installation.make(tmp_path_factory.mktemp("attacked"), **limits) as installation:
        installation.release(candidate)
        installation.put_online()
        with serving(installation.home) as process:
            process.until("/health/ready", 200)
            yield installation, process


def metric(running: Running, name: str, **labels: str) -> float:
    installation, process = running
    connection = process.connect()
    connection.request("GET", "/metrics", headers={"X-API-Key": installation.keys["both"].key})
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def withstood(seen: Watched) -> str:
    """What held, for the table.

    Raises:
        AssertionError: if it did not.
    """
    answered = [one for one in seen.health_s if one != float("inf")]
    assert seen.grown_mb < FLAT_MB, seen
    assert len(answered) >= 0.7 * len(seen.health_s) > 0, seen
    return f"+{seen.grown_mb:.0f} MB; health answered {len(answered)} of {len(seen.health_s)} times"


def seconds_until_cut(wire: socket.socket, within_s: float) -> float:
    """Seconds until the service has ended a connection that is not read."""
    begun = time.monotonic()
    while time.monotonic() - begun < within_s:
        time.sleep(0.1)
        try:
            wire.send(b"G")
        except BlockingIOError:
            continue
        except OSError:
            return time.monotonic() - begun
    raise AssertionError(f"still open after {within_s} s")


@pytest.mark.parametrize("path", [LIVE, "/docs", "/predict/c1", "/nothing"])
def test_pipelined_requests_whose_answers_nobody_reads(running: Running, path: str, fault: Fault) -> None:
    fault.names(f"slow reading: GET {path}", done="100 connections, each 12,000 requests, nothing read, 8 s")
    process = running[1]
    with watching(process.pid, process.port, LIVE) as seen:
        read_nothing(process.port, seen, path=path)
    fault.held(withstood(seen))


def test_a_caller_that_does_not_read_is_cut_off_in_time(running: Running, fault: Fault) -> None:
    fault.names("reader that stops", done="one connection asks for /docs 2,000 times and reads nothing")
    cut = metric(running, "churn_connections_cut_total", reason="slow reader")
    with connect(running[1].port, receive_buffer=4_096) as wire:
        wire.setblocking(False)
        sent = memoryview(request("/docs") * 2_000)
        begun = time.monotonic()
        while sent and time.monotonic() - begun < 1:
            try:
                sent = sent[wire.send(sent) :]
            except BlockingIOError:
                time.sleep(0.01)
        seconds = seconds_until_cut(wire, WRITE_S + 5)
    assert metric(running, "churn_connections_cut_total", reason="slow reader") == cut + 1
    fault.held("cut off by the service", recovered_after_s=seconds)


def test_an_answer_that_is_not_taken_does_not_keep_a_closing_connection(running: Running, fault: Fault) -> None:
    fault.names("reader that stops before the end", done="nothing is read; the last request asks to close")
    process = running[1]
    cut = metric(running, "churn_connections_cut_total", reason="slow reader")
    with connect(process.port, receive_buffer=2_048) as wire:
        waiting: list[int] = []
        while len(waiting) < 20 or waiting[-1] > waiting[-16]:  # until the kernel has taken no more for some time
            wire.sendall(request("/docs"))
            time.sleep(0.05)
            waiting.append(bytes_in_the_kernel(process.port, wire.getsockname()[1]))
        wire.sendall(request("/docs", "Connection: close"))
        begun = time.monotonic()
        while metric(running, "churn_connections_cut_total", reason="slow reader") == cut:
            assert time.monotonic() - begun < REQUEST_S + WRITE_S + 15
            time.sleep(0.1)
        seconds = time.monotonic() - begun
    fault.held("cut off by the service", recovered_after_s=seconds)


def bytes_in_the_kernel(port: int, peer: int) -> int:
    """Bytes that the service has written to a connection and the peer has not taken yet."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(f":{port:04X}") and remote.endswith(f":{peer:04X}"):
            return int(queues.split(":")[0], 16)
    raise AssertionError("the service has closed the connection")


def open_files(process: Process) -> int:
    """Open files and connections of a process."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.parametrize("path", ["/predict", "/nothing", LIVE])
def test_trailers_without_end(running: Running, path: str, fault: Fault) -> None:
    fault.names(f"endless trailers: POST {path}", done="4 connections, 60 MB of trailers each")
    process = running[1]
    with watching(process.pid, process.port, LIVE) as seen:
        send_trailers(process.port, seen, path=path, for_s=4.0)
    fault.held(withstood(seen))


def test_trailers_without_end_of_a_key_holder(running: Running, fault: Fault) -> None:
    fault.names("endless trailers with a key", done="64 KiB of them behind a chunked body")
    installation, process = running
    key = f"X-API-Key: {installation.keys['both'].key}"
    head = request("/predict", key, "Transfer-Encoding: chunked", method="POST") + b"1\r\n{\r\n0\r\n"
    got, is_closed = exchange(process.port, head, b"X-Trailer: y\r\n" * 6_000, quiet_s=5.0)
    assert ([one.status for one in got], is_closed) == ([431], True)
    fault.held("431, and the connection is closed")


FLOODS = {
    "heads of 64 KB that never end": b"GET / HTTP/1.1\r\nHost: x\r\n"
    + b"".join(b"X-%04d: %s\r\n" % (i, b"y" * 500) for i in range(120)),
    "heads of 128 fields that never end": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 126,
    "chunks with extensions that never end": request("/predict", "Transfer-Encoding: chunked", method="POST")
    + (b"1;%s\r\n{\r\n" % (b"x" * 5_000)) * 30,
    "bodies that never end": request("/predict", "Content-Length: 100000000", method="POST") + b"x" * 500_000,
    "nothing at all": b"",
    "half a request line": b"GET /health",
}


@pytest.mark.parametrize("case", FLOODS)
def test_unfinished_requests_are_dropped_and_hold_little(running: Running, case: str, fault: Fault) -> None:
    fault.names(case, done=f"{CONNECTIONS - 20} connections, held open")
    process = running[1]
    with watching(process.pid, process.port, LIVE) as seen:
        begun = time.monotonic()
        opened = open_connections(process.port, FLOODS[case], connections=CONNECTIONS - 20)
        for wire in opened:
            wire.settimeout(REQUEST_S + 10)
            try:
                while wire.recv(65_536):
                    pass
            except ConnectionResetError:
                pass
            wire.close()
        seconds = time.monotonic() - begun
    assert seconds < REQUEST_S + 8
    fault.held(withstood(seen), recovered_after_s=seconds)


@pytest.mark.parametrize("first", [b"", request(LIVE)], ids=["silent", "idle after an answer"])
def test_more_connections_than_are_allowed_keep_nobody_out(running: Running, first: bytes, fault: Fault) -> None:
    fault.names("flood of connections", done=f"{4 * CONNECTIONS} opened, {CONNECTIONS} are allowed")
    process = running[1]
    cut = metric(running, "churn_connections_cut_total", reason="crowded")
    with watching(process.pid, process.port, LIVE) as seen:
        opened = open_connections(process.port, first, connections=4 * CONNECTIONS)
        time.sleep(1.0)
        descriptors = open_files(process)
    for wire in opened:
        wire.close()
    assert all(one != float("inf") for one in seen.health_s), seen
    assert descriptors < CONNECTIONS + 150
    ended = metric(running, "churn_connections_cut_total", reason="crowded") - cut
    assert ended >= 3 * CONNECTIONS - 10
    fault.held(f"{withstood(seen)}; the {ended:.0f} that waited longest were closed")


def test_a_connection_that_is_being_answered_is_not_closed_for_a_newer_one(running: Running, fault: Fault) -> None:
    fault.names("flood of connections during a request", done=f"{2 * CONNECTIONS} opened while a client asks")
    installation, process = running
    key = installation.keys["both"].key
    opened: list[socket.socket] = []
    answered = 0
    connection = process.connect()
    for _ in range(20):
        try:
            status, _ = ask(connection, "/predict/c0", key=key)
        except (OSError, http.client.HTTPException):  # closed between two requests: a client connects again
            connection.close()
            connection = process.connect()
            status, _ = ask(connection, "/predict/c0", key=key)
        answered += status == 200
        opened += open_connections(process.port, b"", connections=CONNECTIONS // 10)
    connection.close()
    for wire in opened:
        wire.close()
    assert answered == 20
    fault.held("20 of 20 predictions answered")


def test_distinct_long_addresses_leave_little_behind(running: Running, fault: Fault) -> None:
    fault.names("long addresses", done="3,000 different ones of 8,000 bytes, without a key")
    process = running[1]
    before = resident_mb(process.pid)
    connection = process.connect()
    for i in range(3_000):
        connection.request("GET", f"/predict/{i:07d}{'x' * 7_980}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status in {401, 429}
    connection.close()
    grown = resident_mb(process.pid) - before
    assert grown < 60
    fault.held(f"+{grown:.0f} MB")


def lines_written(process: Process) -> int:
    """The lines on standard output so far."""
    while not process._read.empty():
        process._read.get()
        process.lines.append({})
    return len(process.lines)


def test_a_flood_of_refused_requests_writes_no_line_each(running: Running, fault: Fault) -> None:
    fault.names("flood of refused requests", done="3,000 without a key, to no route, and in no HTTP")
    process = running[1]
    written_before = lines_written(process)
    unmatched = metric(running, "churn_requests_total", route="unmatched")
    refused = metric(running, "churn_requests_total", route="/predict/{customer_id}")  # 401, then 429
    connection = process.connect()
    for path in ("/predict/c1", "/wp-login.php") * 1_000:
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()
    for _ in range(1_000):
        with connect(process.port) as wire:
            wire.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert [one.status for one in answers_in(wire.recv(65_536))] == [400]
    assert metric(running, "churn_requests_total", route="unmatched") == unmatched + 2_000
    assert metric(running, "churn_requests_total", route="/predict/{customer_id}") == refused + 1_000
    assert lines_written(process) - written_before < 200
    fault.held("each is counted; a line a minute for the address")


@contextmanager
def unread(installation: Installation, candidate: Candidate) -> Iterator[Process]:
    """A service that writes a line for each request, and whose standard output nobody reads."""
    installation.release(candidate)
    installation.put_online()
    with serving(installation.home, CHURN_SERVICE__ACCESS_LOG_SHARE="1") as process:
        process.until("/health/ready", 200)
        process.stop_reading()
        yield process


def test_a_reader_of_standard_output_that_stops_stops_nobody_else(
    installation: Installation, candidate: Candidate, fault: Fault
) -> None:
    fault.names("standard output is not read", done="4,000 requests with a line each, then SIGTERM")
    key = installation.keys["both"].key
    with unread(installation, candidate) as process:
        with watching(process.pid, process.port, LIVE) as seen:
            connection = process.connect()
            slowest = 0.0
            for _ in range(4_000):
                begun = time.monotonic()
                assert ask(connection, "/predict/c0", key=key)[0] == 200
                slowest = max(slowest, time.monotonic() - begun)
            connection.close()
        waiting = process.ask("/health/detailed", key=key)[1]["log"]
        assert waiting["waiting_bytes"] > 500_000
        begun = time.monotonic()
        process.stop()
        ended_s = time.monotonic() - begun
    assert ended_s < 15
    assert len(installation.logged()) == 4_000
    fault.held(f"{withstood(seen)}; slowest answer {slowest:.1f} s; ended in {ended_s:.0f} s, all predictions logged")


def test_lines_that_wait_are_written_once_they_are_read_again(
    installation: Installation, candidate: Candidate, fault: Fault
) -> None:
    fault.names("standard output is read late", done="2,000 requests with a line each, then read on")
    key = installation.keys["both"].key
    with unread(installation, candidate) as process:
        connection = process.connect()
        for _ in range(2_000):
            _, last = ask(connection, "/predict/c0", key=key)
        connection.close()
        begun = time.monotonic()
        process.read_again()
        while process.wait_for("request")["id"] != last["prediction_id"]:
            pass
        seconds = time.monotonic() - begun
        assert process.ask("/health/detailed", key=key)[1]["log"]["dropped_lines"] == 0
    assert sum(line.get("route") == "/predict/{customer_id}" for line in process.lines) == 2_000
    fault.held("every line is there", recovered_after_s=seconds)
