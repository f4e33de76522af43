"""Ends a run whose code server has died: the daemon takes it for dead (``run_launcher``), and starts it a second time.

Belongs here: the watch over the parent process. Does not belong here: what becomes of the run, which the daemon decides.
"""

import multiprocessing
import os
import threading
from functools import cache
from multiprocessing.connection import wait

ENDED_WITH_PARENT = 70
"""The exit status of such a process."""


@cache
def end_with_parent() -> None:
    """Let this process end as soon as the process that made it is gone; nothing happens in a process that nobody made so.

    It ends at once, wherever it is: each write of the platform survives that. An instance without the launcher that notices the end lets
    such a run go on, and does not call this.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), name="end-with-parent", daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(ENDED_WITH_PARENT)
