"""A challenger in shadow: what the champion answers stays the same and at once, whatever the challenger's process does."""

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from churn_api.monitoring.shadow import quantile
from churn_api.shadow.queue import ShadowQueue
from churn_api.telemetry.metrics import Metrics
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.log import newest
from tests.api.conftest import ONLINE_ROWS, Installation
from tests.api.processes import CHURN, Process, ask, serving
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

TOP = Path(__file__).parents[2]

HANGING = (
    sys.executable,
    "-c",
    "import sys; from churn_store.releases import standing_scorer; standing_scorer.CHILD = 'tests.store.silent_scorer'; "
    "from churn_api.shadow import follower; follower.ANSWER_S = 0.3; follower.FIRST_PAUSE_S = 0.05; follower.MOST_FAILURES = 3; "
    "from churn_store.cli.main import main; sys.argv = ['churn', 'serve']; main()",
)
"""`churn serve` whose challenger in shadow hangs at its first rows."""

PATIENT = (*HANGING[:2], HANGING[2].replace("ANSWER_S = 0.3", "ANSWER_S = 60.0"))
"""The same, and the service waits."""


@pytest.fixture
def shadowed(installation: Installation, candidate: Candidate, other_candidate: Candidate) -> Installation:
    """A champion, and another model in shadow."""
    installation.make_key("ada", "release")
    installation.release(candidate)
    installation.put_online()
    installation.challenge(other_candidate, 0.0)
    return installation


def until(reached: Callable[[], Any], *, within_s: float = 60.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.05)
    return found


def report(process: Process, key: str) -> Any:
    status, told = process.ask("/shadow", key=key)
    assert status == 200, told
    return told


def scored(process: Process, key: str) -> int:
    return sum(one["scored"] for one in report(process, key)["comparisons"])


def put(process: Process, key: str, **arms: Any) -> tuple[int, Any]:
    """``PUT /ab/config``."""
    connection = process.connect()
    try:
        connection.request("PUT", "/ab/config", json.dumps({"reason": "try it", **arms}), {"X-API-Key": key})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def one_by_one(bundle: Bundle) -> list[float]:
    """The probabilities of all customers; rows that are scored together differ in the last digits."""
    return [bundle.scorer.score_rows([row]).tolist()[0] for row in ONLINE_ROWS]


