"""Waiting for another run."""

import time
from collections.abc import Callable


def wait_while(condition: Callable[[], bool], *, within_s: float, poll_s: float) -> bool:
    """Wait until a condition no longer holds, and return whether that came within a time.

    Args:
        condition: what is waited for to end; asked at least once.
        within_s: longest wait, in seconds.
        poll_s: pause between two questions, in seconds.
    """
    until = time.monotonic() + within_s
    while condition():
        if time.monotonic() > until:
            return False
        time.sleep(poll_s)
    return True
