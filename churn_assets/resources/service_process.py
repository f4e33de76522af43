"""Starts the service as a process beside the graph, for the demo and the development set-up.

The graph never imports the service; it starts it by its command and talks to it over HTTP, as any client would.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from churn_store.database.schema import api_keys, connect
from churn_store.errors import ChurnError, InputError

LOOPBACK = "127.0.0.1"
STOP_WITHIN_S = 15


@dataclass(frozen=True)
class Client:
    """A client of a service on this machine."""

    port: int
    key: str

    def ask(self, path: str, body: Any = None, *, timeout_s: float = 10.0) -> tuple[int, Any]:
        """Send a request with the key, and return the status and the decoded answer.

        Raises:
            httpx.TransportError: if nobody answers.
            ValueError: if the answer is not JSON.
        """
        answer = httpx.request(
            "GET" if body is None else "POST",
            f"http://{LOOPBACK}:{self.port}{path}",
            json=body,
            headers={"X-API-Key": self.key},
            timeout=timeout_s,
            trust_env=False,  # a proxy has no business between two processes of this machine
        )
        return answer.status_code, answer.json() if answer.content else None


def key_in_file(file: Path, database_url: str) -> str:
    """The API key in a file that only the user can read; created by `churn keys create` if there is none.

    Raises:
        InputError: if there is one, and the serving database knows no key at all.
        ChurnError: if none could be made.
    """
    if file.exists():
        _require_some_key(file, database_url)
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(  # noqa: S603
            [*churn_command(), "keys", "create", "--name", "demo", "--file", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise ChurnError(f"no API key could be made: {made.stderr.strip()}")
    return file.read_text(encoding="utf-8").strip()


def _require_some_key(file: Path, database_url: str) -> None:
    engine = connect(database_url)
    try:
        with engine.connect() as connection:
            is_known = connection.execute(sa.select(api_keys.c.key_id).limit(1)).first() is not None
    finally:
        engine.dispose()
    if not is_known:
        raise InputError(
            f"the key in {file} is of another serving database; move the file away, and this command makes another one"
        )


def churn_command() -> list[str]:
    """The command line of this environment."""
    return [str(Path(sys.executable).with_name("churn"))]


def free_port() -> int:
    """A port on this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int, log: Path, *, ready_within_s: float = 60.0, key: str) -> Iterator[Client]:
    """Run the service until the block ends.

    Raises:
        ChurnError: if it did not become ready, or did not stop cleanly; it names the log.
    """
    environment = {**os.environ, "CHURN_SERVICE__HOST": LOOPBACK, "CHURN_SERVICE__PORT": str(port)}
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(  # noqa: S603
            [*churn_command(), "serve"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        client = Client(port, key)
        try:
            _wait_until_ready(client, process, log, ready_within_s)
            yield client
        finally:
            stop(process)
    if process.returncode not in (0, -signal.SIGTERM):
        raise ChurnError(f"the service ended with status {process.returncode}; see {log}")


def stop(process: subprocess.Popen[Any]) -> None:
    """Ask a process to stop, and kill it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(client: Client, process: subprocess.Popen[Any], log: Path, within_s: float) -> None:
    until = time.monotonic() + within_s
    answer: object = "nobody answered"
    while time.monotonic() < until:
        if process.poll() is not None:
            tail = " ".join(log.read_text(encoding="utf-8").split()[-60:])
            raise ChurnError(f"the service ended with status {process.returncode}: {tail}")
        try:
            status, answer = client.ask("/health/ready", timeout_s=2.0)
        except httpx.TransportError:
            status = 0
        if status == 200:  # noqa: PLR2004
            return
        time.sleep(0.2)
    raise ChurnError(f"the service was not ready within {within_s:.0f} s: {answer}; see {log}")