class Load:
    """Predictions by attributes on two connections; what is answered, by customer.

    Args:
        process: the service.
        key: key to ask with.
        pause_s: pause after each answer, so that on a small machine others have their turn.
    """

    def __init__(self, process: Process, key: str, *, pause_s: float = 0.0) -> None:
        self._process, self._key, self._pause_s = process, key, pause_s
        self._stop = threading.Event()
        self.answered: list[tuple[int, int, float | None]] = []
        self._threads = [threading.Thread(target=self._ask, args=(first,), daemon=True) for first in (0, 25)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _ask(self, customer: int) -> None:
        connection = self._process.connect()
        while not self._stop.is_set():
            status, told = ask(connection, "/predict", key=self._key, body=body(customer))
            self.answered.append((customer, status, told.get("probability")))
            customer = (customer + 1) % len(ONLINE_ROWS)
            time.sleep(self._pause_s)
        connection.close()


def body(customer: int) -> dict[str, Any]:
    return {"customer_id": f"c{customer}", "attributes": ONLINE_ROWS[customer]}


def test_the_report_says_how_far_both_agree_and_the_shadow_is_switched_without_a_restart(shadowed: Installation) -> None:
    key, ada = shadowed.keys["both"].key, shadowed.keys["ada"].key
    row = newest(shadowed.engine)
    assert (row.kind, row.challenger_share) == ("shadowed", 0.0)
    champion, challenger = (load_bundle(shadowed.files, str(digest)) for digest in (row.champion, row.challenger))
    with serving(shadowed.home, CHURN_SERVICE__SHIP_S="0.1") as process:
        process.until("/health/ready", 200)
        until(lambda: report(process, key)["state"] == "scoring")
        answers = [process.ask("/predict", key=key, body=body(customer))[1] for customer in range(10)]
        batch = {"records": [body(customer) for customer in range(10, 20)]}
        answers += process.ask("/predict/batch", key=key, body=batch)[1]["predictions"]
        until(lambda: scored(process, key) == 20)
        told = report(process, key)
        status, arms = process.ask("/ab/config", key=key)
        assert (status, arms["challenger"], arms["share"], arms["serves"]) == (200, row.challenger, 0.0, True)
        assert {answer["model"]["role"] for answer in answers[:10]} == {"champion"}
        ours = [answer["probability"] for answer in answers]
        assert ours[:10] == one_by_one(champion)[:10]
        theirs = one_by_one(challenger)[:20]
        differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
        equal = sum(champion.churns(a) == challenger.churns(b) for a, b in zip(ours, theirs, strict=True))
        assert (told["release"], told["actor"], told["reason"]) == (row.challenger, "Ada", "try it")
        (one,) = told["comparisons"]
        assert (one["release"], one["champion"]) == (row.challenger[:12], row.champion[:12])
        assert (one["dropped"], one["failed"], one["agreement"]) == (0, 0, equal / 20)
        assert math.isclose(one["difference"]["mean"], sum(differences) / 20, abs_tol=1e-6)
        assert math.isclose(one["difference"]["largest"], max(differences), abs_tol=1e-6)
        assert max(differences) > 0.001

        assert put(process, ada, challenger=None)[1]["kind"] == "challenge_ended"
        until(lambda: report(process, key)["state"] == "off")
        assert process.ask("/predict", key=key, body=body(1))[0] == 200
        assert put(process, ada, challenger=row.challenger, share=0)[1]["kind"] == "shadowed"
        until(lambda: report(process, key)["state"] == "scoring")
        assert scored(process, key) == 20
        process.ask("/predict", key=key, body=body(1))
        until(lambda: scored(process, key) == 21)
        assert process.stop() == -signal.SIGTERM
    assert {logged["role"] for logged in shadowed.logged()} == {"champion"}


def test_a_killed_scorer_changes_no_answer_and_is_started_again(shadowed: Installation) -> None:
    key = shadowed.keys["both"].key
    expected = one_by_one(shadowed.bundle())
    with serving(shadowed.home) as process:
        process.until("/health/ready", 200)
        child = process.wait_for("shadow_scores")["process"]
        with Load(process, key) as load:
            until(lambda: scored(process, key) > 200)
            os.kill(child, signal.SIGKILL)
            failed = process.wait_for("shadow_failed")
            again = process.wait_for("shadow_scores")["process"]
            before = scored(process, key)
            until(lambda: scored(process, key) > before)
        assert (again != child, failed["detail"]) == (True, "its process was killed by SIGKILL")
        assert {status for _, status, _ in load.answered} == {200}
        assert all(probability == expected[customer] for customer, _, probability in load.answered)
        told = report(process, key)
        assert (told["failures"], told["restarts"], told["state"]) == (1, 1, "scoring")
        assert process.stop() == -signal.SIGTERM
    until(lambda: not any(Path(f"/proc/{one}").exists() for one in (child, again)), within_s=5)


def test_a_scorer_that_hangs_is_killed_and_after_some_failures_out_of_the_shadow(shadowed: Installation) -> None:
    key, ada = shadowed.keys["both"].key, shadowed.keys["ada"].key
    expected = one_by_one(shadowed.bundle())
    with serving(shadowed.home, command=HANGING, PYTHONPATH=str(TOP)) as process:
        process.until("/health/ready", 200)
        process.wait_for("shadow_scores")
        with Load(process, key, pause_s=0.02) as load:
            process.wait_for("shadow_given_up", within_s=120)
        assert {status for _, status, _ in load.answered} == {200}
        assert all(probability == expected[customer] for customer, _, probability in load.answered)
        told = report(process, key)
        assert (told["state"], told["failures"], told["restarts"]) == ("given up", 3, 2)
        assert told["failure"] == "its process gave no answer within 0.3 s and was killed"
        assert sum(one["failed"] for one in told["comparisons"]) >= 3
        health = process.ask("/health")[1]
        assert health["status"] == "degraded"
        assert (
            "the challenger in shadow failed 3 times within 10 minutes and is out of the shadow; PUT /ab/config with it once more tries anew"
            in health["degraded"]
        )
        arms = process.ask("/ab/config", key=key)[1]
        assert arms["serves"] is False
        before = sum(one["dropped"] for one in told["comparisons"])
        for customer in range(7):
            process.ask("/predict", key=key, body=body(customer))
        (one,) = report(process, key)["comparisons"]
        assert one["dropped"] >= before + 7
        assert one["dropped"] + one["failed"] == len(load.answered) + 7
        status, row = put(process, ada, challenger=arms["challenger"], share=0)
        assert (status, row["epoch"], row["kind"]) == (200, arms["epoch"] + 1, "shadowed")
        process.wait_for("shadow_scores")
        assert process.ask("/ab/config", key=key)[1]["serves"] is True
        status, again = put(process, ada, challenger=arms["challenger"], share=0)
        assert (status, again["epoch"]) == (200, row["epoch"])
        assert put(process, ada, challenger=None)[0] == 200
        until(lambda: process.ask("/health")[1]["status"] == "ready")
        assert process.stop() == -signal.SIGTERM


def test_a_child_that_hangs_ends_with_a_service_that_was_killed(shadowed: Installation) -> None:
    with serving(shadowed.home, command=PATIENT, PYTHONPATH=str(TOP)) as process:
        process.until("/health/ready", 200)
        child = process.wait_for("shadow_scores")["process"]
        assert process.ask("/predict", key=shadowed.keys["both"].key, body=body(0))[0] == 200
        time.sleep(0.5)  # by then the child has the row
        process.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), within_s=10)


