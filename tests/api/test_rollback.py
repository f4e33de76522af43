"""``POST /releases/rollback``: the former champion is back, once, by whom and why, or nothing is changed and it says so."""

import threading
from pathlib import Path

import httpx
import pytest

from churn_store.releases.log import history, newest
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import Candidate

pytestmark = pytest.mark.integration

ROUTE = "/releases/rollback"
WHY = {"reason": "complaints since Monday"}


@pytest.fixture
def second(installation: Installation, candidate: Candidate, other_candidate: Candidate) -> Installation:
    """Two releases, and a key that may roll back."""
    installation.make_key("Ada on call", "release")
    installation.release(candidate)
    installation.release(other_candidate)
    installation.put_online()
    return installation


def roll_back(service: Service, **body: object) -> httpx.Response:
    return service.post(ROUTE, {**WHY, **body}, key="Ada on call")


def test_the_former_champion_serves_again_and_the_row_names_the_key_and_the_reason(second: Installation) -> None:
    with second.serve() as service:
        told = roll_back(service).json()
        first, bad = history(second.engine)[2], history(second.engine)[1]
        assert (told["release"], told["former"], told["epoch"], told["kind"]) == (
            first.champion,
            bad.champion,
            3,
            "rolled_back",
        )
        service.until(lambda: service.get("/predict/c1").json()["model"]["release"] == first.champion)
        assert service.post("/predict", {"attributes": ONLINE_ROWS[0]}).json()["model"]["epoch"] == 3
        listed = service.get("/models").json()["releases"]
    row = newest(second.engine)
    assert (row.actor, row.reason, row.kind) == ("Ada on call", WHY["reason"], "rolled_back")
    assert [(one["epoch"], one["kind"], one["actor"], one["former"]) for one in listed] == [
        (3, "rolled_back", "Ada on call", bad.champion), (2, "released", "test", first.champion), (1, "released", "test", None),
    ]  # fmt: skip
    assert [one["serves"] for one in listed] == [True, False, False]


def test_asked_again_it_changes_nothing_and_is_told_the_row_that_is_there(second: Installation) -> None:
    with second.serve() as service:
        first = roll_back(service, read_epoch=2).json()
        service.until(lambda: service.get("/model/version").json()["epoch"] == 3)
        for again in ({"read_epoch": 2}, {}):
            said = problem(roll_back(service, **again), 409)
            assert {**said["newest"], "serves": False} == {**first, "serves": False}
            assert "is there already and does what was asked for" in said["detail"]
    assert len(history(second.engine)) == 3


def test_of_many_at_once_one_takes_the_release_back_and_none_brings_it_back(second: Installation) -> None:
    second.make_key("Bob on call", "release")
    answers: list[httpx.Response] = []
    together = threading.Barrier(6)
    with second.serve() as service:

        def ask(i: int) -> None:
            together.wait()
            key = ("Ada on call", "Bob on call")[i % 2]
            answers.append(service.post(ROUTE, {"reason": f"reason {i}"}, key=key))

        askers = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    rows = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(rows) == 1
    lost = [problem(answer, 409)["newest"] for answer in answers if answer.status_code != 200]
    assert [{**row, "serves": None} for row in lost] == [{**rows[0], "serves": None}] * 5
    assert [row.kind for row in history(second.engine)] == ["rolled_back", "released", "released"]


def test_a_release_that_came_after_what_the_caller_read_is_not_taken_back(
    second: Installation, candidate: Candidate
) -> None:
    second.release(candidate)
    with second.serve() as service:
        said = problem(roll_back(service, read_epoch=2), 409)
    assert said["type"] == "urn:churn:problem:fenced"
    assert "epoch 3 (released by test: test) is the newest, not epoch 2" in said["detail"]
    assert newest(second.engine).epoch == 3


