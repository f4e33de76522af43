"""The service as an operator starts it: `churn serve` in a process of its own."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHURN = Path(sys.executable).with_name("churn")


class Process:
    """A running `churn serve`.

    Args:
        started: the process; its standard output is a pipe.
        log: where its standard error goes.
    """

    def __init__(self, started: subprocess.Popen[str], log: Path) -> None:
        self._started = started
        self._log = log
        self.lines: list[dict[str, Any]] = []
        self._read: queue.Queue[str] = queue.Queue()
        self._may_read = threading.Event()
        self._may_read.set()
        threading.Thread(target=self._read_on, daemon=True).start()
        self.port = int(self.wait_for("listening", within_s=90.0)["address"].rsplit(":", 1)[1])

    def wait_for(self, event: str, *, within_s: float = 20.0) -> dict[str, Any]:
        """Read the log until a line about an event."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            try:
                line = self._read.get(timeout=0.1)
            except queue.Empty:
                if self._started.poll() is not None:
                    break
                continue
            self.lines.append(json.loads(line))
            if self.lines[-1].get("event") == event:
                return self.lines[-1]
        raise AssertionError(f"no {event!r} in {self.lines}; {self._log.read_text()}")

    def _read_on(self) -> None:
        assert self._started.stdout is not None
        for line in self._started.stdout:
            self._may_read.wait()
            self._read.put(line)

    def stop_reading(self) -> None:
        """Let its standard output fill up, as a log collector that hangs does."""
        self._may_read.clear()

    def read_again(self) -> None:
        """Go on reading its standard output."""
        self._may_read.set()

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own, kept alive."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, path: str, *, key: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and body of one request on a connection of its own."""
        connection = self.connect()
        try:
            return ask(connection, path, key=key, body=body)
        finally:
            connection.close()

    def until(self, path: str, status: int, *, key: str = "", within_s: float = 20.0) -> Any:
        """Ask until it is answered with a status; the body of that answer."""
        end = time.monotonic() + within_s
        found: Any = None
        while time.monotonic() < end:
            try:
                found = self.ask(path, key=key)
            except OSError as error:
                found = error
            else:
                if found[0] == status:
                    return found[1]
            time.sleep(0.05)
        raise AssertionError(f"{path} was {found}, not {status}; {self._log.read_text()}")

    @property
    def pid(self) -> int:
        """Its id."""
        return self._started.pid

    def kill(self) -> None:
        """As the kernel does it: no chance to say anything."""
        self._started.kill()
        self._started.wait(60)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self._started.send_signal(signal.SIGTERM)
        return self._started.wait(60)


def ask(connection: http.client.HTTPConnection, path: str, *, key: str = "", body: Any = None) -> tuple[int, Any]:
    """Status and body of one request."""
    headers = {"X-API-Key": key} if key else {}
    connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


@contextmanager
def serving(
    home: Path, *, before: Sequence[str] = (), command: Sequence[str | Path] = (CHURN, "serve"), **environment: str
) -> Iterator[Process]:
    """`churn serve` on a free port with the ``churn.yaml`` in ``home``, until the block ends.

    Args:
        home: the folder of the company.
        before: the words before the command, such as those of strace.
        command: another command that serves.
        environment: settings besides.
    """
    log = home / "serve.err"
    with open(log, "a", encoding="utf-8") as errors:
        started = subprocess.Popen(
            [*before, *command],
            cwd=home,
            env=settings_of(home, CHURN_SERVICE__PORT="0", **environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield Process(started, log)
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(60)


def run(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A `churn` command to its end."""
    return subprocess.run(
        [CHURN, *arguments],
        check=False,
        cwd=home,
        env=settings_of(home, **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


def settings_of(home: Path, **more: str) -> dict[str, str]:
    """The environment without the caller's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_")}
    return {**kept, "CHURN_CONFIG": str(home / "churn.yaml"), **more}
