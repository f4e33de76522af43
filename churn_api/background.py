"""Repeated work in a thread of its own, so that a step that hangs never blocks the event loop."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

SLOWEST_S = 5.0
"""Longest pause between attempts while a step keeps failing."""


class PeriodicTask:
    """Calls ``step`` every ``every_s``; after failures less and less often, down to every ``SLOWEST_S``.

    The thread is a daemon: a step that hangs in a dead connection does not keep the process from ending.

    Args:
        name: name of the thread.
        step: function to call; any exception is a failed attempt, also a panic of a Rust library, which is a ``BaseException``.
        every_s: seconds between attempts.
        on_failure: function called with the exception of each failed attempt.
    """

    def __init__(
        self, name: str, step: Callable[[], None], *, every_s: float, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._step = step
        self._every_s = every_s
        self._on_failure = on_failure
        self._stop = threading.Event()
        self._attempted = threading.Event()
        self._succeeded = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def age_s(self) -> float:
        """Seconds since the last success; grows while a step fails or hangs."""
        return time.monotonic() - self._succeeded

    def start(self) -> None:
        """Begin, with the first step at once."""
        self._thread.start()

    def wait_for_first(self, timeout_s: float) -> bool:
        """Wait until the first attempt has ended, successful or not."""
        return self._attempted.wait(timeout_s)

    def stop(self, timeout_s: float = 2.0) -> None:
        """Ask the thread to end and wait for it, but not for ever."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._step()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                failures += 1
                self._on_failure(error)
            else:
                failures = 0
                self._succeeded = time.monotonic()
            self._attempted.set()
            self._stop.wait(self._pause_s(failures))

    def _pause_s(self, failures: int) -> float:
        if failures == 0:
            return self._every_s
        slower = min(self._every_s * 2.0 ** min(failures, 16), max(SLOWEST_S, self._every_s))
        return slower * random.uniform(0.8, 1.0)  # noqa: S311


def write_last(steps: Sequence[Callable[[], None]], at_most_s: float) -> None:
    """Call steps once more at the end of the process, within a time limit; one that fails stops none of the others."""

    def run() -> None:
        for step in steps:
            with suppress(Exception):
                step()

    last = threading.Thread(target=run, name="last writes", daemon=True)
    last.start()
    last.join(at_most_s)
