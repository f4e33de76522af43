"""`churn serve --workers 2`: what one worker's death costs, what the supervisor's does, and how all of them end."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from churn_store.monitoring.facts import publish_facts
from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.monitoring_facts import facts, move, window
from tests.api.processes import CHURN, Process, ask, run, serving, settings_of
from tests.fault_table import Fault
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

BODY = {"customer_id": "c0", "attributes": ONLINE_ROWS[0]}

TWO = (CHURN, "serve", "--workers", "2")

LONG_S = 60.0

START = """
import sys
from churn_api.settings import ServiceConfig
from churn_api.workers import supervisor
service = ServiceConfig.load().service
threads = open("/proc/self/status").read().split("Threads:")[1].split()[0]
print(threads, *sorted({"polars", "numpy", "pyarrow", "onnxruntime", "litestar"} & sys.modules.keys()))
"""


@contextmanager
def two_workers(installation: Installation, **settings: str) -> Iterator[tuple[Process, dict[int, int]]]:
    """A service of two workers that both answer, and the id of each one's process."""
    with serving(installation.home, command=TWO, **settings) as process:
        processes = {}
        for _ in range(2):
            ready = process.wait_for("worker_ready", within_s=LONG_S)["worker"]
            processes[ready] = newest_process(process, ready)
        process.until("/health/ready", 200)
        yield process, processes


def newest_process(process: Process, worker: int) -> int:
    """Id of the process that was started last as a worker."""
    started = [
        line["process"] for line in process.lines if (line["event"], line.get("worker")) == ("worker_started", worker)
    ]
    return int(started[-1])


