"""Programs that run beside each other in the foreground: their lines told apart by name, all of them ended when one ends.

Belongs here: starting, printing and ending. Does not belong here: which programs there are (``churn_assets.cli.dev``).
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from churn_assets.resources.service_process import LOOPBACK, STOP_WITHIN_S
from churn_store.errors import InputError

LAST_LINES = 20
"""The number of lines that are kept to say why a program ended."""

MOST_PORTS = 65_535

ERROR = re.compile(r"[\w.]*(Error|Exception)\b.*: ")
"""The last line of a traceback, which says more than what a program writes while it ends."""

Say = Callable[[str], None]


def require_free(port: int, *, what: str, option: str) -> None:
    """Refuse a port on which somebody listens, before anything is started.

    Args:
        port: port on this machine.
        what: program that shall listen there, in words.
        option: option of the command with which another port is named.

    Raises:
        InputError: if the port is taken or can't be used.
    """
    if not 1 <= port <= MOST_PORTS:
        raise InputError(f"{option} is {port}; expected a port, a number from 1 to {MOST_PORTS}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise InputError(
                f"can't listen on {LOOPBACK} port {port} for {what}: {error.strerror}; stop what listens there, or name another port with {option}"
            ) from error


@dataclass
class Child:
    """A program and the process that runs it.

    Attributes:
        name: name before each of its lines.
        command: command line.
        environment: environment of the process.
        process: the process; `None` before the start.
        last: its last lines.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))

    def start(self, say: Say, *, width: int) -> None:
        """Start the process, and print its lines with its name before each.

        It is the first of a group of its own, so that Ctrl-C reaches it only by ``end``, with all that it has started.

        Args:
            say: function that prints a line.
            width: width of the column of names.
        """
        self.last.clear()
        self.process = subprocess.Popen(  # noqa: S603
            self.command,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        threading.Thread(target=self._print, args=(self.process.stdout, say, width), daemon=True).start()

    @property
    def status(self) -> int | None:
        """The exit status; `None` while it runs."""
        return None if self.process is None else self.process.poll()

    def end(self) -> None:
        """Ask the process to stop; kill it and what it has started if it does not."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_WITHIN_S)
        # What it has started is in its group, also when it has ended itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def why(self) -> str:
        """How the process ended, in words: its status, and its last line that names an error or else says something."""
        status = self.status or 0
        how = f"was ended by signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if status == 0:
            how = "ended by itself"
        spoken = [line for line in reversed(self.last) if line.strip()]
        last = next(iter([*filter(ERROR.match, spoken), *spoken]), "")
        return f"{self.name} {how}{f': {last}' if last else ', and said nothing'}"

    def _print(self, lines: IO[bytes], say: Say, width: int) -> None:
        for line in lines:
            text = line.decode("utf-8", errors="replace").rstrip("\n")
            self.last.append(text)
            say(f"{self.name:<{width}} | {text}")
