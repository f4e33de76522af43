"""`churn dev` as a person runs it: real programs on free ports, told apart, and all of them gone at the end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from churn_assets.resources.child_processes import Child, require_free
from churn_assets.resources.service_process import churn_command, free_port
from churn_store.errors import InputError

pytestmark = pytest.mark.timeout(400)

TOP = Path(__file__).parents[2]
PATIENCE_S = 240.0


class Dev:
    """A running `churn dev`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.output = folder / "dev.txt"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHURN_", "DAGSTER_HOME"))}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*churn_command(), "dev", *options],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """All that it has printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something while it runs."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.1)


@contextmanager
def dev(folder: Path, *options: str) -> Iterator[Dev]:
    for file in ("dagster.yaml", "workspace.yaml"):
        (folder / file).write_bytes((TOP / file).read_bytes())
    (folder / "churn.yaml").write_text("company: synthetic\nsource: {kind: synthetic, customers: 300}\n", encoding="utf-8")
    running = Dev(folder, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def started_in(folder: Path) -> list[int]:
    """The processes whose current folder is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = os.readlink(entry / "cwd") == str(folder)
            except OSError:
                continue
            found += [int(entry.name)] if inside else []
    return found


@pytest.mark.integration
def test_all_run_told_apart_and_ctrl_c_leaves_nobody_behind(tmp_path: Path) -> None:
    ui, service, mlflow = free_port(), free_port(), free_port()
    options = ("--ui-port", str(ui), "--port", str(service), "--mlflow", "--mlflow-port", str(mlflow))
    with dev(tmp_path, *options) as running:
        running.until(lambda: all(map(listens, (ui, service, mlflow))))
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 0
    said = running.said
    for port in (ui, service, mlflow):
        assert f"http://127.0.0.1:{port}" in said
    key = re.search(r"API key +in (.+)", said)
    assert key is not None
    assert Path(key[1]).is_absolute()
    assert Path(key[1]).exists()
    begun = said[said.index("Ctrl-C stops all") :].splitlines()[1:]
    assert {line.split(" | ")[0].strip() for line in begun if line != "stopping"} == {"dagster", "service", "mlflow"}
    deadline = time.monotonic() + 20
    while started_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert started_in(tmp_path) == []
    assert not any(map(listens, (ui, service, mlflow)))


@pytest.mark.integration
def test_when_one_dies_it_is_named_with_the_reason_and_the_others_end(tmp_path: Path) -> None:
    ui, service = free_port(), free_port()
    with dev(tmp_path, "--ui-port", str(ui), "--port", str(service)) as running:
        running.until(lambda: listens(service))
        [served] = [
            pid for pid in started_in(tmp_path) if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        os.kill(served, signal.SIGKILL)
        assert running.process.wait(60) != 0
    assert "churn dev: service was ended by signal SIGKILL" in running.said
    assert "ending the others" in running.said
    assert started_in(tmp_path) == []


@pytest.mark.integration
@pytest.mark.parametrize("option", ["--ui-port", "--port", "--mlflow-port"])
def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        others = [name for name in ("--ui-port", "--port", "--mlflow-port") if name != option]
        options = [text for name in others for text in (name, str(free_port()))]
        with dev(tmp_path, "--mlflow", option, port, *options) as running:
            assert running.process.wait(60) == 2
    [line] = running.said.splitlines()
    assert f"can't listen on 127.0.0.1 port {port} for" in line
    assert f"Address already in use; stop what listens there, or name another port with {option}" in line
    assert not (tmp_path / ".churn" / "api-key").exists()


def test_a_number_that_is_no_port_is_refused() -> None:
    for port in (0, -1, 65_536):
        with pytest.raises(InputError, match=f"--port is {port}; expected a port"):
            require_free(port, what="the service", option="--port")


def test_a_childs_lines_have_its_name_and_its_end_has_a_reason() -> None:
    lines: list[str] = []
    child = Child("service", [sys.executable, "-c", "print('first'); raise SystemExit('no database')"], os.environ)
    child.start(lines.append, width=8)
    deadline = time.monotonic() + 20
    while (child.status is None or len(lines) < 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.end()
    assert lines == ["service  | first", "service  | no database"]
    assert child.why() == "service ended with status 1: no database"


def test_a_child_that_tells_of_an_error_before_it_ends_in_order_is_quoted_with_the_error() -> None:
    script = "print('Exception: the daemon shut down'); print('Services shut down.')"
    child = Child("dagster", [sys.executable, "-c", script], os.environ)
    child.start(print, width=8)
    deadline = time.monotonic() + 20
    while (child.status is None or len(child.last) < 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.end()
    assert child.why() == "dagster ended by itself: Exception: the daemon shut down"
