"""The text that Prometheus reads: what all workers have counted together, and what the process of each one takes.

Each worker counts for itself, in its own memory, so a request costs no more than with one. Asked for the metrics, a worker hands in what it
has counted, lets the others do the same, and adds up. What was shown once was handed in before, and what a worker handed in is continued by
the one that takes its place: so no counter falls. Does not belong here: what is counted (``telemetry.metrics``), and the memory
(``workers.board``).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.samples import Sample

from churn_api.telemetry.json_log import say
from churn_api.workers.worker import Worker

PATIENCE_S: Final = 0.5
"""Longest wait for the other workers; of one that has not answered by then, what it handed in last is shown."""

LOOK_S: Final = 0.002

SHARED_EVERY_S: Final = 5.0
"""How often a worker hands in unasked: so much at most is not counted when it is killed."""

FAILED_FROM: Final = 400

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a sample."""


class Counted(msgspec.Struct, array_like=True):
    """A metric with its samples: name, labels and value of each."""

    name: str
    help: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]

    @property
    def adds_up(self) -> bool:
        """Whether it only grows, so that it is summed over workers and continued by the next process."""
        return self.type in {"counter", "histogram"}


class HandedIn(msgspec.Struct, array_like=True):
    """What a process has counted."""

    pid: int
    metrics: list[Counted]


@dataclass(frozen=True)
class _Text:
    """What ``generate_latest`` takes for a registry."""

    metrics: list[Metric]

    def collect(self) -> Iterator[Metric]:
        return iter(self.metrics)


class Exposition:
    """The metrics of all workers.

    Args:
        registry: metrics of this process.
        worker: which of several workers it is.
        pid: its id.
        refresh: function that brings the metrics up to date that are not kept so.
        alike: function that returns metrics that every worker knows alike, so that one of them shows its own.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        worker: Worker,
        pid: int,
        refresh: Callable[[], None],
        alike: Callable[[], list[Metric]] = list,
    ) -> None:
        self._alike = alike
        self._registry = registry
        self._worker = worker
        self._pid = pid
        self._refresh = refresh
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(HandedIn).decode
        self._is_too_long = False
        former = [] if worker.board is None else self._read(worker.number)
        self._former = [metric for metric in former if metric.adds_up]

    async def text(self) -> bytes:
        """What Prometheus reads."""
        together = await self.together()
        return generate_latest(
            _Text([*map(_metric, (*together, *known_names(together))), *self._alike(), *self._processes()])
        )

    async def together(self) -> list[Counted]:
        """What all workers have counted."""
        board, own = self._worker.board, self._worker.number
        counted = [self.hand_in()]
        if board is not None:
            others = [number for number in range(1, board.workers + 1) if number != own]
            waiting = {number: board.sequence(number) for number in others if board.pid(number)}
            for number in waiting:
                board.ring(number)
            end_s = time.monotonic() + PATIENCE_S
            while time.monotonic() < end_s and any(board.sequence(number) == was for number, was in waiting.items()):
                await asyncio.sleep(LOOK_S)
            counted += [self._read(number) for number in others]
        return merged(counted)

    def hand_in(self) -> list[Counted]:
        """Let the other workers see what this one has counted. Called in the event loop."""
        self._refresh()
        counted = merged([[_counted(metric) for metric in self._registry.collect()], self._former])
        if self._worker.board is not None:
            fits = self._worker.board.hand_in(self._worker.number, self._encode(HandedIn(self._pid, counted)))
            if not fits and not self._is_too_long:
                say("metrics_not_shared", logging.ERROR, reason="too many series")
            self._is_too_long = not fits
        return counted

    async def follow(self) -> None:
        """Answer the other workers, and hand in from time to time without being asked; until cancelled."""
        board, number = self._worker.board, self._worker.number
        if board is None:
            return
        loop, bell = asyncio.get_running_loop(), board.bell(number)
        loop.add_reader(bell, self._answer, bell)
        try:
            while True:
                self.hand_in()
                await asyncio.sleep(SHARED_EVERY_S)
        finally:
            loop.remove_reader(bell)

    def _answer(self, bell: int) -> None:
        self._worker.hear(bell)
        self.hand_in()

    def _read(self, number: int) -> list[Counted]:
        """What a worker handed in last; of a process that has ended only what adds up."""
        board = self._worker.board
        text = b"" if board is None else board.read(number)
        if board is None or not text:
            return []
        handed_in = self._decode(text)
        is_there = handed_in.pid == board.pid(number)
        return [metric for metric in handed_in.metrics if is_there or metric.adds_up]

    def _processes(self) -> list[Metric]:
        """What each worker's process takes, and how the workers are."""
        board = self._worker.board
        if board is None:
            return _of_processes({self._worker.number: self._pid})
        numbers = range(1, board.workers + 1)
        return [
            *_of_processes({number: board.pid(number) for number in numbers if board.pid(number)}),
            _by_worker("churn_worker_up", "Whether a worker answers", "gauge", map(board.is_ready, numbers)),
            _by_worker("churn_worker_silent_seconds", "Since a worker last handed in its metrics", "gauge", map(board.silent_s, numbers)),
            _by_worker("churn_worker_restarts", "Times that a worker ended by itself", "counter", map(board.restarts, numbers)),
        ]  # fmt: skip


