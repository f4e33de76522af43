"""Approve, reject, challenge and end by HTTP: one row each, signed with the key's name, fenced, and served within a second."""

import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from churn_store.releases.blessings import newest_blessing, newest_blessings
from churn_store.releases.bundles import stage
from churn_store.releases.log import history, newest
from tests.api.conftest import CUSTOMERS, Installation, Service, problem
from tests.release_factory import Candidate, bless, small_columns, train

WHY = "the numbers are good"


@pytest.fixture
def first(installation: Installation, candidate: Candidate) -> Installation:
    """One release, and a key that may decide."""
    installation.make_key("Ada", "release", "read")
    installation.release(candidate)
    installation.put_online()
    return installation


def judged(installation: Installation, candidate: Candidate, verdict: str = "accepted") -> str:
    """A candidate that the gate has compared with the champion; its digest."""
    staged = stage(installation.files, candidate.contents, candidate.manifest)
    bless(installation.engine, staged, verdict, epoch=installation.newest_epoch(), gain=0.25)
    return staged.candidate


def ask(service: Service, path: str, body: Any, *, method: str = "POST", key: str | None = "Ada") -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode({"reason": WHY, **body})
    return service.client.request(method, path, content=content, headers=service.key_header(key))


def put(service: Service, **body: Any) -> httpx.Response:
    return ask(service, "/ab/config", body, method="PUT")


def state(service: Service, candidate: str) -> dict[str, Any]:
    listed = service.get("/releases").json()["candidates"]
    (found,) = [one for one in listed if one["candidate"] == candidate]
    return found


def test_a_waiting_candidate_is_listed_approved_and_serves(first: Installation, other_candidate: Candidate) -> None:
    with first.serve() as service:
        digest = judged(first, other_candidate)
        before = state(service, digest)
        assert (before["state"], before["verdict"], before["gain"], before["epoch"]) == ("waiting", "accepted", 0.25, 1)
        assert before["reasons"] == ["auc: passed: found 0.80, allowed at least 0.60"]
        told = ask(service, "/releases/approve", {"candidate": digest[:8], "read_epoch": 1}).json()
        assert (told["epoch"], told["kind"], told["actor"], told["reason"]) == (2, "approved", "Ada", WHY)
        assert told["former"] == history(first.engine)[1].champion
        service.until(lambda: service.get("/predict/c1").json()["model"]["epoch"] == 2)
        assert state(service, digest)["state"] == "champion"
        assert [one["epoch"] for one in service.get("/releases").json()["releases"]] == [2, 1]
        assert ask(service, "/releases/approve", {"candidate": digest}).json()["epoch"] == 2  # it serves already
    assert [(row.kind, row.actor) for row in history(first.engine)] == [("approved", "Ada"), ("released", "test")]


def test_a_rejected_candidate_waits_no_more_and_can_not_be_approved(
    first: Installation, other_candidate: Candidate
) -> None:
    with first.serve() as service:
        digest = judged(first, other_candidate)
        told = ask(service, "/releases/reject", {"candidate": digest, "reason": "a customer complained"}).json()
        assert (told["state"], told["verdict"], told["actor"], told["reason"]) == (
            "rejected", "rejected", "Ada", "a customer complained",
        )  # fmt: skip
        assert state(service, digest)["state"] == "rejected"
        said = problem(ask(service, "/releases/approve", {"candidate": digest}), 409)
        assert "rejected by Ada (a customer complained)" in said["detail"]
        assert said["newest"]["epoch"] == 1
        again = ask(service, "/releases/reject", {"candidate": digest, "reason": "a customer complained"})
        assert again.status_code == 200
        assert len([one for one in newest_blessings(first.engine) if one.candidate == digest]) == 1
        assert newest(first.engine).epoch == 1
        told = ask(service, "/releases/approve", {"candidate": digest, "override": True}).json()
        assert (told["epoch"], told["kind"]) == (2, "overridden")
    assert newest_blessing(first.engine, digest).verdict == "overridden"


