"""The trial of a model: loaded, and its golden rows replayed, in a child process before any other process loads it.

A model file can end the process that loads it in ways that no check foresees. So a child with little memory and time tries it first; what
kills the child is refused in a sentence. A trial that passed is remembered, in the process and in a folder, so that a restart or a rollback
does not wait for another. Run as a program, this module is the child. Does not belong here: where the files come from (``bundles``).
"""

import contextlib
import functools
import hashlib
import os
import platform
import signal
import struct
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from churn_store.errors import ReleaseError, UnsafeFileError
from churn_store.model.scorer import Scorer
from churn_store.model.signature import Signature
from churn_store.releases.child import NotWantedError, confine, run_child
from churn_store.releases.golden_rows import replay
from churn_store.releases.manifest import decode_golden
from churn_store.safe_read import MEBIBYTE, read_regular

BASE_BYTES: Final = 1_024 * MEBIBYTE
"""Address space of a child with a small model: the libraries take 160 MiB of it, and the most that one run may compute as much."""

BYTES_PER_BYTE: Final = 32
"""Additional address space for each byte of a model and its golden rows: a forest of 53 MiB was loaded in 1,176 MiB."""

CPU_S: Final = 30
WITHIN_S: Final = 120.0

REFUSED: Final = 3
"""Exit status of a child that found what it can say; its sentence is on its standard output."""

STACK_BYTES: Final = 1 * MEBIBYTE
"""Stack of the thread that loads the model in the child: an eighth of what a thread of the service has."""

REMEMBERED: Final = 200
"""Trials in the folder; the oldest are forgotten."""

RUNTIMES: Final = ("onnxruntime", "onnx", "numpy", "churn-platform")
"""Packages whose version a trial holds for."""

CHILD = "churn_store.releases.trial"
"""Module that the child runs: this one."""

_MARK: Final = b"tried\n"


class Trials:
    """Which models were tried on this machine.

    Args:
        folder: folder that remembers them beyond this process, which nobody else may write to; ``None`` to remember in this process
            only.
    """

    _passed: Final[set[str]] = set()

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._one_at_a_time = threading.RLock()  # the question whether a trial is wanted may need another one

    def require(
        self, model: bytes, golden: bytes, signature: Signature, *, wanted: Callable[[], bool] | None = None
    ) -> None:
        """Try a model, unless this was done.

        Args:
            model: content of ``model.onnx``.
            golden: content of ``golden.json``.
            signature: inputs of the model.
            wanted: function asked while a child tries the model; once it says no, the trial ends.

        Raises:
            ReleaseError: if the child refuses the model, or is ended by it.
            NotWantedError: if the trial was ended because nobody wants it any more.
            OSError: if no process can be started, which says nothing about the model.
        """
        inputs = msgspec.json.encode(signature)
        key = _key(model, golden, inputs)
        if self._is_known(key):
            return
        while not self._one_at_a_time.acquire(timeout=0.25):
            if wanted is not None and not wanted():
                raise NotWantedError
        try:
            if not self._is_known(key):
                _try(model, golden, inputs, wanted)
                self._remember(key)
        finally:
            self._one_at_a_time.release()

    def _is_known(self, key: str) -> bool:
        if key in self._passed:
            return True
        if self._folder is None:
            return False
        try:
            known = read_regular(self._folder / key, at_most=len(_MARK), follow_link=False) == _MARK
        except (OSError, UnsafeFileError):
            return False
        if known:
            self._passed.add(key)
        return known

    def _remember(self, key: str) -> None:
        self._passed.add(key)
        if self._folder is None:
            return
        with contextlib.suppress(OSError):  # on a full disk the next process tries the model again
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = self._folder / f".{key}.{os.getpid()}"
            beside.write_bytes(_MARK)
            beside.chmod(0o600)
            beside.replace(self._folder / key)
            for old in sorted(self._folder.iterdir(), key=lambda file: file.lstat().st_mtime)[:-REMEMBERED]:
                old.unlink()


IN_THIS_PROCESS: Final = Trials()
"""What a command or a run of the graph remembers: each model is tried once."""


def _key(model: bytes, golden: bytes, inputs: bytes) -> str:
    """A name for a model under this machine's libraries: another version of one of them means another trial."""
    digests = [hashlib.sha256(content).hexdigest() for content in (model, golden, inputs)]
    return hashlib.sha256("\n".join([*digests, *_machine()]).encode()).hexdigest()


@functools.cache
def _machine() -> tuple[str, ...]:
    runtimes = [f"{name} {version(name)}" for name in RUNTIMES]
    return (*runtimes, platform.python_version(), platform.machine(), platform.node())


def _try(model: bytes, golden: bytes, inputs: bytes, wanted: Callable[[], bool] | None) -> None:
    sizes = struct.pack(">QQQ", len(model), len(golden), len(inputs))
    ended = run_child(
        CHILD,
        (sizes, model, golden, inputs),
        memory=BASE_BYTES + BYTES_PER_BYTE * (len(model) + len(golden)),
        cpu_s=CPU_S,
        within_s=WITHIN_S,
        wanted=wanted,
    )
    if ended.status == 0:
        return
    where = "a process of its own, which tried it first"
    if ended.status == REFUSED:
        raise ReleaseError(" ".join(ended.said.decode(errors="replace").split()) or f"{where}, refused it")
    if ended.status is None or ended.status == -signal.SIGXCPU:
        raise ReleaseError(f"model.onnx can't be loaded and replayed within {CPU_S} s by {where}; it is not loaded here")
    how = f"ended it by {_signal(-ended.status)}" if ended.status < 0 else f"made it fail (exit status {ended.status})"
    raise ReleaseError(f"model.onnx {how}: {where}; it is not loaded here")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def main() -> None:
    """Be the child: exit status 0 for a model that loads and repeats its golden rows, ``REFUSED`` with a sentence for one that is refused."""
    confine(sys.argv[1:])
    sizes = struct.unpack(">QQQ", sys.stdin.buffer.read(struct.calcsize(">QQQ")))
    model, golden, inputs = (sys.stdin.buffer.read(size) for size in sizes)
    status = [1]

    def load_and_replay() -> None:
        try:
            replay(Scorer(model, msgspec.json.decode(inputs, type=Signature)), decode_golden(golden))
        except ReleaseError as error:
            sys.stdout.write(str(error)[:2_000])
            sys.stdout.flush()
            status[0] = REFUSED
        else:
            status[0] = 0

    threading.stack_size(STACK_BYTES)
    trying = threading.Thread(target=load_and_replay)
    trying.start()
    trying.join()
    os._exit(status[0])  # what the libraries do at the end of a process says nothing about the model


if __name__ == "__main__":
    main()
