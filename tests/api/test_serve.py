"""`churn serve` as a process: what it refuses to start with, what it picks up by itself, and what survives its death."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn_api.app import create_app
from churn_api.settings import ServiceConfig
from churn_store.errors import DatabaseAwayError
from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import Process, ask, run, serving
from tests.fault_table import Fault
from tests.release_factory import Candidate
from tests.store.servers import Postgres

pytestmark = pytest.mark.integration

FOLLOWED_S = 4.0
"""Longest time to follow a new release: a look each half second, the trial in a child process, and the swap, on a busy machine."""

BODY = {"customer_id": "c0", "attributes": ONLINE_ROWS[0]}


def only_line(said: str) -> str:
    assert said.count("\n") == 1, said
    assert said.startswith("churn: ")
    return said


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[tuple[Installation, Process]]:
    """A process for tests that only ask it: impatient, and with every request in the access log."""
    impatient: dict[str, Any] = {"request_s": 0.5, "keep_alive_s": 1, "access_log_share": 1.0, "ship_s": 0.1}
    with Installation.make(tmp_path_factory.mktemp("running"), **impatient) as installation:
        installation.release(candidate)
        installation.put_online()
        with serving(installation.home) as process:
            process.until("/health/ready", 200)
            yield installation, process


def test_without_a_key_it_refuses_to_start_with_one_line_that_says_how_to_make_one(installation: Installation) -> None:
    installation.revoke("both")
    ended = run(installation.home, "serve")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "churn keys create --name NAME" in only_line(ended.stderr)


def test_an_address_that_is_taken_is_one_line_and_not_a_traceback(installation: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run(installation.home, "serve", CHURN_SERVICE__PORT=str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "Address already in use; stop what listens there" in only_line(ended.stderr)


def test_without_a_database_and_without_keys_kept_from_it_it_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text(f"home: {tmp_path}\n", encoding="utf-8")
    with pytest.raises(DatabaseAwayError, match=r"serving.db and its tables are not there; run `churn migrate`"):
        create_app(ServiceConfig(home=tmp_path))
    assert not (tmp_path / "serving.db").exists()


def test_it_starts_without_a_release_takes_the_first_and_a_newer_one_within_seconds_and_fails_no_request(
    installation: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    key = installation.keys["both"].key
    answers: list[tuple[float, int, str, float]] = []
    stop = threading.Event()

    def keep_asking(process: Process, path: str, body: object) -> None:
        connection = process.connect()
        while not stop.is_set():
            status, answer = ask(connection, path, key=key, body=body)
            answers.append((time.monotonic(), status, answer["model"]["release"], answer["probability"]))
        connection.close()

    with serving(installation.home, CHURN_SERVICE__POLL_S="0.5") as process:
        process.until("/health/live", 200)
        assert process.ask("/health/ready")[0] == 503
        assert process.ask("/predict", key=key, body=BODY)[0] == 503
        first = installation.release(candidate)
        installation.put_online()
        process.until("/health/ready", 200, within_s=FOLLOWED_S)
        assert process.ask("/health/detailed", key=key)[1]["release"]["serving"] == first.champion
        asking = [
            threading.Thread(target=keep_asking, args=(process, path, body))
            for path, body in (("/predict/c0", None), ("/predict", BODY)) * 2
        ]
        for thread in asking:
            thread.start()
        time.sleep(0.5)
        second = installation.release(other_candidate)
        published = time.monotonic()
        time.sleep(FOLLOWED_S + 0.5)
        stop.set()
        for thread in asking:
            thread.join()
        assert process.stop() == -15

    assert {status for _, status, _, _ in answers} == {200}
    assert {release for _, _, release, _ in answers} == {first.champion, second.champion}
    assert min(when for when, _, release, _ in answers if release == second.champion) - published < FOLLOWED_S
    assert not [release for when, _, release, _ in answers if when > published + FOLLOWED_S and release == first.champion]
    for release in (first.champion, second.champion):  # one release, one probability: nobody saw half of each
        assert len({round(probability, 6) for _, _, served, probability in answers if served == release}) == 1


@pytest.mark.faults
def test_every_acknowledged_prediction_survives_a_kill_and_is_logged_exactly_once(
    installation: Installation, candidate: Candidate, fault: Fault
) -> None:
    fault.names("service killed under load", done="-9 twice, 4 connections predict")
    installation.release(candidate)
    installation.put_online()
    key = installation.keys["both"].key
    acknowledged: list[str] = []
    ship_often = {"CHURN_SERVICE__SHIP_S": "0.05"}

    def ask_until_it_dies(process: Process, path: str, body: object) -> None:
        connection = process.connect()
        try:
            while True:
                status, answer = ask(connection, path, key=key, body=body)
                assert status == 200
                acknowledged.append(answer["prediction_id"])
        except (OSError, http.client.HTTPException):
            pass

    for _ in range(2):
        with serving(installation.home, **ship_often) as process:
            process.until("/health/ready", 200)
            asking = [
                threading.Thread(target=ask_until_it_dies, args=(process, path, body))
                for path, body in (("/predict/c0", None), ("/predict", BODY)) * 2
            ]
            for thread in asking:
                thread.start()
            time.sleep(0.4)
            process.kill()
            for thread in asking:
                thread.join()
    assert len(acknowledged) > 50
    restarted = time.monotonic()
    with serving(installation.home, **ship_often) as process:
        process.until("/health/ready", 200)
        recovered_s = time.monotonic() - restarted
        process.stop()
    logged = [row["request_id"] for row in installation.logged()]
    assert len(logged) == len(set(logged))
    assert set(acknowledged) <= set(logged)
    assert len(set(logged) - set(acknowledged)) <= 2 * 4  # written, but killed before the answer: at most one a connection
    assert list(installation.config.spool_folder.glob("*.jsonl")) == []
    fault.held(f"{len(acknowledged):,} answered predictions, each in the log once", recovered_after_s=recovered_s)


@pytest.mark.faults
def test_while_the_database_is_away_a_restart_serves_the_last_good_release_and_loses_no_prediction(
    tmp_path: Path, candidate: Candidate, postgres_server: Postgres, fault: Fault
) -> None:
    fault.names("PostgreSQL away", done="stopped; service restarted meanwhile; started again")
    store = {"database_url": postgres_server.new_database()}
    with Installation.make(tmp_path, store=store) as installation:
        row = installation.release(candidate)
        installation.put_online()
        key = installation.keys["both"].key
        with installation.serve() as service:
            service.until(lambda: service.get("/health/ready").status_code == 200)
            service.until((installation.config.cache_folder / "release.json").exists)
        installation.engine.dispose()
        postgres_server.stop()
        try:
            with serving(tmp_path, CHURN_SERVICE__SHIP_S="0.2") as process:
                process.until("/health/ready", 200)
                _, health = process.ask("/health/detailed", key=key)
                assert health["release"]["from_cache"]
                assert health["status"] == "degraded"
                asked = [process.ask("/predict/c0", key=key), process.ask("/predict", key=key, body=BODY)]
                assert [(status, answer["model"]["release"]) for status, answer in asked] == [(200, row.champion)] * 2
                assert process.ask("/predict/c0", key=key[:-1] + "x")[0] == 401
                postgres_server.start()
                back = time.monotonic()
                process.until("/models", 200, key=key)
                recovered_s = time.monotonic() - back
                process.stop()
        finally:
            postgres_server.start()
        assert {line["request_id"] for line in installation.logged()} == {answer["prediction_id"] for _, answer in asked}
        fault.degraded(
            "predicts by the last good release, says so, refuses wrong keys; no prediction lost",
            recovered_after_s=recovered_s,
        )


@pytest.mark.faults
def test_while_the_store_is_away_a_restart_serves_the_last_good_release_and_later_takes_the_newer_one(
    installation: Installation, candidate: Candidate, other_candidate: Candidate, fault: Fault
) -> None:
    fault.names("release store away", done="folder moved; service restarted meanwhile; moved back")
    first = installation.release(candidate)
    with installation.serve() as service:
        assert service.get("/model/version").json()["release"] == first.champion
        service.until((installation.config.cache_folder / "release.json").exists)
    second = installation.release(other_candidate)
    root = Path(installation.config.releases_url)
    root.rename(root.with_name("elsewhere"))
    with installation.serve() as service:
        version = service.get("/model/version").json()
        assert (version["release"], version["from_cache"]) == (first.champion, True)
        assert version["not_taken"]["reason"] == "store"
        root.with_name("elsewhere").rename(root)
        back = time.monotonic()
        version = service.until(
            lambda: (found := service.get("/model/version").json())["release"] == second.champion and found, within_s=10
        )
        recovered_s = time.monotonic() - back
        assert (version["from_cache"], version["not_taken"]) == (False, None)
        fault.degraded("serves the last good release and says why; then the newer one", recovered_after_s=recovered_s)


@pytest.mark.parametrize("name", ["reference.parquet", "golden.json"])
def test_a_kept_release_that_was_changed_on_disk_is_not_served_even_if_it_would_still_work(
    installation: Installation, candidate: Candidate, name: str
) -> None:
    installation.release(candidate)
    digest = installation.manifest().files[name].sha256
    with installation.serve() as service:
        service.until((installation.config.cache_folder / "release.json").exists)
    kept = installation.config.cache_folder / "release" / "sha256" / digest[:2] / digest
    content = bytearray(kept.read_bytes())
    last_digit = content.index(b",") - 1 if name == "golden.json" else len(content) - 1
    content[last_digit] ^= 1
    kept.write_bytes(content)
    root = Path(installation.config.releases_url)
    root.rename(root.with_name("elsewhere"))
    with installation.serve() as service:
        assert service.post("/predict", BODY).status_code == 503


def test_keys_and_a_release_that_were_kept_too_long_are_not_used(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, cache_max_age_s=3600, keys_max_age_s=1800) as installation:
        installation.release(candidate)
        kept = [installation.config.cache_folder / name for name in ("release.json", "keys.json")]
        with installation.serve() as service:
            service.until(kept[0].exists)
        root, database = Path(installation.config.releases_url), installation.home / "serving.db"
        root.rename(root.with_name("elsewhere"))
        database.rename(database.with_name("elsewhere.db"))
        age(kept, by_s=29 * 60)
        with installation.serve() as service:
            assert service.post("/predict", BODY).status_code == 200
        age(kept, by_s=2 * 60)
        with pytest.raises(DatabaseAwayError):
            create_app(installation.config)
        database.with_name("elsewhere.db").rename(database)
        with installation.serve() as service:
            assert service.post("/predict", BODY).status_code == 200
        age(kept, by_s=30 * 60)
        with installation.serve() as service:
            assert service.post("/predict", BODY).status_code == 503


def age(files: list[Path], *, by_s: float) -> None:
    """As if the database had confirmed the cached values longer ago."""
    for file in files:
        kept = json.loads(file.read_bytes())
        file.write_text(json.dumps({**kept, "confirmed_s": kept["confirmed_s"] - by_s}))


@pytest.mark.faults
@pytest.mark.parametrize(
    "sent", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n", b"\r\n"], ids=["nothing", "half a head", "an empty line"]
)
def test_a_connection_that_never_sends_a_whole_request_is_closed(
    running: tuple[Installation, Process], sent: bytes, fault: Fault
) -> None:
    fault.names(f"connection that sends {sent[:12]!r} and no more", done="held open")
    opened = time.monotonic()
    with socket.create_connection(("127.0.0.1", running[1].port), timeout=5) as silent:
        silent.sendall(sent)
        assert silent.recv(100) == b""
    fault.held("closed by the service", recovered_after_s=time.monotonic() - opened)


@pytest.mark.faults
def test_a_body_that_never_ends_is_cut_off(running: tuple[Installation, Process], fault: Fault) -> None:
    fault.names("body that never ends", done="1 of 100 bytes sent, then nothing")
    opened = time.monotonic()
    installation, process = running
    key = installation.keys["both"].key
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", process.port), timeout=5) as slow:
        slow.sendall(head.encode() + b"{")
        assert slow.recv(100) == b""
    fault.held("closed by the service", recovered_after_s=time.monotonic() - opened)


def test_a_connection_that_is_idle_after_an_answer_is_closed(running: tuple[Installation, Process]) -> None:
    with socket.create_connection(("127.0.0.1", running[1].port), timeout=5) as idle:
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while part := idle.recv(1000):  # until the service closes
            received += part
        assert received.endswith(b'{"status":"live"}')


@pytest.mark.faults
def test_a_head_that_never_ends_is_refused_before_it_fills_the_memory(
    running: tuple[Installation, Process], fault: Fault
) -> None:
    fault.names("head that never ends", done="70,000 bytes of one header line")
    with socket.create_connection(("127.0.0.1", running[1].port), timeout=5) as endless:
        endless.sendall(b"GET /health/live HTTP/1.1\r\nX-Long: " + b"x" * 70_000)
        assert endless.recv(1000).startswith(b"HTTP/1.1 431")
    fault.held("refused and closed")


def test_two_requests_in_one_packet_are_both_answered(running: tuple[Installation, Process]) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running[1].port), timeout=5) as eager:
        eager.sendall(request * 2)
        received = b""
        while part := eager.recv(1000):
            received += part
        assert received.count(b'{"status":"live"}') == 2


def test_no_line_of_the_log_says_anything_of_a_customer(running: tuple[Installation, Process]) -> None:
    installation, process = running
    key = installation.keys["both"].key
    process.ask("/predict/c0", key=key)
    process.ask("/predict/very-secret-customer", key=key)
    process.ask("/predict/very-secret-customer/more", key=key)
    process.ask("/predict", key=key, body={"customer_id": "very-secret-customer", "attributes": {"plan": "secret"}})
    _, last = process.ask("/predict/c0", key=key)
    while process.wait_for("request")["id"] != last["prediction_id"]:
        pass
    said = "".join(map(str, process.lines)) + (installation.home / "serve.err").read_text()
    assert "secret" not in said
    assert key.rsplit("_", 1)[1] not in said
    assert {"id", "route", "method", "status", "latency_ms", "release", "key_id", "ts"} <= set(process.lines[-1])


def test_a_prediction_reaches_the_database_while_the_service_runs(running: tuple[Installation, Process]) -> None:
    installation, process = running
    _, answer = process.ask("/predict/c0", key=installation.keys["both"].key)
    end = time.monotonic() + 5
    while answer["prediction_id"] not in {row["request_id"] for row in installation.logged()}:
        assert time.monotonic() < end
        time.sleep(0.05)
