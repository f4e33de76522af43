"""The prediction log: what was answered is what is in the table, once, and it was on disk before it was answered."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from litestar.testing import TestClient
from prometheus_client import generate_latest

from churn_api.app import create_app
from churn_api.http.edge import ServiceApp
from churn_api.telemetry.log_rows import BATCH, TOGETHER
from churn_api.telemetry.metrics import Metrics
from churn_api.telemetry.shipper import Shipper
from churn_api.telemetry.spool import Spool
from tests.api.conftest import ONLINE_ROWS, Installation, Service
from tests.release_factory import NOW_S, SNAPSHOT_S, Candidate, rows_of, small_columns


@contextmanager
def serving(tmp_path: Path, candidate: Candidate, **limits: Any) -> Iterator[Service]:
    with Installation.make(tmp_path, **limits) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            yield service


@pytest.fixture
def shipping(tmp_path: Path, candidate: Candidate) -> Iterator[Service]:
    """A service that ships all the time."""
    with serving(tmp_path, candidate, ship_s=0.05) as service:
        yield service


def expected_row(service: Service, answered: dict[str, Any], item: int, one: dict[str, Any], row: Any) -> dict[str, Any]:
    looked_up = answered["snapshot"] is not None
    return {
        "request_id": answered["prediction_id"],
        "item": item,
        "answered_s": datetime.fromisoformat(answered["answered_at"]).timestamp(),
        "customer_id": one["customer_id"],
        "release": answered["model"]["release"],
        "epoch": answered["model"]["epoch"],
        "role": answered["model"]["role"],
        "probability": one["probability"],
        "churn": one["churn"],
        "threshold": answered["threshold"],
        "snapshot_s": SNAPSHOT_S if looked_up else None,
        "features": row,
        "key_id": service.installation.keys["both"].key_id,
        "experiment": None,
        "arm": None,
        "unit": None,
    }


def logged(service: Service, count: int) -> list[dict[str, Any]]:
    """The table once it holds so many rows, without the latencies."""
    service.until(lambda: len(service.installation.logged()) >= count)
    rows = service.installation.logged()
    assert len(rows) == count
    for row in rows:
        assert 0 < row.pop("latency_us") < 10_000_000
    return rows


def test_a_prediction_by_id_is_logged_as_it_was_answered(shipping: Service) -> None:
    answered = shipping.get("/predict/c1", headers={"X-Request-ID": "the-callers"}).json()
    assert logged(shipping, 1) == [expected_row(shipping, answered, 0, answered, ONLINE_ROWS[1])]
    assert answered["answered_at"] == "2026-02-02T00:00:00Z"


def test_a_prediction_by_attributes_is_logged_with_the_attributes(shipping: Service) -> None:
    row = {**ONLINE_ROWS[0], "plan": 'plätin " \\ \x01 \\u0000 😀', "sessions_30d": 12.5, "days_since_ticket": None}
    answered = shipping.post("/predict", {"attributes": row, "customer_id": "'; DROP TABLE prediction_log; --"}).json()
    assert logged(shipping, 1) == [expected_row(shipping, answered, 0, answered, row)]


def test_a_batch_by_ids_is_logged_under_one_id_by_position_and_without_the_unknown(shipping: Service) -> None:
    asked = ["c3", "nobody", "c0", "c3"]
    answered = shipping.post("/predict/batch", {"customer_ids": asked}).json()
    items = answered["predictions"]
    assert logged(shipping, 3) == [
        expected_row(shipping, answered, position, items[position], ONLINE_ROWS[row])
        for position, row in ((0, 3), (2, 0), (3, 3))
    ]


def test_a_large_batch_from_records_is_logged_completely(shipping: Service) -> None:
    rows = rows_of(small_columns(), BATCH + TOGETHER + 7, seed=4)
    answered = shipping.post("/predict/batch", {"records": [{"attributes": row} for row in rows]}).json()
    assert logged(shipping, len(rows)) == [
        expected_row(shipping, answered, position, one, row)
        for position, (one, row) in enumerate(zip(answered["predictions"], rows, strict=True))
    ]
    assert shipping.metric("churn_prediction_log_shipped_total") == len(rows)
    assert shipping.metric("churn_spool_bytes") == 0


def test_the_same_request_id_twice_is_logged_twice(shipping: Service) -> None:
    for _ in range(2):
        shipping.get("/predict/c1", headers={"X-Request-ID": "again"})
    assert len({row["request_id"] for row in logged(shipping, 2)}) == 2


def test_a_refused_request_is_not_logged(shipping: Service) -> None:
    shipping.get("/predict/nobody")
    shipping.post("/predict", {"attributes": {}})
    shipping.get("/predict/c1", key=None)
    shipping.post("/predict/batch", {"customer_ids": ["nobody"]})
    answered = shipping.get("/predict/c1").json()
    assert [row["request_id"] for row in logged(shipping, 1)] == [answered["prediction_id"]]


def test_a_prediction_is_on_disk_before_the_first_byte_of_its_answer(tmp_path: Path, candidate: Candidate) -> None:
    at_the_answer: list[list[dict[str, Any]]] = []
    with Installation.make(tmp_path) as installed:
        installed.release(candidate)
        installed.put_online()
        app = create_app(installed.config)

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def sending(message: Any) -> None:
                if message["type"] == "http.response.start":
                    at_the_answer.append(installed.spooled())
                await send(message)

            await app(scope, receive, sending)

        with TestClient(watched) as client:
            service = Service(installed, app, cast("TestClient[ServiceApp]", client))
            one = service.get("/predict/c1").json()
            given = service.post("/predict", {"attributes": ONLINE_ROWS[0]}).json()
            batch = service.post("/predict/batch", {"customer_ids": ["c1", "c2"]}).json()
    ids = [answered["prediction_id"] for answered in (one, given, batch)]
    assert [[line["request_id"] for line in lines] for lines in at_the_answer] == [
        ids[:1], ids[:2], [*ids[:2], ids[2], ids[2]]
    ]  # fmt: skip
    assert at_the_answer[0][0]["probability"] == one["probability"]


def test_what_was_not_shipped_yet_is_shipped_at_the_end(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            answered = [service.get(f"/predict/c{i}").json()["prediction_id"] for i in range(5)]
            assert installed.logged() == []
        assert sorted(row["request_id"] for row in installed.logged()) == sorted(answered)
        assert installed.spooled() == []


def test_shipping_the_same_segment_twice_adds_nothing(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path) as installed:
        installed.release(candidate)
        installed.put_online()
        kept = tmp_path / "kept"
        with installed.serve() as service:
            service.post("/predict/batch", {"customer_ids": ["c1", "c2", "c3"]})
            shutil.copytree(installed.config.spool_folder, kept)
        once = installed.logged()
        for _ in range(2):
            shutil.copytree(kept, installed.config.spool_folder, dirs_exist_ok=True)
            spool = Spool(installed.config.spool_folder, limit_bytes=1_000_000)
            metrics = Metrics()
            Shipper(spool, installed.engine, metrics).ship()
            assert b"churn_prediction_log_refused_total 0.0" in generate_latest(metrics.registry)
            assert list(installed.config.spool_folder.iterdir()) == []
        assert installed.logged() == once
        assert len(once) == 3


def test_while_the_table_is_away_predictions_wait_in_the_spool(shipping: Service) -> None:
    installed = shipping.installation
    with installed.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE prediction_log RENAME TO away")
    answered = [shipping.get(f"/predict/c{i}").json()["prediction_id"] for i in range(3)]
    shipping.until(lambda: shipping.metric("churn_prediction_log_ship_failures_total", reason="database"))
    assert sorted(line["request_id"] for line in installed.spooled()) == sorted(answered)
    assert shipping.metric("churn_spool_bytes") > 0
    with installed.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO prediction_log")
    assert sorted(row["request_id"] for row in logged(shipping, 3)) == sorted(answered)
    shipping.until(lambda: not installed.spooled())


def test_a_full_spool_is_counted_and_predictions_are_still_answered(tmp_path: Path, candidate: Candidate) -> None:
    with serving(tmp_path, candidate, spool_limit_bytes=2_000) as service:
        answers = [service.get("/predict/c1") for _ in range(10)]
        assert {answer.status_code for answer in answers} == {200}
        kept = service.installation.spooled()
        assert 0 < len(kept) < 10
        assert [line["request_id"] for line in kept] == [one.json()["prediction_id"] for one in answers[: len(kept)]]
        dropped = service.metric("churn_prediction_log_dropped_total", reason="full")
        assert dropped == 10 - len(kept)
        batch = service.post("/predict/batch", {"customer_ids": ["c1", "c2", "c3", "nobody"]})
        assert batch.status_code == 200
        assert service.metric("churn_prediction_log_dropped_total", reason="full") == dropped + 3
        assert service.installation.spooled() == kept


def test_a_disk_that_does_not_write_is_counted_and_predictions_are_still_answered(
    tmp_path: Path, candidate: Candidate
) -> None:
    with serving(tmp_path, candidate) as service:
        folder = service.installation.config.spool_folder
        folder.rmdir()
        folder.write_text("a file where the folder was")
        assert service.get("/predict/c1").status_code == 200
        assert service.post("/predict/batch", {"customer_ids": ["c1", "c2"]}).status_code == 200
        assert service.metric("churn_prediction_log_dropped_total", reason="disk") == 3
        found = service.get("/health/detailed").json()
        assert (found["status"], found["spool"]["dropping"]) == ("degraded", "disk")
        assert service.get("/health/ready").status_code == 200
        folder.unlink()
        folder.mkdir()
        service.until(
            lambda: service.get("/predict/c1") and service.get("/health/detailed").json()["spool"]["dropping"] is None
        )
        assert len(service.installation.spooled()) == 1


def test_a_spool_that_was_full_is_used_again_once_it_was_shipped(tmp_path: Path, candidate: Candidate) -> None:
    with serving(tmp_path, candidate, spool_limit_bytes=2_000, ship_s=0.3) as service:
        for _ in range(10):
            service.get("/predict/c1")
        service.until(lambda: service.get("/health").json()["status"] == "ready")
        answered = service.get("/predict/c2").json()["prediction_id"]
        service.until(lambda: answered in {row["request_id"] for row in service.installation.logged()})


def test_lines_of_another_process_that_died_are_shipped_and_torn_ones_are_counted(
    tmp_path: Path, candidate: Candidate
) -> None:
    with Installation.make(tmp_path, ship_s=0.05) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            service.get("/predict/c1")
            (row,) = service.until(installed.logged)
            line = msgspec.json.encode({**row, "request_id": "of the dead"})
            (installed.config.spool_folder / "00000000000000000001-1-dead.jsonl").write_bytes(line + b"\n" + line[:40])
            assert {one["request_id"] for one in logged(service, 2)} == {row["request_id"], "of the dead"}
            service.until(lambda: service.metric("churn_prediction_log_torn_total") == 1)


def test_a_line_that_the_table_does_not_take_is_put_aside_and_the_others_are_shipped(
    tmp_path: Path, candidate: Candidate
) -> None:
    with Installation.make(tmp_path, ship_s=0.05) as installed:
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            service.get("/predict/c1")
            (row,) = service.until(installed.logged)
            lines = [
                msgspec.json.encode({**row, "request_id": "before"}),
                b'{"not": "a prediction"}',
                b"not json",
                msgspec.json.encode({**row, "request_id": "after"}),
            ]
            segment = installed.config.spool_folder / "00000000000000000001-1-dead.jsonl"
            segment.write_bytes(b"\n".join(lines) + b"\n")
            assert {one["request_id"] for one in logged(service, 3)} >= {"before", "after"}
            service.until(lambda: service.metric("churn_prediction_log_refused_total") == 2)
            assert segment.with_suffix(".refused").read_bytes() == b"\n".join(lines[1:3]) + b"\n"
            assert not segment.exists()


def test_the_spool_is_readable_by_this_user_only(fresh: Service) -> None:
    fresh.get("/predict/c1")
    folder = fresh.installation.config.spool_folder
    (file,) = folder.glob("*.jsonl")
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_the_age_of_the_features_can_be_worked_out_from_the_log(shipping: Service) -> None:
    answered = shipping.get("/predict/c1").json()
    (row,) = logged(shipping, 1)
    assert row["answered_s"] - row["snapshot_s"] == answered["feature_age_s"] == NOW_S - SNAPSHOT_S
