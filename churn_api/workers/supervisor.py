"""`churn serve --workers N`: the process that starts the workers, starts one again that ended, and ends them.

It holds the port without listening on it, so that nobody else takes it while a worker is away. It has no thread and imports nothing heavy,
since a copy of such a process is a sound one. The first worker starts alone: it tries the model and copies what it serves, and the others
find that done. Does not belong here: what a worker does (``server``).
"""

import logging
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

from churn_api.settings import ServiceSettings
from churn_api.telemetry.json_log import log_to, say
from churn_api.telemetry.line_writer import PromptWriter
from churn_api.workers.board import Board
from churn_api.workers.sockets import address_of, hold
from churn_api.workers.worker import Worker

FIRST_ALONE_S: Final = 15.0
"""Longest time for which the other workers wait for the first one to answer."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Time before a worker that ended is started again; doubled each time that it ended soon."""

LIVED_S: Final = 60.0
"""A worker that lived so long did not end soon."""

LOOK_S: Final = 0.2

ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def longest_end_s(limits: ServiceSettings) -> float:
    """Longest time that a worker may take to end: open requests, the log, the last rows, and its threads."""
    return 3.0 * limits.shutdown_s + 20.0


@dataclass
class _Place:
    """A worker's place.

    Attributes:
        due_s: when its process is to be started, by the monotonic clock.
        ended_soon: how often in a row it ended soon after its start.
    """

    number: int
    pid: int = 0
    started_s: float = 0.0
    due_s: float = 0.0
    ended_soon: int = 0


def supervise(limits: ServiceSettings) -> Worker:
    """Start workers, and start them again, until the process is asked to end.

    Returns:
        In each worker's process, what it is. In this process never: it ends as it was asked to.

    Raises:
        InputError: if the port is taken.
        SystemExit: if the first worker can't start; it has said why.
    """
    return _Supervisor(limits).run()


class _Supervisor:
    def __init__(self, limits: ServiceSettings) -> None:
        log_to(PromptWriter())
        self._limits = limits
        self._port_holder = hold(limits)
        self._port: int = self._port_holder.getsockname()[1]
        self._board = Board(limits.workers)
        self._life = os.pipe()
        self._places = [_Place(number) for number in range(1, limits.workers + 1)]
        self._asked: signal.Signals | None = None
        self._kill_s = float("inf")
        self._was_ready = False
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def run(self) -> Worker:
        for number in (*ENDING, signal.SIGCHLD):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        say("listening", address=address_of(self._port_holder), workers=self._limits.workers)
        for place in self._places[1:]:
            place.due_s = time.monotonic() + FIRST_ALONE_S
        while True:
            for place in self._places:
                if place.pid == 0 and self._asked is None and time.monotonic() >= place.due_s:
                    worker = self._started(place)
                    if worker is not None:
                        return worker
            self._wait()
            for place in self._places:
                self._look(place)
            if self._asked is not None:
                self._end_all(self._asked)

    def _note(self, number: int, _: FrameType | None) -> None:
        if number in ENDING:
            self._asked = signal.Signals(number)

    def _wait(self) -> None:
        select.select([self._woken], [], [], LOOK_S)
        try:
            while self._woken.recv(256):
                pass
        except BlockingIOError:
            pass
        if not self._was_ready and self._board.is_ready(1):
            self._was_ready = True
            for place in self._places:
                place.due_s = min(place.due_s, time.monotonic())

    def _started(self, place: _Place) -> Worker | None:
        """Start a worker; returns what it is in its process, and ``None`` in this one."""
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # one that comes now shall end the new process as well
        place.pid = os.fork()
        if place.pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for ours in (self._port_holder, self._woken, self._waker):
                ours.close()
            os.close(self._life[1])
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            return Worker(number=place.number, port=self._port, board=self._board, life=self._life[0])
        self._board.started(place.number, place.pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        place.started_s = time.monotonic()
        say("worker_started", worker=place.number, process=place.pid)
        return None

    def _look(self, place: _Place) -> None:
        """See whether a worker has ended, and when it is to be started again."""
        if place.pid == 0:
            return
        pid, status = os.waitpid(place.pid, os.WNOHANG)
        if pid == 0:
            return
        lived_s = time.monotonic() - place.started_s
        place.pid = 0
        self._board.ended(place.number)
        ended = _in_words(status)
        if self._asked is not None:
            say("worker_ended", worker=place.number, process=pid, ended_by=ended)
            return
        if not self._was_ready and place.number == 1:
            self._give_up(status)
        place.ended_soon = 0 if lived_s >= LIVED_S else place.ended_soon + 1
        pause_s = min(SHORTEST_PAUSE_S * 2.0 ** max(place.ended_soon - 1, 0), LONGEST_PAUSE_S)
        place.due_s = time.monotonic() + pause_s
        say(
            "worker_ended",
            logging.ERROR,
            worker=place.number,
            process=pid,
            ended_by=ended,
            lived_s=round(lived_s, 1),
            started_again_in_s=pause_s,
        )

    def _give_up(self, status: int) -> NoReturn:
        """End with what ended the first worker before it answered: what it lacks, the others lack too."""
        self._send(signal.SIGKILL)
        code = os.waitstatus_to_exitcode(status)
        sys.exit(code if code >= 0 else 128 - code)

    def _end_all(self, asked: signal.Signals) -> None:
        """Ask the workers to end; once all have, end in the way that was asked for."""
        if self._kill_s == float("inf"):
            say("stopping", workers=sum(place.pid != 0 for place in self._places))
            self._kill_s = time.monotonic() + longest_end_s(self._limits)
            self._send(signal.SIGTERM)
        if time.monotonic() > self._kill_s:
            say("workers_killed", logging.ERROR, workers=[place.number for place in self._places if place.pid])
            self._send(signal.SIGKILL)
        if all(place.pid == 0 for place in self._places):
            say("stopped")
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.raise_signal(asked)

    def _send(self, number: signal.Signals) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)


def _in_words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else signal.Signals(-code).name
