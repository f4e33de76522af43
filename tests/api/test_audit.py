"""The audit: one row for each change and each refusal of a known key, counts for the rest, and nothing about a customer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from churn_api.security import audit as module
from churn_api.security.audit import AuditTrail
from churn_api.telemetry.metrics import Metrics
from churn_store.clock import wall_s
from churn_store.database.migrate import migrate
from churn_store.database.schema import audit_log, connect
from tests.api.conftest import Installation, problem
from tests.release_factory import Candidate

CANARY = "canary-4711"


@pytest.fixture
def installed(installation: Installation, candidate: Candidate) -> Installation:
    installation.make_key("act", "act")
    installation.make_key("admin", "admin")
    installation.make_key("release", "release")
    installation.make_key("expired", "predict", days_ago=2, expires_days=1)
    installation.release(candidate)
    installation.put_online()
    return installation


def written(installed: Installation) -> list[dict[str, Any]]:
    """The rows, oldest first, without ids and times."""
    with installed.engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(audit_log.select().order_by(audit_log.c.id))]
    assert all(abs(row.pop("at_s") - wall_s()) < 60 and row.pop("id") for row in rows)
    return rows


def test_each_change_and_each_refusal_of_a_known_key_is_a_row(installed: Installation) -> None:
    with installed.serve() as service:
        assert service.post("/outcomes", {"customer_id": CANARY, "churned": True}, key="act").status_code == 200
        problem(service.post("/outcomes", {"customer_id": CANARY, "churned": CANARY}, key="act"), 400)
        problem(service.post("/outcomes", {"customer_id": CANARY, "churned": True}, key="both"), 403)
        problem(service.post("/releases/rollback", {"reason": CANARY}, key="release"), 409)
        problem(service.get(f"/predict/{CANARY}", key="expired"), 401)
        for path in ("/predict/c1", "/models", "/outcomes/status"):  # reading is no change
            assert service.get(path).status_code == 200
        assert service.post("/validate", {"records": [{"attributes": {}}]}).status_code == 200
        problem(service.get(f"/predict/{CANARY}"), 404)
    rows = written(installed)
    ids = {made.key_id: name for name, made in installed.keys.items()}
    assert [
        (row["what"], ids[row["key_id"]], row["method"], row["route"], row["status"], row["reason"]) for row in rows
    ] == [
        ("change", "act", "POST", "/outcomes", 200, None),
        ("change", "act", "POST", "/outcomes", 400, None),
        ("refused", "both", "POST", "/outcomes", 403, "scope"),
        ("change", "release", "POST", "/releases/rollback", 409, None),
        ("refused", "expired", "GET", "/predict/{customer_id}", 401, "expired"),
    ]
    assert [row["name"] for row in rows] == ["act", "act", "both", "release", "expired"]
    assert {(row["address"], row["requests"]) for row in rows} == {("testclient", 1)}
    assert len({row["request_id"] for row in rows}) == 5
    assert CANARY not in str(rows)


def test_strangers_are_one_row_for_each_address_and_minute(installed: Installation) -> None:
    with installed.serve() as service:
        for _ in range(7):
            problem(service.get(f"/predict/{CANARY}", key=None, headers={"X-API-Key": CANARY}), 401)
        problem(service.get("/nothing", key=None), 404)
    [row] = written(installed)
    assert (row["what"], row["address"], row["status"], row["requests"]) == ("stranger", "testclient", 401, 8)
    assert (row["key_id"], row["route"], row["request_id"]) == (None, None, None)


def test_requests_beyond_a_limit_are_one_row_for_each_key_and_minute(tmp_path: Path) -> None:
    with Installation.make(tmp_path, limits={"key": "5/minute"}) as installed:
        with installed.serve() as service:
            statuses = [service.get("/models").status_code for _ in range(30)]
            assert statuses == [200] * 5 + [429] * 25
        [row] = written(installed)
        assert (row["what"], row["requests"], row["status"], row["reason"]) == ("limited", 25, 429, "limit")
        assert (row["key_id"], row["request_id"]) == (installed.keys["both"].key_id, None)


def test_the_administrator_reads_it_newest_first_page_by_page(tmp_path: Path) -> None:
    with Installation.make(tmp_path, ship_s=0.05) as installed:
        installed.make_key("act", "act")
        installed.make_key("admin", "admin")
        with installed.serve() as service:

            def seen(query: str = "") -> dict[str, Any]:
                response = service.get(f"/admin/audit{query}", key="admin")
                assert response.status_code == 200, response.text
                return dict(response.json())

            assert seen() == {"rows": [], "before": None}
            for number in range(5):
                service.post("/outcomes", {"customer_id": f"c{number}", "churned": True}, key="act")
            service.get("/admin/audit", key="act")
            service.until(lambda: len(seen()["rows"]) == 6)
            first = seen("?limit=4")
            assert [row["what"] for row in first["rows"]] == ["refused", "change", "change", "change"]
            assert datetime.fromisoformat(first["rows"][0]["at"]) <= datetime.now(UTC)
            rest = seen(f"?limit=4&before={first['before']}")
            assert ([row["what"] for row in rest["rows"]], rest["before"]) == (["change", "change"], None)
            assert seen(f"?key_id={installed.keys['both'].key_id}")["rows"] == []
            for query in ("?limit=0", "?limit=1001", "?before=0", "?before=x", f"?before={2**31}", "?key_id=" + "x" * 33):
                problem(service.get(f"/admin/audit{query}", key="admin"), 400)
            problem(service.get("/admin/audit"), 403)


def trail(tmp_path: Path, metrics: Metrics) -> tuple[AuditTrail, sa.Engine, Path]:
    file = tmp_path / "serving.db"
    migrate(f"sqlite:///{file}")
    engine = connect(f"sqlite:///{file}")
    return AuditTrail(engine, lambda key_id: f"owner of {key_id}", wall_s, metrics.audit_dropped), engine, file


def note(audit: AuditTrail, number: int) -> None:
    audit.note(
        key_id="k", address="::1", method="POST", route="/outcomes", status=200, reason=None, request_id=f"r{number}"
    )  # fmt: skip


def test_rows_wait_for_a_database_that_is_away_and_are_written_once(tmp_path: Path) -> None:
    audit, engine, file = trail(tmp_path, Metrics())
    file.rename(tmp_path / "elsewhere.db")
    for number in range(1_200):
        note(audit, number)
    for _ in range(2):
        with pytest.raises(sa.exc.OperationalError):
            audit.write()
    (tmp_path / "elsewhere.db").rename(file)
    for _ in range(2):
        audit.write()
    with engine.connect() as connection:
        ids = list(connection.execute(sa.select(audit_log.c.request_id).order_by(audit_log.c.id)).scalars())
    assert ids == [f"r{number}" for number in range(1_200)]
    assert audit.words() == []


def test_what_does_not_fit_is_counted_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    metrics = Metrics()
    audit, engine, _ = trail(tmp_path, metrics)
    for number in range(25):
        note(audit, number)
    assert metrics.audit_dropped._value.get() == 15
    assert "rows of the audit are lost" in audit.words()[0]
    audit.write()
    assert audit.words() == []
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(audit_log)).scalar_one() == 10


def test_the_service_goes_on_while_the_audit_can_not_be_written(installed: Installation) -> None:
    with installed.serve() as service:
        database = installed.home / "serving.db"
        database.rename(database.with_name("elsewhere.db"))
        problem(service.post("/outcomes", {"customer_id": "c1", "churned": True}, key="act"), 503)
        assert service.get("/predict/c1").status_code == 200
        database.with_name("elsewhere.db").rename(database)
    assert [(row["what"], row["status"]) for row in written(installed)] == [("change", 503)]
