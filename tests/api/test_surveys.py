"""Surveys over HTTP: answers are committed before they are acknowledged, predicted with in the customer's arm, and never a label."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from churn_api.http.asking import RETRY_S, WAITING
from churn_store.database.schema import outcomes, survey_answers
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import Candidate

SUBMISSION: dict[str, Any] = {
    "customer_id": "c3",
    "survey": "satisfaction-2026-02",
    "answers": {"satisfied": 2, "why": "too slow", "told": True},
}


@pytest.fixture
def asking(tmp_path: Path, candidate: Candidate) -> Iterator[Service]:
    """A service with keys for the scopes ``act`` and ``read``."""
    with Installation.make(tmp_path) as made:
        made.make_key("agent", "act")
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            yield service


def listed(answers: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"question": question, "answer": answer} for question, answer in answers.items()]


def submit(service: Service, key: str, *, by: str = "agent", **changes: Any) -> httpx.Response:
    body = {**SUBMISSION, "idempotency_key": key, **changes}
    answers = body["answers"]
    body["answers"] = listed(answers) if isinstance(answers, dict) else answers
    return service.post("/survey/submit", body, key=by)


def shown(service: Service, customer_id: str = "c3") -> list[dict[str, Any]]:
    return list(service.get(f"/survey/answers?customer_id={customer_id}").json()["surveys"])


def test_a_submission_is_saved_and_predicted_with(asking: Service) -> None:
    assert shown(asking) == []
    answer = submit(asking, "a")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["version"], told["repeated"], told["inputs"], told["not_predicted"]) == (1, False, [], None)
    expected = asking.get("/predict/c3").json()
    for name in ("probability", "churn", "risk_band", "model", "snapshot", "threshold"):
        assert told["prediction"][name] == expected[name]
    [entry] = shown(asking)
    assert entry["answers"] == {"satisfied": 2.0, "why": "too slow", "told": True}
    assert (entry["answered"], entry["received"]) == ("2026-02-02T00:00:00Z", "2026-02-02T00:00:00Z")
    assert (entry["key_id"], entry["newest"]) == (asking.installation.keys["agent"].key_id, True)


def test_an_answer_to_a_question_with_an_inputs_name_takes_the_place_of_the_feature(asking: Service) -> None:
    told = submit(asking, "a", answers={"sessions_30d": 1, "plan": "pro", "satisfied": 2, "channel": None}).json()
    row = {**ONLINE_ROWS[3], "sessions_30d": 1.0, "plan": "pro"}
    assert told["inputs"] == ["plan", "sessions_30d"]
    expected = asking.post("/predict", {"attributes": row}).json()["probability"]
    assert told["prediction"]["probability"] == expected
    assert expected != asking.get("/predict/c3").json()["probability"]
    [logged] = [line for line in asking.installation.spooled() if line["request_id"] == told["prediction"]["prediction_id"]]
    assert logged["features"] == row
    with asking.installation.engine.connect() as connection:
        [request_id] = connection.execute(sa.select(survey_answers.c.request_id)).scalars()
    assert request_id == logged["request_id"]


def test_the_challengers_customers_are_answered_by_it(asking: Service, other_candidate: Candidate) -> None:
    asking.installation.challenge(other_candidate, 0.5)
    asking.until(lambda: asking.get("/model/version").json()["challenger"] is not None)
    arms = {}
    for place in range(20):
        arms[place] = submit(asking, f"k{place}", customer_id=f"c{place}").json()["prediction"]["model"]["role"]
        assert arms[place] == asking.get(f"/predict/c{place}").json()["model"]["role"]
    assert set(arms.values()) == {"champion", "challenger"}


def test_where_there_can_be_no_prediction_the_answers_are_saved_and_it_says_why(asking: Service) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"customer_id": "nobody"}, "unknown-customer"),
        ({"customer_id": "somebody", "answers": {"sessions_30d": 3}}, "malformed-request"),
        ({"customer_id": "c4", "answers": {"sessions_30d": "many"}}, "malformed-request"),
        ({"customer_id": "c5", "answers": {"sessions_30d": -1}}, "malformed-request"),
    ]
    for changes, said in cases:
        told = submit(asking, f"key-{changes['customer_id']}", **changes)
        assert told.status_code == 200, told.text
        assert told.json()["prediction"] is None
        assert told.json()["not_predicted"]["type"] == f"urn:churn:problem:{said}"
        assert len(shown(asking, changes["customer_id"])) == 1
    assert asking.installation.spooled() == []


def test_without_a_release_answers_are_saved(installation: Installation) -> None:
    installation.make_key("agent", "act")
    with installation.serve() as service:
        told = submit(service, "a").json()
        assert (told["version"], told["not_predicted"]["status"]) == (1, 503)


def test_a_later_submission_is_a_version_and_a_repeated_one_adds_nothing(asking: Service) -> None:
    first = submit(asking, "a", answered="2026-02-01").json()
    second = submit(asking, "b", answers={"satisfied": 5}).json()
    again = submit(asking, "a", answered="2026-02-01").json()
    assert [one["version"] for one in (first, second, again)] == [1, 2, 1]
    assert [one["repeated"] for one in (first, second, again)] == [False, False, True]
    assert [(one["version"], one["newest"], one["answered"]) for one in shown(asking)] == [
        (2, True, "2026-02-02T00:00:00Z"),
        (1, False, "2026-02-01T00:00:00Z"),
    ]
    refused = problem(submit(asking, "a", answers={"satisfied": 5}), 422)
    assert "another submission" in refused["detail"]
    assert len(shown(asking)) == 2


def test_what_a_customer_says_is_never_a_label(asking: Service) -> None:
    submit(asking, "a", survey="leaving", answers={"churned": True, "label": 1, "leaves": "yes"})
    status = asking.get("/outcomes/status").json()
    assert (status["received"], status["churned"]) == (0, 0)
    assert asking.get("/customers/c3").json()["outcomes"] == []
    with asking.installation.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one() == 0


def test_a_body_that_does_not_fit_is_refused_and_nothing_is_saved(asking: Service) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"answers": {}}, "answers"),
        ({"answers": {"a": [1]}}, "answers"),
        ({"answers": {"": 1}}, "question"),
        ({"answers": [*listed({"a": 1}), *listed({"a": 2})]}, "answers[1].question"),
        ({"answers": {"a": "x" * 2_001}}, "answers"),
        ({"answers": {f"q{place}": 1 for place in range(101)}}, "answers"),
        ({"answers": {"a": 1e16}}, "answers"),
        ({"survey": ""}, "survey"),
        ({"survey": "x\n"}, "survey"),
        ({"answered": "yesterday"}, "answered"),
        ({"answered": "2027-01-01"}, "answered"),
        ({"probability": 1}, "name"),
        ({"customer_id": ""}, "customer_id"),
    ]
    for changes, path in cases:
        refused = problem(submit(asking, "a", **changes), 400)
        assert path in refused["errors"][0]["path"] + refused["errors"][0]["detail"]
    assert shown(asking) == []


def test_a_key_of_its_own_and_the_scope_act_are_needed(asking: Service) -> None:
    without = asking.post("/survey/submit", {**SUBMISSION, "answers": listed({"a": 1})}, key="agent")
    assert "idempotency_key" in problem(without, 400)["errors"][0]["path"]
    for key in ("", "a b", "x" * 201):
        problem(submit(asking, key), 400)
    problem(submit(asking, "a", by="both"), 403)
    problem(asking.get("/survey/answers?customer_id=c3", key="agent"), 403)
    assert shown(asking) == []


def test_while_the_database_is_away_nothing_is_acknowledged(asking: Service) -> None:
    with asking.installation.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE survey_answers RENAME TO elsewhere")
    assert problem(submit(asking, "a"), 503)["type"] == "urn:churn:problem:database-away"
    assert asking.installation.spooled() == []


def test_while_the_database_hangs_eight_wait_the_others_are_told_so_and_nothing_is_lost(asking: Service) -> None:
    lock = sqlite3.connect(asking.installation.home / "serving.db", isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(12) as callers:
            try:
                sent = [callers.submit(submit, asking, f"key-{place}") for place in range(12)]
                asking.until(lambda: sum(one.done() for one in sent) == 12 - WAITING, within_s=3)
                refused = [one.result() for one in sent if one.done()]
                assert {problem(one, 503)["type"] for one in refused} == {"urn:churn:problem:busy"}
                assert {one.headers["retry-after"] for one in refused} == {str(RETRY_S)}
                assert problem(asking.post("/outcomes", {"outcomes": []}, key="agent"), 503)["type"].endswith("busy")
                assert asking.get("/predict/c3").status_code == 200
            finally:
                lock.execute("ROLLBACK")
        assert [one.result().status_code for one in sent].count(200) == WAITING
    finally:
        lock.close()
    assert len(shown(asking)) == WAITING