def test_what_serves_can_not_be_rejected(first: Installation, candidate: Candidate, other_candidate: Candidate) -> None:
    first.challenge(other_candidate, 0.3)
    with first.serve() as service:
        listed = {one["state"]: one["candidate"] for one in service.get("/releases").json()["candidates"]}
        for role in ("champion", "challenger"):
            said = problem(ask(service, "/releases/reject", {"candidate": listed[role]}), 409)
            assert f"serves as {role}" in said["detail"]
    assert newest(first.engine).epoch == 2


def test_a_challenge_is_begun_changed_and_ended_by_one_row_each(first: Installation, other_candidate: Candidate) -> None:
    ids = [f"c{i}" for i in range(CUSTOMERS)]

    def roles(service: Service) -> list[str]:
        return [service.get(f"/predict/{one}").json()["model"]["role"] for one in ids]

    with first.serve() as service:
        arms = service.get("/ab/config").json()
        assert (arms["epoch"], arms["challenger"], arms["share"], arms["serves"]) == (1, None, 0.0, True)
        digest = judged(first, other_candidate)
        told = put(service, challenger=digest, share=0.25, read_epoch=1).json()
        assert (told["epoch"], told["kind"], told["actor"], told["challenger_share"]) == (2, "challenged", "Ada", 0.25)
        service.until(lambda: service.get("/ab/config").json()["serves"])
        arms = service.get("/ab/config").json()
        assert (arms["epoch"], arms["share"], arms["challenger"]) == (2, 0.25, told["challenger"])
        few = roles(service)
        assert put(service, challenger=digest, share=0.25).json()["epoch"] == 2  # it is so already
        assert put(service, challenger=digest[:6], share=0.5).json()["epoch"] == 3
        service.until(
            lambda: service.get("/ab/config").json()["share"] == 0.5 and service.get("/ab/config").json()["serves"]
        )
        many = roles(service)
        assert {one for one, role in zip(ids, few, strict=True) if role == "challenger"} < {
            one for one, role in zip(ids, many, strict=True) if role == "challenger"
        }
        assert put(service, challenger=None).json()["kind"] == "challenge_ended"
        service.until(lambda: service.get("/ab/config").json()["serves"])
        assert set(roles(service)) == {"champion"}
        assert "no challenger" in problem(put(service, challenger=None), 409)["detail"]
    assert [(row.kind, row.challenger_share) for row in history(first.engine)] == [
        ("challenge_ended", 0.0), ("challenged", 0.5), ("challenged", 0.25), ("released", 0.0),
    ]  # fmt: skip


