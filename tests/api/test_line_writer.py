"""The writer of log lines: order, bound, count, and an end within its time."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from churn_api.telemetry.line_writer import LineWriter
from tests.api.conftest import Installation

PIPE_BYTES = 65_536


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends a test may close: a number that is another file's by then is left alone."""
    read, write = os.pipe()
    pipe_id = os.fstat(read)
    yield read, write
    for end in (read, write):
        with suppress(OSError):
            if os.path.samestat(os.fstat(end), pipe_id):
                os.close(end)


def all_of(read: int) -> bytes:
    parts = []
    while part := os.read(read, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def test_lines_arrive_whole_and_in_order_from_several_threads(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write)
    senders = [
        threading.Thread(target=lambda name=name: [writer.put(b"%s %d %s\n" % (name, i, b"x" * 500)) for i in range(300)])
        for name in (b"a", b"b")
    ]
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(all_of(read)))
    for thread in (reader, *senders):
        thread.start()
    for sender in senders:
        sender.join()
    writer.close(10)
    os.close(write)
    reader.join()
    lines = received[0].splitlines()
    assert len(lines) == 600
    for name in (b"a", b"b"):
        assert [int(line.split()[1]) for line in lines if line.startswith(name)] == list(range(300))
    assert writer.dropped == 0


def test_what_nobody_reads_is_dropped_and_counted_and_told_once_it_is_read_again(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write, limit_bytes=100_000)
    begun = time.monotonic()
    for i in range(5_000):
        writer.put(b"%07d %s\n" % (i, b"x" * 91))
    sent = 5_000
    while not writer.is_dropping:  # the line before may have been taken, as the thread had just begun to write others
        writer.put(b"%07d %s\n" % (sent, b"x" * 91))
        sent += 1
    assert time.monotonic() - begun < 5
    assert writer.waiting_bytes <= 100_000
    dropped = writer.dropped
    assert sent - (PIPE_BYTES + 200_000) // 100 <= dropped < sent
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(all_of(read)))
    reader.start()
    while writer.waiting_bytes:
        assert time.monotonic() - begun < 20
        time.sleep(0.01)
    writer.put(b"the last\n")
    assert not writer.is_dropping
    writer.close(10)
    os.close(write)
    reader.join()
    *lines, last = received[0].splitlines()
    said = [msgspec.json.decode(line) for line in lines if line.startswith(b"{")]
    assert {(one["event"], one["level"]) for one in said} == {("log_lines_dropped", "warning")}
    assert sum(one["lines"] for one in said) == dropped
    assert len([line for line in lines if not line.startswith(b"{")]) + dropped == sent
    assert last == b"the last"


def test_the_end_waits_for_a_reader_that_has_stopped_but_not_for_ever(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.put(b"x" * (PIPE_BYTES * 2) + b"\n")
    begun = time.monotonic()
    writer.close(0.3)
    assert 0.2 < time.monotonic() - begun < 3
    writer.put(b"too late\n")
    assert writer.dropped == 1


def test_a_closed_pipe_is_counted_and_does_not_end_the_writer(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write)
    os.close(read)
    for _ in range(3):
        writer.put(b"a\nb\n")
    writer.close(5)
    assert writer.dropped == 6


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    writer = LineWriter(write)
    sent = b"".join(b"%07d\n" % i for i in range(40_000))
    writer.put(sent)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(all_of(read)))
    time.sleep(0.1)
    reader.start()
    writer.close(10)
    os.close(write)
    reader.join()
    assert received == [sent]
    assert writer.dropped == 0


def test_health_and_metrics_tell_of_dropped_lines(tmp_path: Path) -> None:
    with Installation.make(tmp_path) as installed, installed.serve() as service:
        lines: LineWriter = service.app.state.pipeline.access_log._writer
        assert service.get("/health").json()["degraded"] == []
        with lines._changed:
            lines._drop(b"a\nb\nc\n")
        said = "log lines are dropped: nobody reads standard output, or it can't be written"
        assert service.get("/health", key=None).json()["degraded"] == [said]
        assert service.get("/health/detailed").json()["log"]["dropped_lines"] == 3
        assert service.metric("churn_log_lines_dropped_total") == 3
        assert service.metric("churn_log_lines_dropped_total") == 3


def test_lines_of_two_processes_on_one_pipe_are_not_torn(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writers = [LineWriter(write, is_shared=True) for _ in range(2)]  # to the kernel two processes are no more than this
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(all_of(read)))
    reader.start()
    for writer, letter in zip(writers, (b"a", b"b"), strict=True):
        for _ in range(100):
            writer.put(b"\n".join([letter * 700] * 30) + b"\n")
    for writer in writers:
        writer.close(20)
    os.close(write)
    reader.join()
    assert set(received[0].splitlines()) == {b"a" * 700, b"b" * 700}
    assert received[0].count(b"\n") == 2 * 100 * 30
