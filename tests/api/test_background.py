"""What is done again and again goes on whatever happens to it: also after a panic of a library in Rust."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from churn_api.background import PeriodicTask
from churn_api.releases import poller
from churn_store.releases.bundles import load_bundle
from churn_store.releases.log import newest
from tests.api.conftest import ONLINE_ROWS, Installation, Service
from tests.release_factory import Candidate


class PanicError(BaseException):
    """As pyo3's PanicException is one: no ``Exception``."""


def panics(*_: object, **__: object) -> None:
    raise PanicError("request valid: InvalidUri")


def test_a_panic_is_a_failed_attempt_and_the_next_one_is_made() -> None:
    attempts: list[str] = []
    told: list[BaseException] = []

    def step() -> None:
        attempts.append("made")
        if len(attempts) == 1:
            panics()

    task = PeriodicTask("test", step, every_s=0.01, on_failure=told.append)
    task.start()
    until = time.monotonic() + 5
    while len(attempts) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    task.stop()
    assert len(attempts) >= 3
    assert [type(error) for error in told] == [PanicError]


@pytest.mark.parametrize("role", ["champion", "challenger"])
def test_a_release_at_which_a_library_panics_is_counted_and_shown_and_the_service_follows_on(
    fresh: Service, other_candidate: Candidate, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    load = load_bundle
    installation = fresh.installation
    before = fresh.get("/model/version").json()["release"]
    monkeypatch.setattr(poller, "load_bundle", panics)
    champion, challenger = ("e" * 64, None) if role == "champion" else (before, "e" * 64)
    installation.name(champion, challenger, *([0.5] if challenger else []))
    key = {"champion": "not_taken", "challenger": "challenger_not_taken"}[role]
    told = fresh.until(lambda: (found := fresh.get("/model/version").json())[key] and found)
    assert (told["release"], told[key]["reason"]) == (before, "unexpected")
    assert fresh.metric("churn_model_load_failures_total", role=role) == 1
    monkeypatch.setattr(poller, "load_bundle", load)
    good = installation.release(other_candidate).champion
    fresh.until(lambda: fresh.get("/model/version").json()["release"] == good)
    assert fresh.get("/health/ready").status_code == 200


def test_a_panic_anywhere_else_is_shown_and_the_next_look_is_made(fresh: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    look: Callable[..., object] = newest
    monkeypatch.setattr(poller, "newest", panics)
    fresh.until(lambda: fresh.metric("churn_model_load_failures_total", role="champion") >= 1)
    assert fresh.post("/predict", {"attributes": ONLINE_ROWS[0]}).status_code == 200
    monkeypatch.setattr(poller, "newest", look)
    fresh.until(lambda: fresh.get("/model/version").json()["not_taken"] is None)


def test_a_service_whose_object_store_has_no_address_says_so_and_goes_on_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Installation.make(tmp_path, store={"releases_url": "s3://bucket/releases"}) as installation:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
        installation.name("a" * 64)
        with installation.serve() as service:
            service.until(lambda: service.metric("churn_model_load_failures_total", reason="store") >= 2)
            assert service.get("/health/detailed").json()["release"]["reason"] == "store"
    [said] = [record for record in caplog.records if record.getMessage() == "release_not_taken"]
    assert "AWS_ENDPOINT_URL is 'localhost:9000'; expected http://" in said.__dict__["fields"]["detail"]
