"""An installation that runs by itself, from its real processes: a code server, Dagster's daemon, the runs that it starts.

Belongs here: starting, killing and watching them. Does not belong here: what is done to them (the tests beside this, and
``benchmarks/month.py``).
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from churn_assets.orchestration.run_history import UNDER_WAY
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from tests.automation.company_at_home import CompanyAtHome

REPOSITORY = Path(__file__).parents[2]
DAGSTER = Path(sys.executable).with_name("dagster")
HURRIED_DAEMON = Path(__file__).with_name("hurried_daemon.py")
HOST = "127.0.0.1"
LOADS_WITHIN_S = 180.0
PID = re.compile(r"pid: (\d+)")
SENSORS = 9
"""The number of sensors of a company with time that ask for runs."""

ASKS_FOR_RUNS = "_when_due"
"""How the names of these sensors end."""

MONITORED_EVERY_S = 2
"""The seconds between two looks of a hurried daemon for runs whose process has died; ten in ``dagster.yaml``."""


class Night(CompanyAtHome):
    """The processes of an installation in a folder, with ``churn.yaml`` and ``dagster.yaml`` in it.

    Args:
        folder: folder of the installation, which is the current one.
        hurried: whether the daemon looks at backfills every second.
    """

    def __init__(self, folder: Path, *, hurried: bool = False) -> None:
        self.folder = folder
        self._daemon = [sys.executable, str(HURRIED_DAEMON)] if hurried else [str(DAGSTER) + "-daemon"]
        self.settings = Settings.load()
        migrate(self.settings.database_url)
        self.instance = dg.DagsterInstance.from_config(str(folder), "dagster.yaml")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self._port = int(probe.getsockname()[1])
        location = {"host": HOST, "port": self._port, "location_name": "churn"}
        (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
        self._started: list[subprocess.Popen[bytes]] = []

    def start_code_server(self) -> subprocess.Popen[bytes]:
        """Start the code server, and wait until it has loaded the graph."""
        where = ["--host", HOST, "--port", str(self._port), "--location-name", "churn"]
        server = self.start(
            [str(DAGSTER), "api", "grpc", *where, "--module-name", "churn_assets.definitions", "--attribute", "defs"],
            log="code-server.log",
        )
        wait_until(lambda: self._listens(server), within_s=LOADS_WITHIN_S, said="the code server listens")
        return server

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Start Dagster's daemon."""
        workspace = str(self.folder / "workspace.yaml")
        return self.start([*self._daemon, "run", "--workspace", workspace], log="daemon.log")

    def start(self, command: Sequence[str], *, log: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process in the folder; its lines go to a file beside it."""
        with open(self.folder / log, "ab") as output:
            started = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "DAGSTER_HOME": str(self.folder), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(started)
        return started

    def runs(self, job: str | None = None) -> list[dg.DagsterRun]:
        """The runs, oldest first, of one job or of all."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(job_name=job))))

    def is_quiet(self) -> bool:
        """Whether no run is queued or under way."""
        return not self.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=1)

    def wait_until_quiet(self, *, within_s: float) -> None:
        """Wait until nothing is under way, and every sensor has looked since and asked for nothing."""
        until, since = time.monotonic() + within_s, time.time()
        while time.monotonic() < until:
            if not self.is_quiet():
                since = time.time()
            elif self.all_looked(since):
                return
            time.sleep(0.5)
        waiting = [(run.job_name, run.status.value) for run in self.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))]
        raise AssertionError(f"not quiet within {within_s:.0f} s: {waiting}; {self.tail('daemon.log')}")

    def all_looked(self, since: float) -> bool:
        """Whether every sensor has begun and ended a look after a time, in seconds of the epoch."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        looks = [
            tick
            for state in states
            if state.instigator_name.endswith(ASKS_FOR_RUNS)
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if tick.timestamp > since and tick.status in (TickStatus.SKIPPED, TickStatus.SUCCESS)
        ]
        return len(looks) >= SENSORS

    def worker_of(self, run: dg.DagsterRun) -> int | None:
        """The process id of a run's worker; `None` before it has begun."""
        for record in self.instance.all_logs(run.run_id):
            if (found := PID.search(record.user_message or record.message)) is not None:
                return int(found[1])
        return None

    def tail(self, log: str) -> str:
        """The end of a log."""
        file = self.folder / log
        return file.read_text(encoding="utf-8", errors="replace")[-2_000:] if file.exists() else f"no {log}"

    def end(self) -> None:
        """Stop what was started here, and what it has started."""
        for started in reversed(self._started):
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
                try:
                    started.wait(20)
                except subprocess.TimeoutExpired:
                    kill(started)
        self.instance.dispose()

    def _listens(self, server: subprocess.Popen[bytes]) -> bool:
        if server.poll() is not None:
            raise AssertionError(f"the code server has ended: {self.tail('code-server.log')}")
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process as a machine that fails would, and wait until it is gone."""
    process.kill()
    process.wait(10)


def wait_until(holds: Callable[[], bool], *, within_s: float, said: str, poll_s: float = 0.05) -> float:
    """Wait until something holds, and return the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > within_s:
            raise AssertionError(f"not within {within_s:.0f} s: {said}")
        time.sleep(poll_s)
    return time.monotonic() - begun


@contextmanager
def night(folder: Path, *, hurried: bool = False) -> Iterator[Night]:
    """An installation in a folder with ``churn.yaml``, by the repository's ``dagster.yaml``; nothing runs yet.

    Args:
        folder: folder of the installation.
        hurried: whether the daemon looks for dead runs and at backfills more often, of which a test would only wait.
    """
    shipped = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    if hurried:
        shipped["run_monitoring"]["poll_interval_seconds"] = MONITORED_EVERY_S
    (folder / "dagster.yaml").write_text(yaml.safe_dump(shipped), encoding="utf-8")
    with chdir(folder):
        made = Night(folder, hurried=hurried)
        try:
            yield made
        finally:
            made.end()
