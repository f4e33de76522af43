"""A model that scores in a child process which lives on: what ends or hangs the child does not touch the process that asks.

Run as a program, this module is the child. Belongs here: the two ends of the pipe, and how a child's end is noticed. Does not belong here:
which model scores which rows, and when a child is started again (``churn_api.shadow``).
"""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any, Final, Literal

import msgspec

from churn_store.errors import ReleaseError
from churn_store.model.scorer import NoProbabilityError, Scorer
from churn_store.model.signature import Signature
from churn_store.releases.child import confine, start_child
from churn_store.releases.trial import BASE_BYTES, BYTES_PER_BYTE

CHILD = "churn_store.releases.standing_scorer"
"""Module that the child runs: this one."""

NICENESS: Final = 10
"""The child gives way to the processes that answer."""

PARENT_LOOK_S: Final = 1.0
"""How often the child looks whether its parent is still there, also while the model hangs."""

BYTES_PER_ANSWER: Final = 16
"""Most bytes of the answer to one row; a number takes nine."""

LONGEST_SENTENCE: Final = 2_000

_LENGTH: Final = struct.Struct(">I")
_decode_answer = msgspec.msgpack.Decoder(list[float] | str, strict=True).decode


Reason = Literal["ended", "hung", "answer"]
"""What a child did: it ended, gave no answer in time, or a wrong one."""


class ScorerLostError(Exception):
    """The child is of no use any more; the message says in words what it did, and names no value of a row.

    Attributes:
        reason: the same in one word.
    """

    def __init__(self, words: str, reason: Reason) -> None:
        super().__init__(words)
        self.reason = reason


class StandingScorer:
    """A model in a child process.

    Args:
        model: content of ``model.onnx``, tried before (``trial``).
        signature: inputs of the model.
        within_s: time for the child to start and to load the model.

    Raises:
        ScorerLostError: if it does not load the model within that time.
        OSError: if no process can be started.
    """

    def __init__(self, model: bytes, signature: Signature, *, within_s: float) -> None:
        self._socket, theirs = socket.socketpair()
        try:
            self._child = start_child(CHILD, theirs.fileno(), memory=BASE_BYTES + BYTES_PER_BYTE * len(model))
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        try:
            self._ask(msgspec.msgpack.encode((model, msgspec.json.encode(signature))), 0, within_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Id of the child."""
        return self._child.pid

    def score(self, rows: list[dict[str, Any]], *, within_s: float) -> list[float]:
        """The probabilities of rows; not-a-number where the model gave none.

        Raises:
            ScorerLostError: if the child ended, gave no answer in time, or a wrong one; it can't be asked again.
        """
        return self._ask(msgspec.msgpack.encode(rows), len(rows), within_s)

    def end(self) -> None:
        """Kill the child, also while another thread waits for its answer, which then fails."""
        self._child.kill()

    def close(self) -> None:
        """Kill the child, wait for its end and give its handle back; may be called again."""
        self._child.kill()
        self._child.wait()
        self._socket.close()

    def _ask(self, question: bytes, rows: int, within_s: float) -> list[float]:
        end_s = time.monotonic() + within_s
        try:
            self._socket.settimeout(within_s)
            self._socket.sendall(_LENGTH.pack(len(question)) + question)
            (size,) = _LENGTH.unpack(self._receive(_LENGTH.size, end_s))
            if size > rows * BYTES_PER_ANSWER + 4 * LONGEST_SENTENCE:
                raise ScorerLostError(f"its process answered {size} bytes to {rows} rows", "answer")
            answer: list[float] | str = _decode_answer(self._receive(size, end_s))
        except TimeoutError:
            raise ScorerLostError(f"its process gave no answer within {within_s:g} s and was killed", "hung") from None
        except OSError:
            raise ScorerLostError(self._how_it_ended(), "ended") from None
        except msgspec.DecodeError:
            raise ScorerLostError("its process answered what can't be read", "answer") from None
        if isinstance(answer, str):
            raise ScorerLostError(" ".join(answer.split())[:300], "answer")
        if len(answer) != rows:
            raise ScorerLostError(f"its process answered {len(answer)} numbers to {rows} rows", "answer")
        return answer

    def _receive(self, size: int, end_s: float) -> bytes:
        parts, missing = [], size
        while missing:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            part = self._socket.recv(min(missing, 1 << 20))
            if not part:
                raise ConnectionResetError
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _how_it_ended(self) -> str:
        with contextlib.suppress(Exception):  # it closed its end and lives on
            self._child.wait(1.0)
        status = self._child.poll()
        if status is None:
            return "its process closed the connection and was killed"
        if status >= 0:
            return f"its process ended with exit status {status}"
        try:
            return f"its process was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"its process was killed by signal {-status}"


def main() -> None:
    """Be the child: load a model, then answer rows with probabilities until the parent closes its end."""
    confine(sys.argv[1:])
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    channel = socket.socket(fileno=os.dup(0))
    channel.setblocking(True)
    model, inputs = msgspec.msgpack.decode(_read(channel), type=tuple[bytes, bytes])
    try:
        scorer = Scorer(model, msgspec.json.decode(inputs, type=Signature))
    except ReleaseError as error:
        _write(channel, str(error)[:LONGEST_SENTENCE])
        os._exit(1)
    _write(channel, [])
    decode = msgspec.msgpack.Decoder(list[dict[str, Any]]).decode
    while True:
        rows = decode(_read(channel))
        try:
            answer = scorer.score_rows(rows).tolist()
        except NoProbabilityError as error:
            answer = error.given.tolist()
        except ReleaseError as error:
            answer = str(error)[:LONGEST_SENTENCE]
        _write(channel, answer)


def _read(channel: socket.socket) -> bytes:
    """One question; the parent's end of the connection is the end of this process."""
    (size,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size))
    return _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = channel.recv(min(missing, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _write(channel: socket.socket, answer: list[float] | str) -> None:
    encoded = msgspec.msgpack.encode(answer)
    channel.sendall(_LENGTH.pack(len(encoded)) + encoded)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_S)
    os._exit(0)


if __name__ == "__main__":
    main()
