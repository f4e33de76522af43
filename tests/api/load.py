"""Requests without a pause, from several connections to several workers, with what each answer said and when.

Belongs here: asking and remembering. Does not belong here: what should have been said.
"""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.api.processes import Process

ROUNDING = 1e-6
"""Between the same row scored alone and in a batch."""


@dataclass(frozen=True)
class Seen:
    """One prediction as it was answered; times by ``time.monotonic``.

    Attributes:
        epoch: of the row by which the worker answered.
        named: the release in the header of the response.
    """

    begun: float
    worker: int
    customer: str
    release: str
    epoch: int
    role: str
    probability: float
    named: str


class Load:
    """Asks for customers of the workers until the block ends.

    Args:
        workers: what to ask.
        key: for predictions.
        customers: ids, asked in turn.
        connections: so many a worker.
        pause_s: between the requests of a connection.

    Attributes:
        requests: how many were answered.
        seen: every prediction, as they came.
        failed: what went wrong; should be empty.
    """

    def __init__(
        self, workers: Sequence[Process], key: str, customers: Sequence[str], *, connections: int = 2, pause_s: float = 0.0
    ) -> None:
        self._workers = workers
        self._headers = {"X-API-Key": key}
        self._customers = customers
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._askers = [
            threading.Thread(target=self._ask, args=(worker, start), daemon=True)
            for worker in range(len(workers))
            for start in range(connections)
        ]
        self.requests = 0
        self.seen: list[Seen] = []
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        for asker in self._askers:
            asker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for asker in self._askers:
            asker.join(15)

    def _ask(self, worker: int, start: int) -> None:
        connection = self._workers[worker].connect()
        turn = start
        try:
            while not self._stop.is_set():
                turn += 1
                time.sleep(self._pause_s)
                if turn % 10 == 0:
                    self._batch(connection, worker)
                else:
                    self._one(connection, worker, self._customers[turn % len(self._customers)])
        except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
            self.failed.append(repr(error))
        finally:
            connection.close()

    def _one(self, connection: http.client.HTTPConnection, worker: int, customer: str) -> None:
        begun = time.monotonic()
        told, named = self._answer(connection, f"/predict/{customer}", None)
        if told is not None:
            self._note(begun, worker, customer, told["model"], told["probability"], named)

    def _batch(self, connection: http.client.HTTPConnection, worker: int) -> None:
        begun = time.monotonic()
        told, named = self._answer(connection, "/predict/batch", {"customer_ids": list(self._customers)})
        for item in told["predictions"] if told is not None else ():
            model = item.get("model", told["model"])
            champion = named == told["model"]["release"]
            self._note(
                begun, worker, item["customer_id"], model, item["probability"], model["release"] if champion else named
            )

    def _answer(self, connection: http.client.HTTPConnection, path: str, body: Any) -> tuple[Any, str]:
        connection.request(
            "GET" if body is None else "POST", path, None if body is None else json.dumps(body), self._headers
        )
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            self.failed.append(f"{path}: {response.status} {content[:200]!r}")
            return None, ""
        self.requests += 1
        return json.loads(content), response.headers["x-release"]

    def _note(
        self, begun: float, worker: int, customer: str, model: dict[str, Any], probability: float, named: str
    ) -> None:
        self.seen.append(Seen(begun, worker, customer, model["release"], model["epoch"], model["role"], probability, named))


def mixed(seen: Sequence[Seen]) -> list[Seen]:
    """Answers that are half of one release and half of another.

    A release gives one probability a customer; a row of ``releases`` puts a customer to one release, in one role.
    """
    probabilities: dict[tuple[str, str], float] = {}
    put: dict[tuple[int, str], tuple[str, str]] = {}
    return [
        one
        for one in seen
        if one.named != one.release
        or abs(probabilities.setdefault((one.release, one.customer), one.probability) - one.probability) > ROUNDING
        or put.setdefault((one.epoch, one.customer), (one.release, one.role)) != (one.release, one.role)
    ]