def test_of_several_workers_the_comparisons_are_added_up(shadowed: Installation) -> None:
    key = shadowed.keys["both"].key
    with serving(shadowed.home, command=(CHURN, "serve", "--workers", "2")) as process:
        for _ in range(2):
            process.wait_for("shadow_scores", within_s=60)
        process.until("/health/ready", 200)
        workers: set[int] = set()
        while len(workers) < 2:  # a connection stays with the worker that accepted it
            workers.add(process.ask("/status", key=key)[1]["worker"])
        asked = 0
        for customer in range(40):
            assert process.ask("/predict", key=key, body=body(customer))[0] == 200
            asked += 1
        until(lambda: scored(process, key) == asked)
        assert process.stop() == -signal.SIGTERM


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    metrics = Metrics()
    role: Any = SimpleNamespace(short="champion")
    queue = ShadowQueue(metrics, most=2)
    queue.open("shadow")
    for number in range(5):
        queue.put(role, {"a": number}, 0.5, False)
    assert [one.row["a"] for one in queue.take(10)] == [0, 1]
    assert (
        metrics.registry.get_sample_value("churn_shadow_rows_dropped_total", {"release": "shadow", "champion": "champion"})
        == 3
    )


def test_what_waits_when_the_shadow_ends_or_changes_or_is_given_up_is_counted_as_dropped() -> None:
    metrics = Metrics()
    role: Any = SimpleNamespace(short="champion")
    queue = ShadowQueue(metrics)

    def dropped(release: str) -> float | None:
        labels = {"release": release, "champion": "champion"}
        return metrics.registry.get_sample_value("churn_shadow_rows_dropped_total", labels)

    queue.open("one")
    queue.put(role, {}, 0.5, False)
    queue.open("other")
    for _ in range(2):
        queue.put(role, {}, 0.5, False)
    queue.give_up()
    for _ in range(3):
        queue.put(role, {}, 0.5, False)
    assert (dropped("one"), dropped("other"), queue.is_open, queue.take(9)) == (1, 5, True, [])
    queue.open("third")
    queue.put(role, {}, 0.5, False)
    queue.close()
    assert dropped("third") == 1


def test_a_quantile_lies_between_the_bounds_of_its_bucket() -> None:
    buckets = [(0.1, 50.0), (0.2, 90.0), (1.0, 100.0), (float("inf"), 100.0)]
    assert quantile(buckets, 0.5) == pytest.approx(0.1)
    assert quantile(buckets, 0.7) == pytest.approx(0.15)
    assert quantile(buckets, 0.95) == pytest.approx(0.6)
    assert quantile([(0.1, 0.0), (float("inf"), 0.0)], 0.5) is None
