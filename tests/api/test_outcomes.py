"""Outcomes over HTTP: saved whole or not at all, refused row by row, and read back in all versions."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from churn_api.http.asking import RETRY_S
from churn_store.database.schema import outcome_keys, outcomes
from tests.api.conftest import ONLINE_ROWS, Installation, Service, counts, problem
from tests.release_factory import NOW_S, Candidate

NOW = datetime.fromtimestamp(NOW_S, UTC)
T = (NOW - timedelta(days=40)).date().isoformat()
LEFT = {"customer_id": "c1", "churned": True, "snapshot": T}
CANARY = "canary-4711"


def send(service: Service, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.post("/outcomes", body, key="act", headers=named)


def rows(installed: Installation) -> int:
    with installed.engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(outcomes)).scalar_one())


def test_one_many_and_csv_are_saved_and_read_back(acting: Service) -> None:
    assert counts(send(acting, LEFT)) == {"received": 1, "added": 1}
    two = {"outcomes": [{**LEFT, "occurred": "2026-01-01T12:00:00+01:00"}, {"customer_id": "c2", "churned": False}]}
    two["outcomes"][0]["occurred"] = (NOW - timedelta(days=30)).isoformat()
    assert counts(send(acting, two)) == {"received": 2, "added": 1, "corrected": 1}
    csv = f'customer_id,churned,snapshot,occurred\nc1,No,{T},\n\n"c,3",yes,,{T}\n'.encode()
    assert counts(send(acting, csv, Content_Type="text/csv")) == {"received": 2, "added": 1, "corrected": 1}
    found = acting.get("/outcomes?customer_id=c1", key="read").json()["outcomes"]
    assert [(one["version"], one["churned"], one["newest"]) for one in found] == [
        (3, False, True), (2, True, False), (1, True, False),
    ]  # fmt: skip
    assert found[1]["occurred"] == (NOW - timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert {one["snapshot"] for one in found} == {f"{T}T00:00:00Z"}
    assert {one["key_id"] for one in found} == {acting.installation.keys["act"].key_id}
    assert acting.get("/outcomes?customer_id=c,3", key="read").json()["outcomes"][0]["snapshot"] is None
    assert acting.get("/outcomes?customer_id=nobody", key="read").json()["outcomes"] == []


def test_a_date_of_leaving_may_be_the_day_of_the_snapshot(acting: Service) -> None:
    """A date says that the customer left in the course of that day, so it is not before a snapshot of that morning."""
    morning = {**LEFT, "snapshot": f"{T}T10:00:00Z"}
    assert counts(send(acting, {**morning, "occurred": T})) == {"received": 1, "added": 1}
    assert "a time before the snapshot" in send(acting, {**morning, "occurred": f"{T}T09:59:59Z"}).text


def test_the_status_follows_what_is_sent_predicted_and_passed(acting: Service) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = acting.get("/outcomes/status", key="read").json()
        return {name: value for name, value in found.items() if name != "as_of"}

    nothing = dict.fromkeys(
        ("received", "corrected", "customers_and_snapshots", "joined", "unmatched", "matured", "churned"), 0
    )
    assert status() == nothing
    send(acting, {"customer_id": "c1", "churned": True})
    assert status() == {**nothing, "received": 1, "customers_and_snapshots": 1, "unmatched": 1}
    acting.post("/predict", {"customer_id": "c1", "attributes": ONLINE_ROWS[0]})
    acting.until(lambda: status()["joined"] == 1)
    assert status() == {**nothing, "received": 1, "customers_and_snapshots": 1, "joined": 1, "churned": 1}
    acting.installation.config.clock.fix(NOW + timedelta(days=31))
    acting.until(lambda: status()["matured"] == 1)
    send(acting, {"customer_id": "c1", "churned": False})
    assert status() == {
        **nothing, "received": 2, "corrected": 1, "customers_and_snapshots": 1, "joined": 1, "matured": 1,
    }  # fmt: skip


def test_sent_again_under_its_key_a_request_counts_once(acting: Service) -> None:
    first = send(acting, LEFT, Idempotency_Key="a1")
    again = send(acting, LEFT, Idempotency_Key="a1")
    assert counts(first) == counts(again) == {"received": 1, "added": 1}
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    other = problem(send(acting, {**LEFT, "churned": False}, Idempotency_Key="a1"), 422)
    assert "stands for something else already" in other["detail"]
    assert rows(acting.installation) == 1


def test_a_key_in_a_row_counts_once_in_any_request(acting: Service) -> None:
    named = {**LEFT, "idempotency_key": "crm-1"}
    assert counts(send(acting, named)) == {"received": 1, "added": 1}
    many = {"outcomes": [{"customer_id": "c2", "churned": True}, named]}
    assert counts(send(acting, many)) == {"received": 2, "added": 1, "repeated": 1}
    refused = problem(
        send(acting, {"outcomes": [{"customer_id": "c3", "churned": True}, {**named, "churned": False}]}), 422
    )
    assert [error["path"] for error in refused["errors"]] == ["outcomes[1]"]
    assert rows(acting.installation) == 2


def test_the_same_json_in_another_order_or_with_blanks_is_the_same_request_and_csv_is_compared_by_its_bytes(
    acting: Service,
) -> None:
    def sent(body: bytes, key: str, kind: str = "application/json") -> Any:
        headers = {"Idempotency-Key": key, "Content-Type": kind, **acting.key_header("act")}
        return acting.client.post("/outcomes", content=body, headers=headers)

    first = b'{"outcomes":[{"customer_id":"c1","churned":true},{"customer_id":"c2","churned":false}]}'
    assert sent(first, "j").json()["replayed"] is False
    other = b'{ "outcomes" : [{"churned": true, "customer_id": "c\\u0031"},\n {"churned":false,"customer_id":"c2","occurred":null}] }'
    assert sent(other, "j").json()["replayed"] is True
    for differs in (first.replace(b"false", b"true"), first.replace(b"c2", b"c3"), b'{"customer_id":"c1","churned":true}'):
        problem(sent(differs, "j"), 422)
    swapped = b'{"outcomes":[{"customer_id":"c2","churned":false},{"customer_id":"c1","churned":true}]}'
    problem(sent(swapped, "j"), 422)

    csv = b"customer_id,churned\nc5,true\n"
    assert sent(csv, "f", "text/csv").json()["replayed"] is False
    assert sent(csv, "f", "text/csv").json()["replayed"] is True
    problem(sent(csv.replace(b"\n", b"\r\n"), "f", "text/csv"), 422)
    assert rows(acting.installation) == 3


def test_a_request_whose_digest_an_older_version_kept_is_still_known(acting: Service) -> None:
    body = json.dumps(LEFT).encode()
    headers = {"Idempotency-Key": "old", "Content-Type": "application/json", **acting.key_header("act")}
    acting.client.post("/outcomes", content=body, headers=headers)
    with acting.installation.engine.begin() as connection:
        connection.execute(outcome_keys.update().values(digest=hashlib.sha256(body).hexdigest()))
    assert acting.client.post("/outcomes", content=body, headers=headers).json()["replayed"] is True


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 201])
def test_an_idempotency_key_of_another_form_is_refused(refusing: Service, key: str) -> None:
    sent = (("x-api-key", refusing.installation.keys["act"].key), ("idempotency-key", key.encode()))
    refused = problem(refusing.raw("POST", b"/outcomes", b'{"customer_id":"c1","churned":true}', headers=sent), 400)
    assert [one["path"] for one in refused["errors"]] == ["Idempotency-Key"]
    assert refused["detail"].startswith("the header Idempotency-Key does not fit; expected ")
    assert refused["detail"].endswith(("without blanks, such as a UUID", "at least 1 character", "at most 200 characters"))
    assert rows(refusing.installation) == 0


ONE: dict[str, tuple[Any, str, str]] = {
    "no customer": ({"churned": True}, "customer_id", "is missing"),
    "no outcome": ({"customer_id": "c1"}, "churned", "is missing"),
    "a number": ({**LEFT, "churned": 1}, "churned", "expected true or false, got a number"),
    "a word": ({**LEFT, "churned": CANARY}, "churned", "expected true or false, got text"),
    "an empty id": ({**LEFT, "customer_id": ""}, "customer_id", "text of 1 to 256 characters"),
    "a long id": ({**LEFT, "customer_id": CANARY * 99}, "customer_id", "text of 1 to 256 characters"),
    "a line in an id": ({**LEFT, "customer_id": f"{CANARY}\n"}, "customer_id", "without control characters"),
    "a NUL": ({**LEFT, "customer_id": f"{CANARY}\0"}, "customer_id", "without control characters"),
    "an unknown name": ({**LEFT, CANARY: 1}, "", "a name that is not expected here"),
    "no time": ({**LEFT, "snapshot": CANARY}, "snapshot", "not a time; expected a date or time like"),
    "a long time": ({**LEFT, "snapshot": "2" * 41}, "snapshot", "at most"),
    "a number as time": ({**LEFT, "snapshot": 1_700_000_000}, "snapshot", "expected text"),
    "the future": (
        {**LEFT, "snapshot": (NOW + timedelta(seconds=1)).isoformat()},
        "snapshot",
        "a time in the future; it is",
    ),
    "to come": ({**LEFT, "occurred": (NOW + timedelta(days=1)).isoformat()}, "occurred", "a time in the future"),
    "long ago": ({**LEFT, "snapshot": "1969-12-31"}, "snapshot", "a time before 1970"),
    "year 1": ({**LEFT, "snapshot": "0001-01-01T00:00:00+14:00"}, "snapshot", "before 1970"),
    "stayed and left": ({**LEFT, "churned": False, "occurred": T}, "occurred", "although churned is false"),
    "before": ({**LEFT, "occurred": "2000-01-01"}, "occurred", "a time before the snapshot"),
    "a bad key": ({**LEFT, "idempotency_key": "a b"}, "idempotency_key", "matching"),
}


@pytest.mark.parametrize("case", ONE)
def test_a_bad_outcome_is_named_with_what_was_found_and_expected(refusing: Service, case: str) -> None:
    body, path, said = ONE[case]
    refused = problem(send(refusing, body), 400)
    assert (refused["errors"][0]["path"], said in refused["errors"][0]["detail"]) == (path, True), refused
    assert CANARY not in str(refused)
    many = problem(send(refusing, {"outcomes": [{"customer_id": "good", "churned": True}, body]}), 400)
    assert many["errors"][0]["path"] == f"outcomes[1].{path}".rstrip("."), many
    assert said in many["errors"][0]["detail"]
    assert "1 of 2 outcomes can't be saved" in many["detail"]
    assert "Nothing was saved" in many["detail"]
    assert rows(refusing.installation) == 0


def test_each_bad_row_is_named_and_nothing_is_half_written(refusing: Service) -> None:
    rows_sent = [f"c{number},{'maybe' if number % 3 == 0 else 'true'}" for number in range(90)]
    csv = "\n".join(["customer_id,churned", *rows_sent])
    refused = problem(send(refusing, csv.encode(), Content_Type="text/csv"), 400)
    assert refused["detail"].startswith(
        "30 of 90 outcomes can't be saved, the first at line 2: churned: another word; expected"
    )
    assert [error["path"] for error in refused["errors"]] == [
        *(f"line {2 + 3 * number}: churned" for number in range(20)), ""
    ]  # fmt: skip
    assert refused["errors"][-1]["detail"] == "and 10 more outcomes"
    assert rows(refusing.installation) == 0


CSV: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "", "the body is empty"),
    "no row": (b"customer_id,churned\n", "", "found no row"),
    "no header": (b"c1,true\n", "", "the header line lacks customer_id and churned"),
    "twice": (b"customer_id,churned,churned\nc1,true,true\n", "", "names a column twice"),
    "unknown": (b"customer_id,churned,canary-4711\nc1,true,x\n", "", "names 1 columns that are not known"),
    "fields": (b"customer_id,churned\nc1\n", "line 2", "1 fields; expected 2"),
    "empty": (b"customer_id,churned\n,true\n", "line 2: customer_id", "is empty"),
    "NUL": (b"customer_id,churned\nc1,true\nc\0,true\n", "line 3", "the character NUL"),
    "latin-1": ("customer_id,churned\nÄ,true\n".encode("latin-1"), "", "not CSV in UTF-8"),
    "quote": (b'customer_id,churned\n"c1,true\n', "", "can't be read"),
    "lines": (b'customer_id,churned\n"c\n1",true\nc2,perhaps\n', "line 2: customer_id", "without control characters"),
    "a subject twice": (b"customer_id,churned\nc1,true\nc2,true\nc1,false\n", "line 4", "same customer and snapshot as line 2"),
    "a key twice": (
        b"customer_id,churned,idempotency_key\nc1,true,a\nc2,true,a\n", "line 3: idempotency_key", "the same as line 2",
    ),
    "semicolons": (b"customer_id;churned\nc1;true\n", "", "expected customer_id, churned, snapshot"),
}  # fmt: skip


@pytest.mark.parametrize("case", CSV)
def test_bad_csv_is_refused_by_its_line(refusing: Service, case: str) -> None:
    body, path, said = CSV[case]
    refused = problem(send(refusing, body, Content_Type="text/csv"), 400)
    assert refused["errors"][0]["path"] == path, refused
    assert said in refused["errors"][0]["detail"], refused
    assert CANARY not in str(refused)
    assert rows(refusing.installation) == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"), (b"[]", "expected an object"), (b'{"outcomes": []}', "at least"), (b'{"outcomes": 1}', "a list"),
        (b'{"outcomes": [], "outcomes": []}', ""), (b'{"outcomes": [{}], "more": 1}', "a name that is not expected"),
        (b"[" * 100_000, "an object"), (b'{"a":' * 100_000, ""), (b'{"outcomes": ' + b"[" * 100_000, "nested"), (b'{"customer_id":"\\ud800","churned":true}', ""),
        (b'{"customer_id":"c1","customer_id":"c2","churned":true}', "occurs twice"), (b'{"churned": NaN}', "not JSON"),
        (b'{"outcomes": [{"customer_id":"c1","churned":true,"churned":false}]}', "occurs twice"),
        (b'\xff{"customer_id":"c1","churned":true}', "UTF-8"),
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(refusing: Service, body: bytes, said: str) -> None:
    refused = problem(send(refusing, body), 400)
    assert said in refused["detail"], refused
    assert rows(refusing.installation) == 0


def test_compressed_too_large_and_too_many_are_refused(installation: Installation) -> None:
    installation.make_key("act", "act")
    config = installation.config.service.model_copy(update={"max_batch": 3, "max_batch_body_bytes": 4_096})
    object.__setattr__(installation, "config", installation.config.model_copy(update={"service": config}))
    with installation.serve() as service:
        problem(send(service, b"\x1f\x8b\x08"), 415)
        problem(send(service, b" " * 5_000), 413)
        problem(send(service, b"customer_id,churned\nc1,true", Content_Type="text/csv; charset=klingon"), 415)
        four = [{"customer_id": f"c{number}", "churned": True} for number in range(4)]
        assert "at most" in problem(send(service, {"outcomes": four}), 400)["detail"]
        csv = "customer_id,churned\n" + "".join(f"c{number},1\n" for number in range(4))
        assert "1 to 3 rows; found more" in problem(send(service, csv.encode(), Content_Type="text/csv"), 400)["detail"]
        assert rows(installation) == 0
        assert counts(send(service, {"outcomes": four[:3]})) == {"received": 3, "added": 3}


def test_an_encoding_is_read_as_the_request_says(acting: Service) -> None:
    body = "customer_id,churned\nÄrger,true\n".encode("latin-1")
    assert counts(send(acting, body, Content_Type="text/csv; charset=iso-8859-1")) == {"received": 1, "added": 1}
    assert len(acting.get("/outcomes?customer_id=Ärger", key="read").json()["outcomes"]) == 1


def test_with_the_database_away_nothing_is_acknowledged_and_the_caller_is_told_when_to_try_again(acting: Service) -> None:
    database = acting.installation.home / "serving.db"
    database.rename(database.with_name("elsewhere.db"))
    for response in (send(acting, LEFT), acting.get("/outcomes/status"), acting.get("/outcomes?customer_id=c1")):
        problem(response, 503)
        assert response.headers["retry-after"] == str(RETRY_S)
    assert acting.get("/predict/c1").status_code == 200
    database.with_name("elsewhere.db").rename(database)
    assert rows(acting.installation) == 0
    assert counts(send(acting, LEFT)) == {"received": 1, "added": 1}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [("POST", "/outcomes", "act"), ("GET", "/outcomes?customer_id=c1", "read"), ("GET", "/outcomes/status", "read")],
)
def test_each_route_needs_its_scope(acting: Service, method: str, path: str, scope: str) -> None:
    for name in ("predict", "read", "act", "release", "admin"):
        acting.installation.make_key(f"only {name}", name)
    acting.until(lambda: acting.get("/models", key="only admin").status_code == 403)
    for name in ("predict", "read", "act", "release", "admin"):
        headers = acting.key_header(f"only {name}")
        response = acting.client.request(method, path, json=LEFT if method == "POST" else None, headers=headers)
        assert response.status_code == (200 if name == scope else 403), name
    problem(acting.client.request(method, path), 401)


def test_outcomes_are_received_by_the_platforms_clock(installation: Installation, candidate: Candidate) -> None:
    installation.make_key("act", "act")
    later = NOW + timedelta(days=7)
    installation.config.clock.fix(later)
    with installation.serve() as service:
        assert counts(send(service, {**LEFT, "occurred": later.isoformat()})) == {"received": 1, "added": 1}
        found = service.get("/outcomes?customer_id=c1").json()["outcomes"][0]
        assert found["received"] == later.isoformat().replace("+00:00", "Z")
        assert service.get("/outcomes/status").json()["matured"] is None  # no release, so no horizon
