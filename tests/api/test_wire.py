"""The service's own HTTP: what it takes, what it refuses, and that nothing is answered out of turn."""

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import Process, serving
from tests.api.wire import HOST, answers_in, connect, exchange, request
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

SINGLE = msgspec.json.encode({"attributes": ONLINE_ROWS[0], "customer_id": "c0"})
LIVE = request()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[tuple[Installation, Process]]:
    limits: dict[str, Any] = {"request_s": 3.0, "keep_alive_s": 5}
    with Installation.make(tmp_path_factory.mktemp("wire"), **limits) as installation:
        installation.release(candidate)
        installation.put_online()
        with serving(installation.home) as process:
            process.until("/health/ready", 200)
            yield installation, process


def predicting(key: str, *fields: str, body: bytes = SINGLE) -> bytes:
    return request("/predict", f"X-API-Key: {key}", f"Content-Length: {len(body)}", *fields, method="POST", body=body)


def chunked(*chunks: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    sized = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return sized + b"0\r\n" + trailer + b"\r\n"


POST = b"POST /predict HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED: dict[str, tuple[bytes, int]] = {
    "no Host": (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /health/live HTTP/1.1\r\n" + HOST * 2 + b"\r\n", 400),
    "two Hosts in HTTP/1.0": (b"GET /health/live HTTP/1.0\r\n" + HOST * 2 + b"\r\n", 400),
    "two different Hosts": (b"GET /health/live HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /health/live\r\n\r\n", 505),
    "HTTP/2.0": (b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/1.2": (b"GET /health/live HTTP/1.2\r\n" + HOST + b"\r\n", 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "length and chunks": (POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    "a list of lengths": (POST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a signed length": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "a negative length": (POST + b"Content-Length: -5\r\n\r\nhello", 400),
    "a length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "chunks in HTTP/1.0": (POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "gzip, then chunks": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "gzip, then chunks, on two lines": (POST + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 501),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunks, then gzip": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "chunks twice": (POST + CHUNKED * 2 + b"\r\n0\r\n\r\n", 400),
    "a blank before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "a folded line": (b"GET /health/live HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", 400),
    "line feeds alone": (b"GET /health/live HTTP/1.1\nHost: x\n\n", 400),
    "NUL in a field": (b"GET /health/live HTTP/1.1\r\n" + HOST + b"A: \0\r\n\r\n", 400),
    "CONNECT": (b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "an unknown method": (b"BREW /health/live HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target beyond ASCII": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a target of 8,193 bytes": (request("/" + "x" * 8_192), 414),
    "a target of 60,000 bytes": (request("/" + "x" * 59_999), 414),
    "a target of 70,000 bytes": (request("/" + "x" * 69_999), 431),
    "a target of a million bytes": (request("/" + "x" * 999_999), 431),
    "a line of 66,000 bytes": (request("/health/live", "X: " + "y" * 66_000), 431),
    "a name of 66,000 bytes": (request("/health/live", "x" * 66_000 + ": y"), 431),
    "many lines, 66,000 bytes": (request("/health/live", *[f"X-{i}: {'y' * 650}" for i in range(100)]), 431),
    "a query of 66,000 bytes": (request("/health/live?" + "x" * 66_000), 431),
    "129 fields": (request("/health/live", *["A: b"] * 128), 431),
    "16,000 fields": (request("/health/live", *["a:"] * 16_000), 431),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_served_is_refused_once_and_the_connection_closed(
    running: tuple[Installation, Process], case: str
) -> None:
    sent, status = REFUSED[case]
    got, is_closed = exchange(running[1].port, sent + LIVE, quiet_s=5.0)
    assert [one.status for one in got][:1] == [status], got
    (refused,) = got
    assert is_closed
    assert refused.headers["content-type"] == "application/problem+json"
    assert msgspec.json.decode(refused.body)["status"] == status


@pytest.mark.parametrize("case", [case for case, (_, status) in REFUSED.items() if status in (400, 431)])
def test_it_is_refused_alike_when_it_comes_in_pieces(running: tuple[Installation, Process], case: str) -> None:
    sent, status = REFUSED[case]
    size = max(1, len(sent) // 13)
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    got, is_closed = exchange(running[1].port, *pieces, pause_s=0.003, quiet_s=5.0)
    assert ([one.status for one in got], is_closed) == ([status], True)


BAD_BODIES = {
    "a size in another form": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size that is none": b"five\r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"fffffffffffffffff\r\nhello",
    "more than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "line feeds alone": b"5\nhello\n0\n\n",
    "a trailer beyond the bounds": chunked(b"{", trailer=b"T: " + b"x" * 70_000 + b"\r\n"),
    "many trailers": chunked(b"{", trailer=b"T: xxxx\r\n" * 9_000),
    "an extension beyond the bounds": chunked(b"{", extension=b";x=" + b"y" * 70_000),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_body_that_can_not_be_parsed_gets_one_answer(running: tuple[Installation, Process], case: str) -> None:
    installation, process = running
    key = f"X-API-Key: {installation.keys['both'].key}\r\n".encode()
    got, is_closed = exchange(process.port, POST + key + CHUNKED + b"\r\n" + BAD_BODIES[case] + LIVE, quiet_s=5.0)
    assert [one.status for one in got] == [431 if "beyond the bounds" in case or "many" in case else 400]
    assert is_closed
    got, is_closed = exchange(process.port, POST + CHUNKED + b"\r\n" + BAD_BODIES[case] + LIVE, quiet_s=5.0)
    assert [one.status for one in got][:1] in ([401], [400], [431])
    assert len(got) == 1
    assert is_closed


SERVED: dict[str, tuple[bytes, list[int]]] = {
    "a Host that is none": (request(host="a/b") + LIVE, [400, 200]),
    "HTTP/1.0 without Host": (b"GET /health/live HTTP/1.0\r\n\r\n", [200]),
    "the absolute form": (request("http://elsewhere:80/health/live"), [200]),
    "the absolute form without a path": (request("http://elsewhere"), [404]),
    "the absolute form with a query": (request("http://elsewhere/health/live?a=b"), [400]),
    "OPTIONS of the server": (request("*", method="OPTIONS"), [404]),
    "TRACE": (request(method="TRACE"), [405]),
    "empty lines before it": (b"\r\n\r\n" + LIVE, [200]),
    "a fragment": (request("/health/live#there"), [200]),
    "a percent sign alone": (request("/predict/%"), [401]),
    "percent-encoded slashes": (request("/health%2Flive"), [200]),
    "a thousand slashes": (request("/" * 1_000 + "health//live"), [200]),
    "a GET with a body": (request("/health/live", "Content-Length: 5", body=b"hello") + LIVE, [200, 200]),
    "a head of nearly 64 KiB": (request("/health/live", "X: " + "y" * 65_000) + LIVE, [200, 200]),
    "128 fields": (request("/health/live", *["A: b"] * 127) + LIVE, [200, 200]),
    "a hundred requests at once": (LIVE * 100, [200] * 100),
    "an upgrade to a websocket": (
        request("/health/live", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: eA==") + LIVE,
        [200, 200],
    ),
    "an upgrade to HTTP/2": (
        request("/health/live", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM") + LIVE,
        [200, 200],
    ),
    "an error, then another request": (request("/nothing") + LIVE, [404, 200]),
    "a refused key, then another request": (predicting("x") + LIVE, [401, 200]),
}


@pytest.mark.parametrize("case", SERVED)
def test_every_request_is_answered_in_turn(running: tuple[Installation, Process], case: str) -> None:
    sent, statuses = SERVED[case]
    got, _ = exchange(running[1].port, sent, quiet_s=1.0)
    assert [one.status for one in got] == statuses


@pytest.mark.parametrize("size", [1, 7, 1_000, 1_024, 1_025])
def test_requests_in_pieces_of_any_size_are_answered_in_turn(running: tuple[Installation, Process], size: int) -> None:
    sent = predicting("x") + LIVE + request("/nothing") + predicting("x", "Upgrade: h2c", "Connection: Upgrade") + LIVE
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    got, _ = exchange(running[1].port, *pieces, pause_s=0.0005)
    assert [one.status for one in got] == [401, 200, 404, 401, 200]


UPGRADES = {
    "h2c": ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    "a websocket": ["Connection: Upgrade", "Upgrade: websocket"],
    "TLS": ["Connection: keep-alive, Upgrade", "Upgrade: TLS/1.0"],
}


@pytest.mark.parametrize("case", UPGRADES)
@pytest.mark.parametrize("size", [10, 100_000])
def test_an_upgrade_is_ignored_and_the_body_belongs_to_its_request(
    running: tuple[Installation, Process], case: str, size: int
) -> None:
    installation, process = running
    key = installation.keys["both"].key
    smuggled = request("/smuggled")
    of_length = predicting(key, *UPGRADES[case])
    in_chunks = request("/predict", f"X-API-Key: {key}", "Transfer-Encoding: chunked", *UPGRADES[case], method="POST")
    in_chunks += chunked(SINGLE[:50], SINGLE[50:])
    hidden = predicting(key, *UPGRADES[case], body=smuggled)
    sent = of_length + in_chunks + hidden + LIVE
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    got, _ = exchange(process.port, *pieces, pause_s=0.0005)
    assert [one.status for one in got] == [200, 200, 400, 200]
    assert [msgspec.json.decode(one.body)["customer_id"] for one in got[:2]] == ["c0", "c0"]


def test_after_a_refusal_nothing_more_is_answered_and_what_came_before_is(running: tuple[Installation, Process]) -> None:
    installation, process = running
    key = installation.keys["both"].key
    bad = b"GET /health/live HTTP/1.1\r\n\r\n"
    got, is_closed = exchange(process.port, predicting(key) + LIVE + bad + LIVE, quiet_s=5.0)
    assert [one.status for one in got] == [200, 200, 400]
    assert is_closed


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("key", ["x", "both"])
def test_a_broken_body_is_refused_after_the_answers_before_it(
    running: tuple[Installation, Process], before: int, key: str
) -> None:
    installation, process = running
    sent = f"X-API-Key: {installation.keys[key].key if key == 'both' else key}\r\n".encode()
    broken = POST + sent + CHUNKED + b"\r\nfive\r\n"
    got, is_closed = exchange(process.port, LIVE * before + broken + LIVE, quiet_s=5.0)
    assert [one.status for one in got] == [200] * before + [400]
    assert is_closed


def test_a_request_that_asks_to_close_is_the_last(running: tuple[Installation, Process]) -> None:
    got, is_closed = exchange(running[1].port, request("/health/live", "Connection: close") + LIVE, quiet_s=5.0)
    assert ([one.status for one in got], is_closed) == ([200], True)


def test_a_body_is_asked_for_only_where_it_is_read(running: tuple[Installation, Process]) -> None:
    installation, process = running
    key = installation.keys["both"].key
    with connect(process.port) as wire:
        wire.sendall(predicting(key, "Expect: 100-continue", body=SINGLE)[: -len(SINGLE)])
        assert wire.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(SINGLE)
        time.sleep(0.2)
        assert [one.status for one in answers_in(wire.recv(10_000))] == [200]
        wire.sendall(predicting("x", "Expect: 100-continue", body=SINGLE)[: -len(SINGLE)])
        time.sleep(0.2)
        assert [one.status for one in answers_in(wire.recv(10_000))] == [401]


def test_head_over_the_wire_is_get_without_the_body(running: tuple[Installation, Process]) -> None:
    installation, process = running
    key = f"X-API-Key: {installation.keys['both'].key}"
    for target in ("/health/live", "/predict/c0", "/docs", "/nothing", "/models"):
        (got,), _ = exchange(process.port, request(target, key), quiet_s=0.3)
        with connect(process.port, within_s=0.3) as wire:
            wire.sendall(
                request(target, key, method="HEAD") + request("/model/version", "Connection: close", method="HEAD")
            )
            received = b""
            while part := wire.recv(65_536):
                received += part
        head, last = answers_in(received, to_head=True)
        assert (head.status, last.status) == (got.status, 401)
        assert head.headers.keys() == got.headers.keys()
        if target != "/predict/c0":  # whose answer has a time in it
            assert head.headers["content-length"] == got.headers["content-length"]


def test_a_large_body_arrives_whole(running: tuple[Installation, Process]) -> None:
    installation, process = running
    key = installation.keys["both"].key
    body = msgspec.json.encode({"records": [{"attributes": ONLINE_ROWS[0]}] * 8_000})
    begun = time.monotonic()
    head = request("/predict/batch", f"X-API-Key: {key}", f"Content-Length: {len(body)}", method="POST")
    got, _ = exchange(process.port, head + body + LIVE, quiet_s=5.0)
    assert [one.status for one in got] == [200, 200]
    assert len(msgspec.json.decode(got[0].body)["predictions"]) == 8_000
    in_chunks = request("/predict/batch", f"X-API-Key: {key}", "Transfer-Encoding: chunked", method="POST")
    in_chunks += chunked(*[body[at : at + 5_000] for at in range(0, len(body), 5_000)])
    got, _ = exchange(process.port, in_chunks + LIVE, quiet_s=5.0)
    assert [one.status for one in got] == [200, 200]
    assert time.monotonic() - begun < 60


def test_a_refused_head_is_answered_without_a_body(running: tuple[Installation, Process]) -> None:
    sent = b"HEAD /health HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n"
    with socket.create_connection(("127.0.0.1", running[1].port), timeout=10) as wire:
        wire.sendall(sent)
        answer = b"".join(iter(lambda: wire.recv(4_096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert body == b""


def test_callers_that_vanish_while_they_are_answered_write_no_line(running: tuple[Installation, Process]) -> None:
    process = running[1]
    for _ in range(15):
        wire = socket.create_connection(("127.0.0.1", process.port))
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        wire.sendall(request("/docs/openapi.json") * 100)
        time.sleep(0.2)
        wire.close()
    process.until("/health/live", 200)
    time.sleep(0.3)
    lines = []
    while not process._read.empty():
        lines.append(process._read.get())
    assert [line for line in lines if '"error"' in line] == []
