"""What the service says of itself follows the facts: each test changes one and sees the answer change."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.releases.risk_bands import bands_of
from tests.api.conftest import CUSTOMERS, ONLINE_ROWS, Installation, Service, problem
from tests.release_factory import NOW_S, SNAPSHOT_S, Candidate, small_columns, train


@pytest.fixture
def shipping(tmp_path: Path, candidate: Candidate) -> Any:
    """A service that ships its log at once."""
    with Installation.make(tmp_path, ship_s=0.05) as made:
        made.make_key("operator", "admin", "read", "predict")
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            yield service


def test_the_model_s_info_follows_the_release_and_its_challenger(
    fresh: Service, candidate: Candidate, other_candidate: Candidate
) -> None:
    told = fresh.get("/model/info").json()
    assert [one["name"] for one in told["inputs"]] == list(candidate.manifest.signature.names)
    by_name = {one["name"]: one for one in told["inputs"]}
    assert by_name["sessions_30d"] | {"description": ""} == {
        "name": "sessions_30d", "kind": "number", "unit": "count", "description": "", "nullable": False, "low": 0, "high": 1_000,
        "categories": [],
    }  # fmt: skip
    assert by_name["plan"]["categories"] == ["basic", "plus", "pro"]
    (arm,) = told["arms"]
    bands = bands_of(candidate.manifest)
    assert [(one["name"], one["at_least"]) for one in arm["risk_bands"]] == list(
        zip(bands.names, bands.bounds, strict=True)
    )
    assert [one["below"] for one in arm["risk_bands"]] == [*bands.bounds[1:], None]
    assert (arm["share"], arm["bands_from"], told["epoch"]) == (1.0, "release", 1)

    fresh.installation.challenge(other_candidate, 0.25)
    fresh.until(lambda: len(fresh.get("/model/info").json()["arms"]) == 2)
    assert [(one["role"], one["share"]) for one in fresh.get("/model/info").json()["arms"]] == [
        ("champion", 0.75), ("challenger", 0.25),
    ]  # fmt: skip
    fresh.installation.release(train(small_columns(numbers=5), threshold=0.3))
    fresh.until(lambda: fresh.get("/model/info").json()["epoch"] == 3)
    told = fresh.get("/model/info").json()
    assert len(told["inputs"]) == 8
    assert told["arms"][0]["threshold"] == 0.3


def test_a_release_of_format_1_says_that_its_bands_are_the_default(
    installation: Installation, candidate: Candidate
) -> None:
    older = msgspec.structs.replace(
        candidate.manifest, format=1, evaluation=msgspec.UNSET, parameters=msgspec.UNSET, calibrated_on=msgspec.UNSET,
        population=msgspec.UNSET, purpose=msgspec.UNSET, normalisation=msgspec.UNSET, threshold=0.4,
    )  # fmt: skip
    installation.release(Candidate(older, candidate.contents, candidate.pipeline))
    installation.put_online()
    with installation.serve() as service:
        (arm,) = service.get("/model/info").json()["arms"]
        assert (arm["bands_from"], [one["name"] for one in arm["risk_bands"]]) == ("threshold", ["low", "high"])
        answers = [service.get(f"/predict/c{i}").json() for i in range(CUSTOMERS)]
    assert all(one["risk_band"] == ("high" if one["churn"] else "low") for one in answers)


def test_the_features_status_counts_hits_and_follows_the_snapshot(fresh: Service) -> None:
    def status() -> dict[str, Any]:
        return fresh.get("/features/status").json()

    before = status()
    assert (before["snapshot"], before["rows"], before["columns"]) == ("2026-02-01", CUSTOMERS, 19)
    assert (before["hits"], before["misses"], before["hit_rate"], before["kept_in"]) == (0, 0, None, "file")
    copy = next((fresh.installation.config.cache_folder / "online").glob("features-*.sqlite"))
    assert before["bytes"] == copy.stat().st_size
    fresh.get("/predict/c1")
    fresh.get("/predict/nobody")
    fresh.post("/predict/batch", {"customer_ids": ["c1", "c2", "nobody"]})
    fresh.get("/customers/c1")  # no look-up for a prediction
    after = status()
    assert (after["hits"], after["misses"], after["looked_up"], after["hit_rate"]) == (3, 2, 5, 0.6)
    assert fresh.metric("churn_online_lookups_total", result="hit") == 3
    assert fresh.metric("churn_online_lookups_total", result="miss") == 2
    fresh.installation.put_online(customers=7, seed=8, snapshot_s=SNAPSHOT_S + 86_400, leave_out=("plan",))
    fresh.until(lambda: status()["snapshot"] == "2026-02-02")
    newer = status()
    assert (newer["rows"], newer["missing_columns"], newer["feature_age_s"]) == (7, ["plan"], 0)
    assert newer["digest"] != before["digest"]
    copy = next((fresh.installation.config.cache_folder / "online").glob("features-*.sqlite"))
    assert newer["bytes"] == copy.stat().st_size


def test_redis_says_how_much_memory_the_features_take(tmp_path: Path, candidate: Candidate, redis_url: str) -> None:
    with Installation.make(tmp_path, store={"online_url": redis_url}) as made:
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            few = service.get("/features/status").json()
            made.put_online(customers=2_000, seed=9)
            service.until(lambda: service.get("/features/status").json()["rows"] == 2_000)
            many = service.get("/features/status").json()
    assert few["kept_in"] == many["kept_in"] == "redis"
    assert 0 < few["bytes"] * 10 < many["bytes"]


def test_a_reload_reads_the_newest_snapshot_and_replaces_a_damaged_copy(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, poll_s=60) as made:
        made.make_key("operator", "admin", "read", "predict")
        made.release(candidate)
        made.put_online()
        with made.serve() as service:
            made.put_online(seed=8, snapshot_s=SNAPSHOT_S + 86_400)
            assert service.get("/features/status").json()["snapshot"] == "2026-02-01"
            assert service.post("/features/reload", b"", key="operator").json()["snapshot"] == "2026-02-02"
            expected = service.get("/predict/c1").json()["probability"]

            copy = next((made.config.cache_folder / "online").glob("features-*.sqlite"))
            with open(copy, "r+b") as opened:
                opened.write(b"\0" * copy.stat().st_size)
            assert service.post("/features/reload", b"", key="operator").status_code == 200
            assert copy.read_bytes() == (Path(made.config.online_url) / copy.name).read_bytes()
            assert service.get("/predict/c1").json()["probability"] == expected

            (Path(made.config.online_url) / "current.json").write_bytes(b"{")
            problem(service.post("/features/reload", b"", key="operator"), 503)
            assert service.get("/predict/c1").json()["probability"] == expected
            problem(service.post("/features/reload", b"", key="both"), 403)
            problem(service.get("/features/reload", key="operator"), 405)


def test_the_newest_predictions_are_listed_as_they_were_answered(shipping: Service) -> None:
    assert shipping.get("/customers/infos").json() == {"predictions": []}
    answered = [shipping.get(f"/predict/c{i}").json() for i in range(3)]
    batch = shipping.post("/predict/batch", {"records": [{"attributes": ONLINE_ROWS[9]}]}).json()
    shipping.until(lambda: len(shipping.get("/customers/infos").json()["predictions"]) == 4)
    told = {(one["prediction_id"], one["item"]): one for one in shipping.get("/customers/infos").json()["predictions"]}
    for place, one in enumerate(answered):
        row = told[one["prediction_id"], 0]
        assert row["features"] == ONLINE_ROWS[place]
        assert (row["customer_id"], row["probability"], row["churn"]) == (
            one["customer_id"],
            one["probability"],
            one["churn"],
        )
        assert (row["release"], row["role"], row["snapshot"]) == (one["model"]["release"], "champion", one["snapshot"])
    assert told[batch["prediction_id"], 0]["customer_id"] is None
    assert len(shipping.get("/customers/infos?limit=2").json()["predictions"]) == 2
    for query in ("limit=0", "limit=1001", "limit=x", "before=1"):
        problem(shipping.get(f"/customers/infos?{query}"), 400)


def test_a_damaged_row_of_the_log_hides_no_other(shipping: Service) -> None:
    for i in range(3):
        shipping.get(f"/predict/c{i}")
    shipping.until(lambda: len(shipping.installation.logged()) == 3)
    with shipping.installation.engine.begin() as connection:
        connection.execute(sa.text("UPDATE prediction_log SET features = '{' WHERE customer_id = 'c1'"))
    told = shipping.get("/customers/infos").json()["predictions"]
    assert {one["customer_id"] for one in told} == {"c0", "c2"}


def test_a_customer_s_history_grows_and_shows_what_is_served(shipping: Service) -> None:
    before = shipping.get("/customers/c3").json()
    assert before["predictions"] == []
    assert {name: before["features"][name] for name in ONLINE_ROWS[3]} == ONLINE_ROWS[3]
    assert "a_column_of_another_model" in before["features"]
    assert before["snapshot"] == "2026-02-01T00:00:00Z"
    first = shipping.get("/predict/c3").json()
    shipping.installation.config.clock.fix(datetime.fromtimestamp(NOW_S + 3_600, UTC))
    shipping.until(lambda: shipping.get("/predict/c4").json()["feature_age_s"] > 86_400)
    second = shipping.post("/predict", {"attributes": ONLINE_ROWS[5], "customer_id": "c3"}).json()
    shipping.until(lambda: len(shipping.get("/customers/c3").json()["predictions"]) == 2)
    told = shipping.get("/customers/c3").json()["predictions"]
    assert [one["probability"] for one in told] == [second["probability"], first["probability"]]
    assert [one["snapshot"] for one in told] == [None, first["snapshot"]]

    problem(shipping.get("/customers/nobody"), 404)
    shipping.post("/predict", {"attributes": ONLINE_ROWS[5], "customer_id": "nobody"})
    shipping.until(lambda: shipping.get("/customers/nobody").status_code == 200)
    assert shipping.get("/customers/nobody").json()["features"] is None
    for path in ("/customers/c3%2F", "/customers/%7F"):
        problem(shipping.get(path), 400)


def test_a_customer_s_outcome_and_its_correction_are_shown(fresh: Service) -> None:
    made = fresh.installation
    made.make_key("agent", "act")
    fresh.until(lambda: fresh.get("/outcomes", key="agent").status_code == 403)
    outcome = {"customer_id": "c3", "snapshot": "2026-02-01", "churned": False}

    def told(customer_id: str = "c3") -> list[tuple[Any, ...]]:
        found = fresh.get(f"/customers/{customer_id}").json()["outcomes"]
        return [(one["snapshot"], one["version"], one["churned"], one["occurred"], one["newest"]) for one in found]

    assert told() == []
    assert fresh.post("/outcomes", outcome, key="agent").json()["added"] == 1
    assert told() == [("2026-02-01T00:00:00Z", 1, False, None, True)]
    made.config.clock.fix(datetime.fromtimestamp(NOW_S + 86_400, UTC))
    fresh.until(lambda: fresh.get("/status").json()["now"] == "2026-02-03T00:00:00Z")
    correction = outcome | {"churned": True, "occurred": "2026-02-02"}
    assert fresh.post("/outcomes", correction, key="agent").json()["corrected"] == 1
    assert told() == [
        ("2026-02-01T00:00:00Z", 2, True, "2026-02-02T00:00:00Z", True),
        ("2026-02-01T00:00:00Z", 1, False, None, False),
    ]
    assert told("c4") == []
    problem(fresh.get("/customers/gone"), 404)
    fresh.post("/outcomes", {"customer_id": "gone", "churned": True}, key="agent")
    assert told("gone") == [(None, 1, True, None, True)]
    assert fresh.get("/customers/gone").json()["features"] is None


def test_while_the_database_is_away_the_log_can_not_be_shown(fresh: Service) -> None:
    with fresh.installation.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE prediction_log RENAME TO elsewhere")
    for path in ("/customers/infos", "/customers/c1"):
        assert problem(fresh.get(path), 503)["type"] == "urn:churn:problem:database-away"


def test_the_status_follows_clock_release_features_and_log(fresh: Service, other_candidate: Candidate) -> None:
    def status() -> dict[str, Any]:
        return fresh.get("/status").json()

    before = status()
    assert (before["status"], before["clock_is_fixed"], before["now"]) == ("ready", True, "2026-02-02T00:00:00Z")
    assert (before["release"]["epoch"], before["release"]["from_cache"]) == (1, False)
    assert before["features"]["snapshot"] == "2026-02-01"
    assert before["prediction_log"] == {"waiting_bytes": 0, "dropping": None}
    assert set(before["synchronized_s"]) >= {"releases", "keys", "online features", "prediction log"}
    time.sleep(0.01)
    assert status()["uptime_s"] > before["uptime_s"]
    fresh.get("/predict/c1")
    assert status()["prediction_log"]["waiting_bytes"] > 0
    assert status()["features"]["hits"] == 1
    fresh.installation.release(other_candidate)
    fresh.until(lambda: status()["release"]["epoch"] == 2 and status()["release"]["newest"])
    fresh.installation.config.clock.follow_wall_time()
    fresh.until(lambda: not status()["clock_is_fixed"])
    (Path(fresh.installation.config.online_url) / "current.json").unlink()
    fresh.installation.put_online(customers=3, seed=9)
    fresh.until(lambda: status()["features"]["rows"] == 3)


def test_reading_needs_the_scope_read(fresh: Service) -> None:
    fresh.installation.make_key("asker", "predict")
    fresh.until(lambda: fresh.get("/predict/c1", key="asker").status_code == 200)
    for path in (
        "/model/info",
        "/releases",
        "/ab/config",
        "/features/status",
        "/customers/infos",
        "/customers/c1",
        "/status",
    ):
        assert fresh.get(path).status_code == 200, path
        problem(fresh.get(path, key="asker"), 403)
        problem(fresh.get(path, key=None), 401)
