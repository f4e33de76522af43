"""A process of its own for a file that may end the process that reads it.

The child is a new interpreter, not a copy of this process: it inherits no handle, no address of a database and no key. It gets bytes
on its standard input and has little memory and time. The machine's memory killer takes it first. Does not belong here: what the child does
with the bytes (``trial``, ``reference_sample``, ``standing_scorer``).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import churn_store

INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""Variables that an interpreter may need to start."""

QUIET: Final = {
    "ORT_DISABLE_TELEMETRY": "1",
    "POLARS_MAX_THREADS": "1",  # each thread of each library reserves memory
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

MOST_SAID: Final = 64 * 1024
"""Most bytes that a child may write, to its output or anywhere."""

LOOK_S: Final = 0.02
"""Pause between looks at a child."""

LOOKS_PER_QUESTION: Final = 12
"""Looks between two questions whether the child is still wanted."""

START_S: Final = 5
"""Processor time that a child may take above its own, for its imports."""


class NotWantedError(Exception):
    """The child was ended because nobody waits for its answer any more."""


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        status: its exit status; below 0 the signal that killed it; ``None`` if its time was up.
        said: what it wrote.
    """

    status: int | None
    said: bytes


def run_child(
    module: str,
    parts: Sequence[bytes],
    *,
    memory: int,
    cpu_s: int,
    within_s: float,
    wanted: Callable[[], bool] | None = None,
) -> Ended:
    """Run a module with some bytes as its standard input, and wait until it ends or is ended.

    Args:
        module: module that calls ``confine`` before it reads, with its two arguments.
        parts: input of the child, one after the other.
        memory: address space of the child in bytes.
        cpu_s: processor time of the child in seconds.
        within_s: time after which it is killed; more than its processor time, as the machine may be busy.
        wanted: function asked a few times a second; once it says no, the child is killed.

    Raises:
        NotWantedError: if it was killed for that.
        OSError: if no process can be started.
    """
    with _buffer() as given, _buffer() as said:
        given.writelines(parts)
        given.flush()
        given.seek(0)
        child = subprocess.Popen(  # noqa: S603 - this package, by this interpreter
            _command(module, memory, cpu_s + START_S),
            stdin=given,
            stdout=said,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            close_fds=True,
        )
        try:
            status = _wait(child, within_s, wanted)
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        return Ended(status, said.read(MOST_SAID))


def start_child(module: str, handle: int, *, memory: int) -> subprocess.Popen[bytes]:
    """Start a module that lives on, with a socket as its standard input and no limit of processor time.

    Args:
        module: module that calls ``confine`` before it reads.
        handle: file descriptor of the child's end of a pair of sockets; to be closed by the caller.
        memory: address space of the child in bytes.

    Returns:
        The child, which the caller ends and waits for.

    Raises:
        OSError: if no process can be started.
    """
    return subprocess.Popen(  # noqa: S603 - this package, by this interpreter
        _command(module, memory, 0),
        stdin=handle,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
        close_fds=True,
    )


def confine(arguments: Sequence[str]) -> None:
    """Let this process, a child, have no more than its parent says.

    Args:
        arguments: address space in bytes and processor time in seconds (0 for no limit), as ``run_child`` hands them over.
    """
    memory, cpu_s = (int(argument) for argument in arguments)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    for limit, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        *(((resource.RLIMIT_CPU, cpu_s, cpu_s + 1),) if cpu_s else ()),  # first a signal that says why
        (resource.RLIMIT_FSIZE, MOST_SAID, MOST_SAID),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        given = resource.getrlimit(limit)[1]
        allowed = hard if given == resource.RLIM_INFINITY else min(hard, given)
        resource.setrlimit(limit, (min(soft, allowed), allowed))


def _command(module: str, memory: int, cpu_s: int) -> list[str]:
    # -B: of a compiled module a limit on written bytes would leave half, which every later process would trip over.
    return [sys.executable, "-B", "-P", "-s", "-m", module, str(memory), str(cpu_s)]


def _wait(child: subprocess.Popen[bytes], within_s: float, wanted: Callable[[], bool] | None) -> int | None:
    end, looks = time.monotonic() + within_s, 0
    while time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_S)
        looks += 1
        if wanted is not None and looks % LOOKS_PER_QUESTION == 0 and not wanted():
            raise NotWantedError
    return None


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, **QUIET, "PYTHONPATH": str(Path(churn_store.__file__).parent.parent)}


def _buffer() -> BinaryIO:
    """A file that needs no disk where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("churn", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile("w+b")
