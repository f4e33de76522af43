"""A rollback while two workers answer without a pause: both follow and stay, nothing fails, no answer mixes."""

import time
from pathlib import Path

import msgspec
import pytest

from tests.api.conftest import Installation
from tests.api.load import Load, Seen, mixed
from tests.api.processes import serving
from tests.fault_table import Fault
from tests.release_factory import Candidate, train

CUSTOMERS = [f"c{i}" for i in range(20)]
FOLLOWED_S = 20
"""Under a second on a quiet machine; two cores may carry another suite besides."""


@pytest.mark.faults
def test_two_workers_under_load_go_back_together_from_a_champion_and_its_challenger(
    tmp_path: Path, candidate: Candidate, other_candidate: Candidate, fault: Fault
) -> None:
    fault.names("rollback under load", done="two workers answer without a pause, with a challenger at 40 %")
    with Installation.make(tmp_path, poll_s=0.5, ship_s=0.2) as installation:
        installation.make_key("on call", "release")
        good = installation.release(candidate).champion
        installation.release(other_candidate)
        challenged = installation.challenge(train(seed=9), 0.4)
        installation.put_online()
        key, on_call = installation.keys["both"].key, installation.keys["on call"].key
        with serving(tmp_path) as one, serving(tmp_path) as another:
            for worker in (one, another):
                worker.until("/health/ready", 200)
            with Load([one, another], key, CUSTOMERS) as load:
                time.sleep(0.7)
                asked = time.monotonic()
                status, told = one.ask("/releases/rollback", key=on_call, body={"reason": "complaints", "read_epoch": 3})
                assert (status, told["release"], told["epoch"]) == (200, good, 4)
                followed = [until_followed(load, worker, told["epoch"]) for worker in (0, 1)]
                time.sleep(0.7)
            for worker in (one, another):
                worker.stop()
        assert load.failed == []
        assert mixed(load.seen) == []
        assert len(load.seen) > 500
        for number in (0, 1):
            assert {(seen.role, seen.release) for seen in load.seen if seen.worker == number} == {
                ("champion", good), ("champion", challenged.champion), ("challenger", challenged.challenger),
            }  # fmt: skip
        for number, since in enumerate(followed):
            late = [seen for seen in load.seen if seen.worker == number and seen.begun > since]
            assert len(late) > 20
            assert {seen.release for seen in late} == {good}
        logged = {(row["epoch"], row["release"], row["role"]) for row in installation.logged()}
        assert logged == {(seen.epoch, seen.release, seen.role) for seen in load.seen}
        fault.held(
            f"{len(load.seen):,} answers, none failed, none mixed",
            recovered_after_s=max(followed) - asked,
        )


def until_followed(load: Load, worker: int, epoch: int) -> float:
    """When the worker was first seen to answer by a row of ``releases``, by ``time.monotonic``."""
    end = time.monotonic() + FOLLOWED_S
    while not any(seen.worker == worker and seen.epoch == epoch for seen in tuple(load.seen)):
        assert time.monotonic() < end, f"worker {worker} does not follow within {FOLLOWED_S} s"
        time.sleep(0.02)
    return time.monotonic()


def test_an_answer_that_mixes_two_releases_would_be_noticed() -> None:
    first = Seen(0.0, 0, "c1", "a", 1, "champion", 0.25, "a")
    assert mixed([first, first]) == []
    for changed in (
        {"probability": 0.5}, {"named": "b"}, {"release": "b", "named": "b"}, {"role": "challenger"},
    ):  # fmt: skip
        wrong = Seen(**{**first.__dict__, **changed})
        assert mixed([first, wrong]) == [wrong], msgspec.json.encode(changed)
