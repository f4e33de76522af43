"""Whether the process of a run lives, asked of a real code server: it knows its runs, a new one does not, and a dead one answers nobody."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from churn_assets.orchestration.run_launcher import MOST_UNHEARD, WatchedRunLauncher

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STARTS_WITHIN_S = 120.0
LIVING, DEAD = WorkerStatus.RUNNING, WorkerStatus.FAILED


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A code server of a graph with nothing in it."""
    (tmp_path / "nothing.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n", encoding="utf-8")
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "api",
        "grpc",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "-f",
        "nothing.py",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        until = time.monotonic() + STARTS_WITHIN_S
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert time.monotonic() < until
            time.sleep(0.1)
        yield started
        started.kill()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    launcher = {"module": "churn_assets.orchestration.run_launcher", "class": "WatchedRunLauncher"}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_launcher": launcher}) as made:
        yield made


def started_by(instance: dg.DagsterInstance, port: int) -> dg.DagsterRun:
    """A run as the launcher leaves it, under way on a code server."""
    where = json.dumps({"host": "127.0.0.1", "port": port})
    return create_run_for_test(
        instance, job_name="ingest", status=dg.DagsterRunStatus.STARTED, tags={".dagster/grpc_info": where}
    )


def test_a_run_that_its_code_server_does_not_know_has_died_with_the_former_one(
    instance: dg.DagsterInstance, server: subprocess.Popen[bytes], port: int
) -> None:
    run, launcher = started_by(instance, port), instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)
    assert launcher.supports_check_run_worker_health
    found = launcher.check_run_worker_health(run)
    assert (found.status, found.msg) == (DEAD, "its code server does not know its process")


def test_a_code_server_is_taken_for_dead_when_nobody_listens_time_and_again(
    instance: dg.DagsterInstance, port: int
) -> None:
    run, launcher = started_by(instance, port), instance.run_launcher
    answers = [launcher.check_run_worker_health(run).status for _ in range(MOST_UNHEARD)]
    assert answers == [LIVING] * (MOST_UNHEARD - 1) + [DEAD]


def test_a_run_that_no_code_server_has_yet_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, job_name="ingest", status=dg.DagsterRunStatus.STARTED)
    assert [instance.run_launcher.check_run_worker_health(run).status for _ in range(MOST_UNHEARD)] == [
        LIVING
    ] * MOST_UNHEARD