def test_of_many_approvals_at_once_one_is_written(first: Installation, other_candidate: Candidate) -> None:
    first.make_key("Bob", "release")
    digests = [judged(first, one) for one in (other_candidate, train(seed=9))]
    answers: list[httpx.Response] = []
    together = threading.Barrier(2)
    with first.serve() as service:

        def decide(digest: str, key: str) -> None:
            together.wait()
            answers.append(ask(service, "/releases/approve", {"candidate": digest, "read_epoch": 1}, key=key))

        askers = [threading.Thread(target=decide, args=one) for one in zip(digests, ("Ada", "Bob"), strict=True)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    lost = next(problem(answer, 409) for answer in answers if answer.status_code == 409)
    assert (lost["type"], lost["newest"]["epoch"]) == ("urn:churn:problem:fenced", 2)
    assert len(history(first.engine)) == 2


def test_a_decision_made_with_another_row_in_view_changes_nothing(
    first: Installation, candidate: Candidate, other_candidate: Candidate
) -> None:
    digest = judged(first, other_candidate)
    first.release(train(seed=7))
    with first.serve() as service:
        for response in (
            ask(service, "/releases/approve", {"candidate": digest, "read_epoch": 1, "override": True}),
            put(service, challenger=digest, share=0.1, read_epoch=1, override=True),
            put(service, challenger=None, read_epoch=1),
        ):
            assert problem(response, 409)["type"] == "urn:churn:problem:fenced"
    assert len(history(first.engine)) == 2
    assert newest_blessing(first.engine, digest).verdict == "accepted"


def test_a_challenger_that_takes_other_columns_is_refused(first: Installation) -> None:
    digest = judged(first, train(small_columns(numbers=5)))
    with first.serve() as service:
        assert "takes other columns" in problem(put(service, challenger=digest, share=0.1), 409)["detail"]


def test_before_the_first_release_there_is_nothing_to_decide(installation: Installation) -> None:
    installation.make_key("Ada", "release", "read")
    with installation.serve() as service:
        assert service.get("/releases").json() == {"releases": [], "candidates": []}
        problem(service.get("/ab/config"), 404)
        assert "nothing was released" in problem(put(service, challenger=None), 409)["detail"]


@pytest.mark.parametrize("away", ["store", "database"])
def test_while_the_store_or_the_database_is_away_nothing_is_done(
    first: Installation, other_candidate: Candidate, away: str
) -> None:
    digest = judged(first, other_candidate)
    with first.serve() as service:
        if away == "store":
            root = Path(first.config.releases_url)
            root.rename(root.with_name("elsewhere"))
        else:
            with first.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE releases RENAME TO elsewhere")
        for response in (
            ask(service, "/releases/approve", {"candidate": digest}),
            ask(service, "/releases/reject", {"candidate": digest}),
            put(service, challenger=digest, share=0.1),
            service.get("/releases"),
        ):
            assert problem(response, 503)["type"] == f"urn:churn:problem:{away}-away"
        assert service.get("/predict/c1").status_code == 200


ROUTES = [("POST", "/releases/approve"), ("POST", "/releases/reject"), ("PUT", "/ab/config")]


def test_only_a_key_with_the_scope_release_may_decide(first: Installation, other_candidate: Candidate) -> None:
    digest = judged(first, other_candidate)
    with first.serve() as service:
        for method, path in ROUTES:
            body = {"challenger": digest, "share": 0.1} if method == "PUT" else {"candidate": digest}
            problem(ask(service, path, body, method=method, key="both"), 403)
            problem(ask(service, path, body, method=method, key=None), 401)
    assert newest(first.engine).epoch == 1
    assert newest_blessing(first.engine, digest).verdict == "accepted"


WRONG = [
    b"", b"{}", b"[]", b'{"reason": "x"}', b'{"candidate": "x", "reason": 1}', b'{"candidate": "x", "reason": "y", "by": "Eve"}',
    b'{"candidate": "x", "candidate": "y", "reason": "z"}', b'{"candidate": "", "reason": "x"}', b'{"challenger": "x", "reason": "y"}',
    b'{"challenger": "x", "reason": "y", "share": 0.6}', b'{"challenger": "x", "reason": "y", "share": -0.1}',
    b'{"challenger": null, "reason": "y", "share": 0.1}', b'{"challenger": null, "reason": "y", "share": "0.1"}',
]  # fmt: skip


def test_a_body_that_is_wrong_changes_nothing(first: Installation) -> None:
    with first.serve() as service:
        for method, path in ROUTES:
            for body in WRONG:
                problem(ask(service, path, body, method=method), 400)
    assert newest(first.engine).epoch == 1


def test_a_decision_without_a_readable_reason_is_refused(first: Installation, other_candidate: Candidate) -> None:
    digest = judged(first, other_candidate)
    with first.serve() as service:
        for reason in ("", "  ", "a\0b", "\u202egnp", "\u200b"):
            for path in ("/releases/approve", "/releases/reject"):
                problem(ask(service, path, {"candidate": digest, "reason": reason}), 400)
            problem(put(service, challenger=digest, share=0.1, reason=reason), 400)
    assert (newest(first.engine).epoch, newest_blessing(first.engine, digest).actor) == (1, "gate")


def test_a_name_of_no_model_is_said(first: Installation) -> None:
    with first.serve() as service:
        for named in ("9", "zzzz", "ab", "no/1", "x" * 200):
            problem(ask(service, "/releases/approve", {"candidate": named}), 409)
            problem(ask(service, "/releases/reject", {"candidate": named}), 409)