def until(reached: Callable[[], Any], *, within_s: float = LONG_S) -> Any:
    end = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.05)
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def refuses(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def released(installation: Installation, candidate: Candidate) -> Installation:
    installation.release(candidate)
    installation.put_online()
    return installation


def answering(process: Process, key: str, *, connections: int = 32) -> set[int]:
    """Numbers of the workers that answer new connections."""
    found = [process.ask("/status", key=key) for _ in range(connections)]
    assert {status for status, _ in found} == {200}
    return {answer["worker"] for _, answer in found}


@pytest.mark.faults
def test_of_a_killed_worker_no_acknowledged_prediction_is_lost_and_another_one_takes_its_place(
    released: Installation, fault: Fault
) -> None:
    fault.names("worker killed under load", done="-9 of one of two workers, 8 connections predict")
    key = released.keys["both"].key
    acknowledged: list[str] = []
    stop = threading.Event()

    def keep_asking(process: Process) -> None:
        while not stop.is_set():
            connection = process.connect()
            try:
                while not stop.is_set():
                    status, answer = ask(connection, "/predict", key=key, body=BODY)
                    assert status == 200
                    acknowledged.append(answer["prediction_id"])
            except (OSError, http.client.HTTPException):  # its worker was killed: connect again
                time.sleep(0.01)
            finally:
                connection.close()

    with two_workers(released, CHURN_SERVICE__SHIP_S="0.2") as (process, workers):
        assert answering(process, key) == {1, 2}
        threads = [threading.Thread(target=keep_asking, args=(process,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 100)
        killed = time.monotonic()
        os.kill(workers[2], signal.SIGKILL)
        ended = process.wait_for("worker_ended", within_s=LONG_S)
        assert (ended["worker"], ended["ended_by"], ended["level"]) == (2, "SIGKILL", "error")
        so_far = len(acknowledged)
        assert process.wait_for("worker_ready", within_s=LONG_S)["worker"] == 2
        recovered_s = time.monotonic() - killed
        assert len(acknowledged) > so_far  # the other one went on
        stop.set()
        for thread in threads:
            thread.join()
        assert answering(process, key) == {1, 2}
        assert process.stop() == -signal.SIGTERM
    logged = [row["request_id"] for row in released.logged()]
    assert len(logged) == len(set(logged))
    assert set(acknowledged) <= set(logged)
    assert list(released.config.spool_folder.glob("*.jsonl")) == []
    fault.held(f"{len(acknowledged):,} answered predictions, each in the log once", recovered_after_s=recovered_s)


def scraped(connection: http.client.HTTPConnection, key: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of a scrape by name and labels."""
    connection.request("GET", "/metrics", headers={"X-API-Key": key})
    text = connection.getresponse().read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return sum(value for (one, has), value in samples.items() if one == name and labels.items() <= set(has))


def connected_to(process: Process, worker: int, key: str) -> http.client.HTTPConnection:
    """A connection that one worker has accepted."""
    while True:
        connection = process.connect()
        if ask(connection, "/status", key=key)[1]["worker"] == worker:
            return connection
        connection.close()


COUNTS = ("churn_requests_total", "churn_request_seconds_count", "churn_predictions_total", "prediction_requests_total")


def test_a_scrape_of_any_worker_is_the_sum_over_all(released: Installation) -> None:
    key = released.keys["both"].key
    with two_workers(released) as (process, workers):
        connections = {number: connected_to(process, number, key) for number in (1, 2)}
        for number, requests in ((1, 3), (2, 5)):
            for _ in range(requests):
                assert ask(connections[number], "/predict", key=key, body=BODY)[0] == 200
            assert ask(connections[number], "/predict/nobody", key=key)[0] == 404
        for connection in connections.values():
            found = scraped(connection, key)
            assert total(found, "churn_requests_total", route="/predict", status="200") == 8
            assert total(found, "churn_request_seconds_count", route="/predict") == 8
            assert total(found, "churn_request_seconds_bucket", route="/predict", le="+Inf") == 8
            assert total(found, "churn_predictions_total") == total(found, "predictions_total") == 8
            assert total(found, "prediction_requests_total") == total(found, "prediction_latency_seconds_count") == 10
            assert total(found, "prediction_errors_total") == 2
            assert total(found, "api_errors_total") >= 2
            assert total(found, "churn_release_epoch") == 1
            for number, pid in workers.items():
                memory = total(found, "process_resident_memory_bytes", worker=str(number))
                resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                assert memory == pytest.approx(resident, rel=0.2)
                for name in ("process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"):
                    assert total(found, name, worker=str(number)) > 0
                assert total(found, "churn_worker_up", worker=str(number)) == 1


@pytest.mark.timeout(200)
def test_no_counter_falls_while_a_worker_is_killed_and_started_again(released: Installation) -> None:
    key = released.keys["both"].key
    with two_workers(released) as (process, workers):
        first, second = connected_to(process, 1, key), connected_to(process, 2, key)
        for connection, requests in ((first, 2), (second, 9)):
            for _ in range(requests):
                ask(connection, "/predict", key=key, body=BODY)
        before = scraped(first, key)
        assert total(before, "churn_predictions_total") == 11
        os.kill(workers[2], signal.SIGKILL)
        is_back = False
        while not is_back:
            now = scraped(first, key)
            for name in COUNTS:
                assert total(now, name) >= total(before, name), name
            before = now
            with suppress(AssertionError):
                is_back = process.wait_for("worker_ready", within_s=0.5)["worker"] == 2
        again = connected_to(process, 2, key)
        ask(again, "/predict", key=key, body=BODY)
        for connection in (first, again):
            found = scraped(connection, key)
            assert total(found, "churn_predictions_total") == 12
            assert total(found, "churn_worker_restarts_total", worker="2") == 1
            assert total(found, "churn_worker_restarts_total", worker="1") == 0


def test_a_worker_that_hangs_keeps_nobody_from_scraping_the_others(released: Installation) -> None:
    key = released.keys["both"].key
    with two_workers(released) as (process, workers):
        first, second = connected_to(process, 1, key), connected_to(process, 2, key)
        ask(second, "/predict", key=key, body=BODY)
        scraped(first, key)
        os.kill(workers[2], signal.SIGSTOP)
        try:
            found = scraped(first, key)
            assert total(found, "churn_predictions_total") == 1
            assert total(found, "process_resident_memory_bytes", worker="2") > 0
            silent_s = total(found, "churn_worker_silent_seconds", worker="2")
            assert total(scraped(first, key), "churn_worker_silent_seconds", worker="2") > silent_s
        finally:
            os.kill(workers[2], signal.SIGCONT)


@pytest.mark.faults
def test_when_the_supervisor_is_killed_its_workers_finish_and_leave_the_port(released: Installation, fault: Fault) -> None:
    fault.names("supervisor killed", done="-9; two workers")
    with two_workers(released) as (process, workers):
        _, answer = process.ask("/predict", key=released.keys["both"].key, body=BODY)
        killed = time.monotonic()
        process.kill()
        until(lambda: not any(map(is_alive, workers.values())))
        assert refuses(process.port)
        recovered_s = time.monotonic() - killed
    assert answer["prediction_id"] in {row["request_id"] for row in released.logged()}  # shipped at the end, as ever
    fault.held("both workers answered, shipped their log and ended", recovered_after_s=recovered_s)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_the_workers_ship_their_log_and_nobody_is_left(released: Installation, number: signal.Signals) -> None:
    key = released.keys["both"].key
    with two_workers(released) as (process, workers):
        asked = [process.ask("/predict", key=key, body=BODY)[1]["prediction_id"] for _ in range(20)]
        assert released.logged() == []  # both hold some in their spools
        os.kill(process.pid, number)
        until(lambda: not is_alive(process.pid))
        assert process.stop() == (130 if number == signal.SIGINT else -signal.SIGTERM)
        assert not any(map(is_alive, workers.values()))
        assert refuses(process.port)
    assert {row["request_id"] for row in released.logged()} == set(asked)


def test_both_workers_follow_a_new_release(released: Installation, other_candidate: Candidate) -> None:
    key = released.keys["both"].key
    with two_workers(released) as (process, _):
        row = released.release(other_candidate)

        def served() -> set[tuple[int, str]]:
            answers = [process.ask("/status", key=key)[1] for _ in range(16)]
            return {(answer["worker"], answer["release"]["release"]) for answer in answers}

        until(lambda: served() == {(1, row.champion), (2, row.champion)})


def test_a_second_service_on_the_port_is_refused_however_many_workers_it_has(released: Installation) -> None:
    with two_workers(released) as (process, _):
        for workers in ("1", "2"):
            ended = run(released.home, "serve", "--port", str(process.port), "--workers", workers)
            assert ended.returncode == 2
            assert "Address already in use; stop what listens there" in ended.stderr
            assert ended.stderr.count("\n") == 1
        assert process.ask("/health/live") == (200, {"status": "live"})


def test_what_keeps_the_first_worker_from_starting_is_said_once_and_ends_all(installation: Installation) -> None:
    installation.revoke("both")
    ended = run(installation.home, "serve", "--workers", "2", "--port", "0")
    assert ended.returncode == 2
    assert ended.stderr.count("churn: ") == 1
    assert "churn keys create --name NAME" in ended.stderr


@pytest.mark.parametrize("given", [("--port", "65536"), ("--port", "http"), ("--workers", "0"), ("--workers", "65")])
def test_a_wrong_number_is_refused_before_anything_starts(installation: Installation, given: tuple[str, str]) -> None:
    ended = run(installation.home, "serve", *given)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"Invalid value for '{given[0]}'" in ended.stderr


@pytest.mark.parametrize("source", ["synthetic", "table"])
def test_the_supervisor_has_one_thread_and_nothing_loaded_that_a_copy_of_it_could_not_use(
    tmp_path: Path, source: str
) -> None:
    described = "{kind: files, shape: table, customers: {path: c.csv, columns: {customer_id: id}, attributes: {plan: {kind: category}}}}"
    (tmp_path / "churn.yaml").write_text(
        f"source: {described if source == 'table' else '{kind: synthetic}'}\nservice: {{workers: 2}}\n", encoding="utf-8"
    )
    found = subprocess.run(
        [sys.executable, "-c", START], env=settings_of(tmp_path), check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["1"]


def test_what_is_known_of_the_graph_is_shown_once_by_whichever_worker_answers(released: Installation) -> None:
    key, release = released.keys["both"].key, released.bundle().digest

    def shown(process: Process) -> set[float]:
        """The statistic of a feature as 24 new connections see it."""
        found = set()
        for _ in range(24):
            connection = process.connect()
            connection.request("GET", "/metrics", headers={"X-API-Key": key})
            text = connection.getresponse().read().decode()
            connection.close()
            samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
            named = [one for one in samples if one.name == "feature_drift_statistic" and one.labels == {"feature": "x"}]
            found |= {one.value for one in named} or {-1.0}
        return found

    with two_workers(released, CHURN_SERVICE__POLL_S="0.1") as (process, _):
        assert shown(process) == {-1.0}
        for psi in (0.31, 0.02):
            told = facts(release, drift=[window(release, features=[move("x", psi=psi)])])
            publish_facts(released.files, told)
            until(lambda: shown(process) == {psi})  # noqa: B023 - called before the next round
        assert answering(process, key) == {1, 2}
