"""What a process of the service knows of being one of several.

Does not belong here: how they are started and started again (``workers.supervisor``).
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from churn_api.telemetry.json_log import say
from churn_api.workers.board import Board

STARTS_WITHIN_S: Final = 60.0
"""A worker that does not answer so long after its start is said to be away."""


@dataclass(frozen=True)
class Worker:
    """One worker.

    Attributes:
        number: its number, from 1.
        port: port that it shares with the others; ``None`` for the only one, which takes that of the settings.
        board: memory that it shares with them; ``None`` for the only one.
        life: pipe that ends with the supervisor; ``None`` for the only one.
    """

    number: int = 1
    port: int | None = None
    board: Board | None = None
    life: int | None = None

    @property
    def is_one_of_several(self) -> bool:
        """Whether there may be others."""
        return self.board is not None

    def ready(self) -> None:
        """Tell the supervisor that this worker answers."""
        if self.board is not None:
            self.board.ready(self.number)
            say("worker_ready")

    def words(self) -> list[str]:
        """Which of the others do not answer."""
        board = self.board
        if board is None:
            return []
        others = [number for number in range(1, board.workers + 1) if number != self.number]
        away = [number for number in others if not board.is_ready(number) and _is_overdue(board, number)]
        return [f"worker {number} of {board.workers} does not run; it is started again" for number in away]

    def hear(self, bell: int) -> None:
        """Take note of having been asked for what this worker has counted, however often."""
        with suppress(BlockingIOError):
            while os.read(bell, 256):
                pass

    def end_with_the_supervisor(self, within_s: float) -> None:
        """From now on end when the supervisor has ended, however it did.

        Args:
            within_s: time for open requests and the last writes; then the process ends whatever it is doing.
        """
        life = self.life
        if life is None:
            return

        def wait() -> None:
            os.read(life, 1)  # nothing is ever written: this returns when the supervisor's end is closed
            say("supervisor_gone", logging.WARNING)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(within_s)
            os._exit(1)

        threading.Thread(target=wait, name="life of the supervisor", daemon=True).start()


def _is_overdue(board: Board, number: int) -> bool:
    return not board.pid(number) or board.silent_s(number) > STARTS_WITHIN_S