def test_to_an_epoch_by_name_and_to_none_that_is_not_there(
    second: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    second.release(candidate)
    with second.serve() as service:
        assert "there is no epoch 9" in problem(roll_back(service, to_epoch=9), 409)["detail"]
        problem(roll_back(service, to_epoch=0), 400)
        assert roll_back(service, to_epoch=2).json()["release"] == history(second.engine)[2].champion
    assert newest(second.engine).champion == history(second.engine)[2].champion


def test_with_nothing_to_go_back_to_nothing_is_changed(installation: Installation, candidate: Candidate) -> None:
    installation.make_key("Ada on call", "release")
    with installation.serve() as service:
        assert "nothing was released yet" in problem(roll_back(service), 409)["detail"]
    installation.release(candidate)
    with installation.serve() as service:
        assert "the only one that ever served" in problem(roll_back(service), 409)["detail"]
    assert len(history(installation.engine)) == 1


def test_to_a_release_that_was_changed_since_it_is_refused_and_the_champion_stays(second: Installation) -> None:
    first, now = history(second.engine)[1], newest(second.engine)
    file = Path(second.files.url) / "sha256" / first.champion[:2] / first.champion
    file.write_bytes(file.read_bytes() + b" ")
    with second.serve() as service:
        said = problem(roll_back(service), 409)
        assert "was changed" in said["detail"]
        assert service.get("/predict/c1").json()["model"]["release"] == now.champion
    assert newest(second.engine) == now


@pytest.mark.parametrize("away", ["store", "database"])
def test_while_the_store_or_the_database_is_away_it_says_that_nothing_could_be_done(
    second: Installation, away: str
) -> None:
    with second.serve() as service:
        if away == "store":
            root = Path(second.config.releases_url)
            root.rename(root.with_name("elsewhere"))
        else:
            with second.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE releases RENAME TO elsewhere")
        assert problem(roll_back(service), 503)["type"] == f"urn:churn:problem:{away}-away"
        assert service.get("/predict/c1").status_code == 200


@pytest.mark.parametrize("key", ["both", "admin", None])
def test_only_a_key_with_the_scope_release_may_do_it(second: Installation, key: str | None) -> None:
    second.make_key("admin", "admin", "predict", "read")
    with second.serve() as service:
        problem(service.post(ROUTE, WHY, key=key), 401 if key is None else 403)
        problem(service.get("/predict/c1", key="Ada on call"), 403)
    assert newest(second.engine).epoch == 2


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b'{"reason": ""}', b'{"reason": "  "}', b'{"reason": "a\\u0000b"}',
        b'{"reason": "\\u001b[2J"}', b'{"reason": "\\u202egnp"}', b'{"reason": "\\u200b"}', b'{"reason": "\\ud800"}',
        b'{"reason": 1}', b'{"reason": "x", "to_epoch": "2"}', b'{"reason": "x", "to_epoch": 1e3}',
        b'{"reason": "x", "to_epoch": 99999999999999999999}', b'{"reason": "x", "by": "Eve"}',
        b'{"reason": "x", "reason": "y"}', b'{"reason": "' + b"x" * 2_001 + b'"}', b'{"reason": ' + b"[" * 100_000,
        b'{"reason": "\xff"}',
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_changes_nothing(second: Installation, body: bytes) -> None:
    with second.serve() as service:
        problem(service.post(ROUTE, body, key="Ada on call"), 400)
    assert newest(second.engine).epoch == 2


def test_a_reason_of_several_lines_is_one_line_of_the_history_and_the_same_one_again(second: Installation) -> None:
    with second.serve() as service:
        told = roll_back(service, reason=" complaints\n since Monday ", read_epoch=2).json()
        assert told["reason"] == WHY["reason"]
        assert problem(roll_back(service, read_epoch=2), 409)["newest"]["epoch"] == told["epoch"] == 3
    assert newest(second.engine).reason == WHY["reason"]


def test_the_same_rollback_to_another_epoch_is_not_answered_with_what_the_first_has_done(
    second: Installation, candidate: Candidate
) -> None:
    second.release(candidate)
    with second.serve() as service:
        first = roll_back(service, read_epoch=3, to_epoch=2).json()
        assert problem(roll_back(service, read_epoch=3, to_epoch=1), 409)["type"] == "urn:churn:problem:fenced"
        assert problem(roll_back(service, read_epoch=3, to_epoch=2), 409)["newest"]["release"] == first["release"]


def test_it_ends_a_challenge(second: Installation, candidate: Candidate) -> None:
    second.challenge(candidate, 0.5)
    with second.serve() as service:
        assert roll_back(service).json()["challenger"] is None
        service.until(lambda: service.get("/model/version").json()["challenger"] is None)
        roles = {service.get(f"/predict/c{i}").json()["model"]["role"] for i in range(20)}
    assert roles == {"champion"}