def merged(counted: Iterable[list[Counted]]) -> list[Counted]:
    """The metrics of several processes as one: sums of what adds up, the highest of what is measured."""
    heads: dict[str, Counted] = {}
    values: dict[str, dict[Series, float]] = {}
    for metrics in counted:
        for metric in metrics:
            heads.setdefault(metric.name, metric)
            series = values.setdefault(metric.name, {})
            for name, labels, value in metric.samples:
                key = name, tuple(labels.items())
                former = series.get(key)
                if former is None:
                    series[key] = value
                else:
                    series[key] = former + value if metric.adds_up else max(former, value)
    return [
        Counted(name, head.help, head.type, [(one, dict(labels), value) for (one, labels), value in values[name].items()])
        for name, head in heads.items()
    ]


def known_names(counted: list[Counted]) -> list[Counted]:
    """The same under the names that dashboards of churn services look for, which have no prefix."""
    by_name = {metric.name: metric for metric in counted}
    requests, latency = by_name["churn_requests"].samples, by_name["churn_request_seconds"].samples
    predicting = [sample for sample in requests if predicts(sample[1])]
    return [
        Counted(
            "prediction_latency_seconds", "From the head of a request for predictions to its answer", "histogram",
            [(_renamed(name, "churn_request_seconds", "prediction_latency_seconds"), labels, value)
             for name, labels, value in latency if predicts(labels)],
        ),
        _counter("prediction_requests", "Requests for predictions that were answered", predicting),
        _counter("prediction_errors", "Requests for predictions that failed, by status", filter(_failed, predicting)),
        _counter("predictions", "Predictions answered", by_name["churn_predictions"].samples),
        _counter("api_errors", "Requests that failed, by status", filter(_failed, requests)),
    ]  # fmt: skip


def predicts(labels: dict[str, str]) -> bool:
    """Whether a request with these labels was for predictions."""
    return labels["route"].startswith("/predict") or labels["route"].endswith("/infer")


def _failed(sample: tuple[str, dict[str, str], float]) -> bool:
    return int(sample[1]["status"]) >= FAILED_FROM


def _renamed(name: str, former: str, new: str) -> str:
    return new + name.removeprefix(former)


def _counter(name: str, said: str, samples: Iterable[tuple[str, dict[str, str], float]]) -> Counted:
    return Counted(name, said, "counter", [(f"{name}_total", labels, value) for _, labels, value in samples])


def _by_worker(name: str, said: str, kind: str, values: Iterable[float]) -> Metric:
    metric = Metric(name, said, kind)
    for number, value in enumerate(values, start=1):
        metric.add_sample(f"{name}_total" if kind == "counter" else name, {"worker": str(number)}, float(value))
    return metric


def _of_processes(pids: dict[int, int]) -> list[Metric]:
    """CPU, memory, open files and start of each process, as the official client names them, by worker."""
    found: dict[str, Metric] = {}
    for number, pid in pids.items():
        for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            one = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            one.samples += [
                Sample(sample.name, {**sample.labels, "worker": str(number)}, sample.value) for sample in metric.samples
            ]
    return list(found.values())


def _counted(metric: Metric) -> Counted:
    samples = [(sample.name, sample.labels, float(sample.value)) for sample in metric.samples]
    return Counted(metric.name, metric.documentation, metric.type, samples)


def _metric(counted: Counted) -> Metric:
    metric = Metric(counted.name, counted.help, counted.type)
    metric.samples = [Sample(name, labels, value) for name, labels, value in counted.samples]
    return metric
