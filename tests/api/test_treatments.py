"""Treatments over HTTP: saved whole or not at all, refused row by row, and read back in all versions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from churn_store.treatments.log import versions_of
from tests.api.conftest import ONLINE_ROWS, Service, counts, problem
from tests.release_factory import NOW_S

NOW = datetime.fromtimestamp(NOW_S, UTC)
THEN = (NOW - timedelta(days=3)).date().isoformat()
CALLED = {"customer_id": "c1", "assigned": THEN, "channel": "phone", "offer": "10 % off", "propensity": 0.9}
CANARY = "canary-4711"


def send(service: Service, body: Any, **headers: str) -> httpx.Response:
    return service.post(
        "/treatments", body, key="act", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def is_empty(service: Service) -> bool:
    return not versions_of(service.installation.engine, "c1", limit=1)


def test_one_many_and_csv_are_saved_and_read_back(acting: Service) -> None:
    assert counts(send(acting, CALLED)) == {"received": 1, "added": 1}
    held_out = {**CALLED, "customer_id": "c2", "treated": False}
    assert counts(send(acting, {"treatments": [CALLED, held_out]})) == {"received": 2, "added": 1, "unchanged": 1}
    csv = f"customer_id,assigned,channel,offer,treated,propensity\nc1,{THEN},phone,10 % off,No,0.8\nc3,{THEN},,,,\n"
    assert counts(send(acting, csv.encode(), Content_Type="text/csv")) == {"received": 2, "added": 1, "corrected": 1}
    found = acting.get("/treatments?customer_id=c1", key="read").json()["treatments"]
    assert [(one["version"], one["treated"], one["propensity"], one["newest"]) for one in found] == [
        (2, False, 0.8, True), (1, True, 0.9, False),
    ]  # fmt: skip
    assert {(one["assigned"], one["channel"], one["offer"]) for one in found} == {
        (f"{THEN}T00:00:00Z", "phone", "10 % off")
    }
    assert {one["key_id"] for one in found} == {acting.installation.keys["act"].key_id}
    [plain] = acting.get("/treatments?customer_id=c3", key="read").json()["treatments"]
    assert (plain["channel"], plain["offer"], plain["treated"], plain["propensity"]) == (None, None, True, None)
    assert acting.get("/treatments?customer_id=nobody", key="read").json()["treatments"] == []


def test_another_channel_offer_or_time_is_a_treatment_of_its_own(acting: Service) -> None:
    later = {**CALLED, "assigned": f"{THEN}T12:00:00Z"}
    sent = [CALLED, {**CALLED, "channel": "mail"}, {**CALLED, "offer": "a month free"}, later]
    assert counts(send(acting, {"treatments": sent})) == {"received": 4, "added": 4}


def test_sent_again_under_its_key_a_request_or_a_treatment_counts_once(acting: Service) -> None:
    assert [send(acting, CALLED, Idempotency_Key="a").json()["replayed"] for _ in range(2)] == [False, True]
    problem(send(acting, {**CALLED, "propensity": 0.5}, Idempotency_Key="a"), 422)
    named = {**CALLED, "customer_id": "c2", "idempotency_key": "crm-1"}
    assert counts(send(acting, named)) == {"received": 1, "added": 1}
    assert counts(send(acting, {"treatments": [named, CALLED]})) == {"received": 2, "repeated": 1, "unchanged": 1}
    refused = problem(send(acting, {"treatments": [CALLED, {**named, "treated": False}]}), 422)
    assert [error["path"] for error in refused["errors"]] == ["treatments[1]"]


def test_the_status_counts_what_is_said_and_whom_no_prediction_is_about(acting: Service) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = acting.get("/treatments/status", key="read").json()
        return {name: value for name, value in found.items() if value and name != "as_of"}

    assert status() == {}
    unknown = {"customer_id": "of another system", "assigned": THEN}
    send(acting, {"treatments": [CALLED, {**CALLED, "customer_id": "c2", "treated": False}, unknown]})
    said = {"received": 3, "treated": 2, "held_out": 1, "without_propensity": 1}
    assert status() == {**said, "unmatched": 3}
    acting.post("/predict", {"customer_id": "c1", "attributes": ONLINE_ROWS[0]})
    acting.until(lambda: status() == {**said, "unmatched": 2})
    send(acting, {**CALLED, "treated": False})
    assert status() == {**said, "received": 4, "corrected": 1, "treated": 1, "held_out": 2, "unmatched": 2}


ONE: dict[str, tuple[Any, str, str]] = {
    "no customer": ({"assigned": THEN}, "customer_id", "is missing"),
    "no time": ({"customer_id": "c1"}, "assigned", "is missing"),
    "another time": ({**CALLED, "assigned": CANARY}, "assigned", "not a time; expected a date or time like"),
    "the future": ({**CALLED, "assigned": (NOW + timedelta(seconds=1)).isoformat()}, "assigned", "a time in the future"),
    "a chance of 0": ({**CALLED, "propensity": 0}, "propensity", "Who could not be treated is not on the list"),
    "a chance below 0": ({**CALLED, "propensity": -0.1}, "propensity", "expected a number above 0 and at most 1"),
    "a chance above 1": ({**CALLED, "propensity": 1.0001}, "propensity", "expected a number above 0 and at most 1"),
    "held out, treated for certain": (
        {**CALLED, "treated": False, "propensity": 1},
        "propensity",
        "although treated is false",
    ),
    "text for a number": ({**CALLED, "propensity": "0.9"}, "propensity", "expected a number"),
    "a word for truth": ({**CALLED, "treated": CANARY}, "treated", "expected true or false"),
    "no channel": ({**CALLED, "channel": ""}, "channel", "text"),
    "a long offer": ({**CALLED, "offer": CANARY * 9 + "x" * 9}, "offer", "at most 100 characters"),
    "a line in an offer": ({**CALLED, "offer": f"{CANARY}\n"}, "offer", "matching"),
    "an unknown name": ({**CALLED, CANARY: 1}, "", "a name that is not expected here"),
}


@pytest.mark.parametrize("case", ONE)
def test_a_bad_treatment_is_named_with_what_was_found_and_expected(refusing: Service, case: str) -> None:
    body, path, said = ONE[case]
    refused = problem(send(refusing, body), 400)
    assert (refused["errors"][0]["path"], said in refused["errors"][0]["detail"]) == (path, True), refused
    assert CANARY not in str(refused)
    many = problem(send(refusing, {"treatments": [{**CALLED, "customer_id": "c9"}, body]}), 400)
    assert many["errors"][0]["path"] == f"treatments[1].{path}".rstrip("."), many
    assert "1 of 2 treatments can't be saved" in many["detail"]
    assert is_empty(refusing)


CSV: dict[str, tuple[bytes, str, str]] = {
    "no header": (b"c1,2026-01-01\n", "", "the header line lacks customer_id and assigned"),
    "no number": (b"customer_id,assigned,propensity\nc1,2026-01-01,NaN\n", "line 2: propensity", "a number above 0"),
    "infinite": (b"customer_id,assigned,propensity\nc1,2026-01-01,inf\n", "line 2: propensity", "a number above 0"),
    "a word": (b"customer_id,assigned,propensity\nc1,2026-01-01,most\n", "line 2: propensity", "with a decimal point"),
    "a comma": (b'customer_id,assigned,propensity\nc1,2026-01-01,"0,9"\n', "line 2: propensity", "with a decimal point"),
    "marks": (b"customer_id,assigned,propensity\nc1,2026-01-01,0_1\n", "line 2: propensity", "with a decimal point"),
    "truth": (b"customer_id,assigned,treated\nc1,2026-01-01,perhaps\n", "line 2: treated", "another word"),
    "twice": (
        b"customer_id,assigned,treated\nc1,2026-01-01,yes\nc1,2026-01-01,no\n", "line 3", "same customer, time, channel and offer as line 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CSV)
def test_bad_csv_is_refused_by_its_line(refusing: Service, case: str) -> None:
    body, path, said = CSV[case]
    refused = problem(send(refusing, body, Content_Type="text/csv"), 400)
    assert refused["errors"][0]["path"] == path, refused
    assert said in refused["errors"][0]["detail"], refused
    assert is_empty(refusing)


def test_with_the_database_away_nothing_is_acknowledged(acting: Service) -> None:
    database = acting.installation.home / "serving.db"
    database.rename(database.with_name("elsewhere.db"))
    for response in (send(acting, CALLED), acting.get("/treatments/status"), acting.get("/treatments?customer_id=c1")):
        problem(response, 503)
    database.with_name("elsewhere.db").rename(database)
    assert is_empty(acting)
    assert counts(send(acting, CALLED)) == {"received": 1, "added": 1}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("POST", "/treatments", "act"), ("GET", "/treatments?customer_id=c1", "read"), ("GET", "/treatments/status", "read")],
)
def test_each_route_needs_its_scope(acting: Service, method: str, path: str, scope: str) -> None:
    acting.installation.make_key("neither", "predict", "release", "admin")
    acting.until(lambda: acting.get("/models", key="neither").status_code == 403)
    for name in ("read", "act", "neither"):
        headers = acting.key_header(name)
        response = acting.client.request(method, path, json=CALLED if method == "POST" else None, headers=headers)
        assert response.status_code == (200 if name == scope else 403), name
    problem(acting.client.request(method, path), 401)
