"""Predictions: the answer is the release's own score of the right row, and says what it rests on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from churn_api.schemas.predictions import Batch, Prediction
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, SNAPSHOT_S, Candidate, make_online, rows_of, small_columns, train
from tests.store.servers import Postgres

SAME = 1e-9


def scored(service: Service, rows: list[dict[str, Any]]) -> list[float]:
    return service.installation.bundle().scorer.score_rows(rows).tolist()


@contextmanager
def serving(installation: Installation, candidate: Candidate, **snapshot: object) -> Iterator[Service]:
    installation.release(candidate)
    installation.put_online(**snapshot)
    with installation.serve() as service:
        yield service


def test_a_prediction_by_id_is_the_bundles_score_of_that_customers_online_features(service: Service) -> None:
    answered = [service.get(f"/predict/c{i}").json()["probability"] for i in range(CUSTOMERS)]
    expected = [scored(service, [row])[0] for row in ONLINE_ROWS]  # one by one: a batch rounds otherwise, in 32 bits
    assert answered == pytest.approx(expected, abs=SAME)
    assert len(set(answered)) > CUSTOMERS / 2


def test_a_prediction_by_attributes_is_the_same_as_by_id(service: Service) -> None:
    for i, row in enumerate(ONLINE_ROWS[:10]):
        by_attributes = service.post("/predict", {"attributes": row, "customer_id": "anybody"}).json()
        by_id = service.get(f"/predict/c{i}").json()
        assert by_attributes["probability"] == pytest.approx(by_id["probability"], abs=SAME)
        assert by_attributes["customer_id"] == "anybody"


def test_the_order_of_the_attributes_does_not_matter(service: Service) -> None:
    row = ONLINE_ROWS[1]
    backwards = service.post("/predict", {"attributes": dict(reversed(row.items()))}).json()
    assert backwards["probability"] == service.get("/predict/c1").json()["probability"]


def test_whole_numbers_are_taken_as_numbers(service: Service) -> None:
    whole = {name: int(value) if isinstance(value, float) else value for name, value in ONLINE_ROWS[2].items()}
    answered = service.post("/predict", {"attributes": whole}).json()
    assert answered["probability"] == service.get("/predict/c2").json()["probability"]


def test_an_answer_by_id_says_what_it_rests_on(service: Service) -> None:
    response = service.get("/predict/c3")
    answered = msgspec.json.decode(response.content, type=Prediction)
    row, manifest = service.installation.bundle(), service.installation.manifest()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-release"] == row.digest
    assert (answered.customer_id, answered.horizon_days, answered.threshold) == ("c3", 30, manifest.threshold)
    assert (answered.model.release, answered.model.epoch) == (row.digest, 1)
    assert (answered.model.family, answered.model.role) == ("logistic_regression", "champion")
    assert answered.snapshot == datetime.fromtimestamp(SNAPSHOT_S, UTC)
    assert answered.feature_age_s == NOW_S - SNAPSHOT_S
    assert answered.answered_at == datetime.fromtimestamp(NOW_S, UTC)
    assert answered.unknown_categories == []
    assert answered.latency_ms > 0
    assert set(response.json()) == set(Prediction.__struct_fields__)


def test_an_answer_by_attributes_names_no_snapshot(service: Service) -> None:
    answered = service.post("/predict", {"attributes": ONLINE_ROWS[0]}).json()
    assert (answered["snapshot"], answered["feature_age_s"], answered["customer_id"]) == (None, None, None)


def test_the_clock_is_followed_while_the_service_runs(fresh: Service) -> None:
    fresh.installation.config.clock.fix(datetime.fromtimestamp(NOW_S + 3_600, UTC))
    fresh.until(lambda: fresh.get("/predict/c1").json()["feature_age_s"] == NOW_S - SNAPSHOT_S + 3_600)


@pytest.mark.parametrize("sent", ["a", "A-b_c.9", "x" * 64])
def test_a_valid_request_id_is_echoed(service: Service, sent: str) -> None:
    response = service.get("/predict/c1", headers={"X-Request-ID": sent})
    assert (response.json()["request_id"], response.headers["x-request-id"]) == (sent, sent)
    assert response.json()["prediction_id"] != sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "two words", "a/b", "ä", "a\n", "a:b", '"'])
def test_an_invalid_request_id_is_not_echoed(service: Service, sent: str) -> None:
    headers = (*service.key_header("both").items(), ("x-request-id", sent))
    response = service.raw("GET", b"/predict/c1", headers=headers)
    assert response.json()["request_id"] == response.json()["prediction_id"]
    assert "x-request-id" not in response.headers


def test_an_error_echoes_the_request_id_too(service: Service) -> None:
    response = service.get("/predict/nobody", headers={"X-Request-ID": "mine"})
    assert problem(response, 404)["request_id"] == response.headers["x-request-id"] == "mine"


def test_prediction_ids_are_unique_and_sort_by_time(service: Service) -> None:
    made = [service.get("/predict/c1", headers={"X-Request-ID": "same"}).json()["prediction_id"] for _ in range(50)]
    assert len(set(made)) == 50
    assert [one[:12] for one in made] == sorted(one[:12] for one in made)
    assert all(re.fullmatch("[0-9a-f]{12}7[0-9a-f]{19}", one) for one in made)


def test_a_probability_at_the_threshold_is_churn_and_below_it_is_not(
    installation: Installation, candidate: Candidate, service: Service
) -> None:
    probability = service.get("/predict/c5").json()["probability"]
    manifest = msgspec.structs.replace(candidate.manifest, threshold=probability)
    with serving(installation, Candidate(manifest, candidate.contents, candidate.pipeline)) as at_the_threshold:
        answers = [at_the_threshold.get(f"/predict/c{i}").json() for i in range(CUSTOMERS)]
    assert answers[5]["churn"] is True
    assert [one["churn"] for one in answers] == [one["probability"] >= probability for one in answers]
    assert {one["churn"] for one in answers} == {True, False}


def test_a_batch_by_ids_answers_in_the_order_of_the_ids(service: Service) -> None:
    asked = ["c7", "nobody", "c0", "c7", "somebody else", "c49"]
    answered = service.post("/predict/batch", {"customer_ids": asked}).json()
    items = answered["predictions"]
    assert [one["customer_id"] for one in items] == asked
    expected = scored(service, [ONLINE_ROWS[i] for i in (7, 0, 7, 49)])
    assert [items[i]["probability"] for i in (0, 2, 3, 5)] == pytest.approx(expected, abs=SAME)
    for i in (1, 4):
        assert set(items[i]) == {"customer_id", "error"}
        assert (items[i]["error"]["status"], items[i]["error"]["snapshot"]) == (404, "2026-02-01")
        assert items[i]["error"]["type"] == "urn:churn:problem:unknown-customer"
    assert answered["snapshot"] == "2026-02-01T00:00:00Z"
    assert answered["feature_age_s"] == NOW_S - SNAPSHOT_S


def test_a_batch_of_unknown_customers_only_is_answered_with_errors_only(service: Service) -> None:
    items = service.post("/predict/batch", {"customer_ids": ["x", "y"]}).json()["predictions"]
    assert [one["error"]["status"] for one in items] == [404, 404]


def test_a_batch_from_records_answers_in_the_order_of_the_records(service: Service) -> None:
    records = [{"attributes": row, "customer_id": f"r{i}"} for i, row in enumerate(ONLINE_ROWS[:5])]
    del records[2]["customer_id"]
    answered = msgspec.json.decode(service.post("/predict/batch", {"records": records}).content, type=Batch)
    assert [one.customer_id for one in answered.predictions] == ["r0", "r1", None, "r3", "r4"]
    found = [one.probability for one in answered.predictions]
    assert found == pytest.approx(scored(service, ONLINE_ROWS[:5]), abs=SAME)
    assert (answered.snapshot, answered.model.epoch, answered.horizon_days) == (None, 1, 30)


@pytest.mark.parametrize("count", [201, 3_000])
def test_a_batch_that_is_decoded_and_scored_in_a_thread_is_no_other(service: Service, count: int) -> None:
    rows = rows_of(small_columns(), count, seed=3)
    records = [{"attributes": row, "customer_id": f"colon: {i}"} for i, row in enumerate(rows)]
    items = service.post("/predict/batch", {"records": records}).json()["predictions"]
    assert [one["customer_id"] for one in items] == [record["customer_id"] for record in records]
    assert [one["probability"] for one in items] == pytest.approx(scored(service, rows), abs=SAME)


def test_a_batch_of_many_ids_is_looked_up_completely(service: Service) -> None:
    asked = [f"c{i % 60}" for i in range(1_000)]
    items = service.post("/predict/batch", {"customer_ids": asked}).json()["predictions"]
    assert ["error" in one for one in items] == [i % 60 >= CUSTOMERS for i in range(1_000)]
    assert [one.get("customer_id") for one in items] == asked


def test_an_unknown_customer_is_a_404_that_names_the_snapshots_date(service: Service) -> None:
    body = problem(service.get("/predict/nobody"), 404)
    assert body["snapshot"] == "2026-02-01"
    assert "2026-02-01" in body["detail"]
    assert body["type"] == "urn:churn:problem:unknown-customer"


def test_data_without_time_has_no_horizon_no_date_and_no_age(installation: Installation) -> None:
    with serving(installation, train(horizon_days=None), snapshot_s=None) as service:
        answered = service.get("/predict/c1").json()
        assert [answered[name] for name in ("snapshot", "feature_age_s", "horizon_days")] == [None, None, None]
        body = problem(service.get("/predict/nobody"), 404)
        assert body["snapshot"] == "all"
        assert body["detail"].startswith(
            "This customer is not in the online features: unknown, or not at risk. Send the attributes"
        )


def test_a_word_that_training_never_saw_is_scored_as_unknown_and_said(service: Service) -> None:
    row = {**ONLINE_ROWS[0], "plan": "platinum", "country": "nowhere"}
    before = service.metric("churn_unknown_categories_total", column="plan")
    answered = service.post("/predict", {"attributes": row}).json()
    assert answered["unknown_categories"] == ["plan", "country"]
    assert answered["probability"] == pytest.approx(scored(service, [row])[0], abs=SAME)
    in_a_batch = service.post("/predict/batch", {"records": [{"attributes": row}]}).json()["predictions"][0]
    assert in_a_batch["unknown_categories"] == ["plan", "country"]
    assert service.metric("churn_unknown_categories_total", column="plan") == before + 2


def test_null_is_an_answer_where_the_signature_says_so(service: Service) -> None:
    row = {**ONLINE_ROWS[0], "days_since_ticket": None}
    answered = service.post("/predict", {"attributes": row}).json()
    assert answered["probability"] == pytest.approx(scored(service, [row])[0], abs=SAME)
    given = service.post("/predict", {"attributes": {**row, "days_since_ticket": 90}}).json()
    assert given["probability"] != answered["probability"]


@pytest.mark.parametrize("name", ["sessions_30d", "plan"])
def test_null_is_refused_where_the_signature_does_not_allow_it(service: Service, name: str) -> None:
    body = problem(service.post("/predict", {"attributes": {**ONLINE_ROWS[0], name: None}}), 400)
    assert body["errors"][0]["path"] == f"attributes.{name}"
    assert "found null" in body["detail"]


def test_columns_may_have_any_name(installation: Installation) -> None:
    names = ["class", "_private", "two words", "ä-ö", "attributes"]
    renamed = (*zip(names, small_columns()[:5], strict=True),)
    columns = (*(msgspec.structs.replace(column, name=name) for name, column in renamed), *small_columns()[5:])
    row = rows_of(columns, CUSTOMERS, 7)[4]
    with serving(installation, train(columns), columns=columns) as service:
        by_id = service.get("/predict/c4").json()["probability"]
        assert service.post("/predict", {"attributes": row}).json()["probability"] == by_id
        assert by_id == pytest.approx(scored(service, [row])[0], abs=SAME)
        del row["two words"]
        refused = problem(service.post("/predict", {"attributes": row}), 400)
        assert refused["errors"][0]["path"] == "attributes.two words"


ASKED = [
    ("GET", b"/predict/c1", b""),
    ("POST", b"/predict", msgspec.json.encode({"attributes": ONLINE_ROWS[0]})),
    ("POST", b"/predict/batch", b'{"customer_ids": ["c1"]}'),
    ("POST", b"/predict/batch", msgspec.json.encode({"records": [{"attributes": ONLINE_ROWS[0]}]})),
]


def test_without_a_release_a_prediction_is_a_503_until_the_first_one_is_picked_up(
    installation: Installation, candidate: Candidate
) -> None:
    installation.put_online()
    with installation.serve() as service:
        for method, target, body in ASKED:
            refused = problem(service.raw(method, target, body), 503)
            assert refused["type"] == "urn:churn:problem:no-release"
            assert "champion" in refused["detail"]
        assert service.get("/health/live").status_code == 200
        assert service.get("/health/ready").status_code == 503
        installation.release(candidate)
        service.until(lambda: service.get("/health/ready").status_code == 200)
        for method, target, body in ASKED:
            assert service.raw(method, target, body).status_code == 200


def test_without_online_features_an_id_is_a_503_and_attributes_are_answered(
    installation: Installation, candidate: Candidate
) -> None:
    installation.release(candidate)
    with installation.serve() as service:
        for method, target, body in (ASKED[0], ASKED[2]):
            assert problem(service.raw(method, target, body), 503)["type"] == "urn:churn:problem:no-online-features"
        assert service.post("/predict", {"attributes": ONLINE_ROWS[0]}).status_code == 200
        installation.put_online()
        service.until(lambda: service.get("/predict/c1").status_code == 200)


def test_online_features_without_a_column_of_the_release_are_a_503_that_names_it(
    installation: Installation, candidate: Candidate
) -> None:
    with serving(installation, candidate, leave_out=("plan", "paid_3_cents")) as service:
        for method, target, body in (ASKED[0], ASKED[2], ("GET", b"/predict/nobody", b"")):
            refused = problem(service.raw(method, target, body), 503)
            assert refused["type"] == "urn:churn:problem:online-features-of-another-model"
            assert "plan" in refused["detail"]
            assert "paid_3_cents" in refused["detail"]
        assert service.post("/predict", {"attributes": ONLINE_ROWS[0]}).status_code == 200
        assert service.get("/health/detailed").json()["online_features"]["missing_columns"] == ["paid_3_cents", "plan"]
        installation.put_online()
        service.until(lambda: service.get("/predict/c1").status_code == 200)


def test_online_features_that_were_damaged_are_a_503_and_not_an_unknown_customer(
    tmp_path: Path, candidate: Candidate
) -> None:
    with Installation.make(tmp_path) as installed:
        installed.release(candidate)
        installed.put_online()
        (file,) = Path(installed.config.online_url).glob("features-*.sqlite")
        with open(file, "r+b") as opened:
            opened.write(b"\0" * file.stat().st_size)
        with installed.serve() as service:
            assert problem(service.get("/predict/c2"), 503)["type"] == "urn:churn:problem:no-online-features"


def test_a_newer_release_answers_within_a_second_with_its_own_columns(fresh: Service) -> None:
    columns = small_columns(numbers=6)
    row = rows_of(columns, 1, 3)[0]
    assert fresh.post("/predict", {"attributes": row}).status_code == 400
    fresh.installation.release(train(columns))
    fresh.until(lambda: fresh.get("/model/version").json()["epoch"] == 2)
    answered = fresh.post("/predict", {"attributes": row}).json()
    assert answered["model"]["epoch"] == 2
    assert answered["probability"] == pytest.approx(scored(fresh, [row])[0], abs=SAME)
    assert fresh.post("/predict", {"attributes": ONLINE_ROWS[0]}).status_code == 400
    assert fresh.get("/predict/c1").json()["model"]["epoch"] == 2


def test_a_newer_snapshot_answers_by_itself(fresh: Service) -> None:
    before = fresh.get("/predict/c1").json()
    fresh.installation.put_online(seed=8, snapshot_s=SNAPSHOT_S + 86_400)
    fresh.until(lambda: fresh.get("/predict/c1").json()["snapshot"] == "2026-02-02T00:00:00Z")
    after = fresh.get("/predict/c1").json()
    assert after["feature_age_s"] == 0
    row = rows_of(small_columns(), CUSTOMERS, 8)[1]
    assert after["probability"] == pytest.approx(scored(fresh, [row])[0], abs=SAME)
    assert after["probability"] != before["probability"]


def test_redis_holds_the_same_online_features(
    tmp_path: Path, candidate: Candidate, redis_url: str, service: Service
) -> None:
    with (
        Installation.make(tmp_path, store={"online_url": redis_url}) as installed,
        serving(installed, candidate) as on_redis,
    ):
        for i in range(5):
            ours, theirs = on_redis.get(f"/predict/c{i}").json(), service.get(f"/predict/c{i}").json()
            assert ours["probability"] == theirs["probability"]
            assert (ours["snapshot"], ours["feature_age_s"]) == (theirs["snapshot"], theirs["feature_age_s"])
        items = on_redis.post("/predict/batch", {"customer_ids": ["c9", "nobody", "c8"]}).json()["predictions"]
        assert [one.get("error", {}).get("status") for one in items] == [None, 404, None]
        assert problem(on_redis.get("/predict/nobody"), 404)["snapshot"] == "2026-02-01"
        client = redis.Redis.from_url(redis_url)
        client.flushall()
        client.close()
        on_redis.until(lambda: on_redis.get("/predict/c20").status_code == 503)
        on_redis.until(lambda: on_redis.get("/health/ready").status_code == 503)
        make_online(redis_url, customers=CUSTOMERS)
        on_redis.until(lambda: on_redis.get("/predict/c20").status_code == 200)


def test_postgresql_carries_the_whole_service(
    tmp_path: Path, candidate: Candidate, postgres_server: Postgres, service: Service
) -> None:
    store = {"database_url": postgres_server.new_database()}
    with (
        Installation.make(tmp_path, store=store, ship_s=0.05) as installed,
        serving(installed, candidate) as on_postgres,
    ):
        answered = on_postgres.get("/predict/c1").json()
        assert answered["probability"] == service.get("/predict/c1").json()["probability"]
        assert problem(on_postgres.get("/predict/c1", key=None), 401)
        hostile = {**ONLINE_ROWS[0], "plan": "tab \t, quote ' and \\ and 😀"}
        other = on_postgres.post("/predict", {"attributes": hostile, "customer_id": "'; DROP TABLE"}).json()
        on_postgres.until(lambda: len(installed.logged()) == 2)
        rows = {row["request_id"]: row for row in installed.logged()}
        assert rows[answered["prediction_id"]]["features"] == ONLINE_ROWS[1]
        assert rows[other["prediction_id"]]["features"] == hostile
        installed.revoke("both")
        on_postgres.until(lambda: on_postgres.get("/predict/c1").status_code == 401)
