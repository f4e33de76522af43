"""The days of the service: added up by the database, bounded, and equal to what was answered; and flushing on demand."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from churn_api.telemetry import prediction_days as read
from churn_api.telemetry.prediction_days import PredictionDay, prediction_days
from churn_store.clock import DAY_S
from churn_store.database.schema import prediction_log, request_days
from churn_store.monitoring.facts import publish_facts
from tests.api.conftest import ONLINE_ROWS, Installation, Service, problem
from tests.api.monitoring_facts import facts, performance, window
from tests.release_factory import NOW_S, Candidate

TODAY_S = NOW_S // DAY_S * DAY_S
REQUESTS = count()


@pytest.fixture
def watched(tmp_path: Path, candidate: Candidate) -> Iterator[Service]:
    """A service that ships all the time."""
    with Installation.make(tmp_path, poll_s=0.02, ship_s=0.05) as installed:
        installed.make_key("admin", "admin")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            yield service


def log(engine: sa.Engine, *rows: dict[str, Any]) -> None:
    """Put predictions into the log by hand."""
    ordinary = {
        "item": 0, "customer_id": "c1", "release": "a" * 64, "epoch": 1, "role": "champion", "probability": 0.5,
        "churn": False, "threshold": 0.5, "snapshot_s": None, "features": {}, "latency_us": 1_000,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(
            prediction_log.insert(), [{**ordinary, "request_id": f"r{next(REQUESTS)}", **row} for row in rows]
        )


def timeline(service: Service, days: int) -> dict[str, Any]:
    response = service.get(f"/dashboard/metrics/timeline?days={days}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_day_is_added_up_as_its_rows_say(engine: sa.Engine) -> None:
    random = np.random.default_rng(7)
    rows = [
        {
            "answered_s": TODAY_S - DAY_S + float(second), "customer_id": f"c{number % 40}", "probability": float(chance),
            "churn": bool(chance > 0.8), "latency_us": int(latency),
        }
        for number, (second, chance, latency) in enumerate(
            zip(random.uniform(0, DAY_S, 300), random.random(300), random.lognormal(7, 1, 300), strict=True)
        )
    ]  # fmt: skip
    log(engine, *rows, {"answered_s": float(TODAY_S), "customer_id": None})
    with engine.begin() as connection:
        connection.execute(request_days.insert().values(day_s=TODAY_S - DAY_S, requests=320, refused=15, failed=5))
    before, yesterday, today = prediction_days(engine, now_s=NOW_S, days=3)
    assert before == PredictionDay(
        day="2026-01-31", requests=None, refused=None, failed=None, predictions=0, customers=0, latency_p50_ms=None,
        latency_p95_ms=None, mean_probability=None, positive_rate=None,
    )  # fmt: skip
    assert (yesterday.day, yesterday.predictions, yesterday.customers) == ("2026-02-01", 300, 40)
    assert (yesterday.requests, yesterday.refused, yesterday.failed) == (320, 15, 5)
    latencies = [row["latency_us"] / 1000 for row in rows]
    assert yesterday.latency_p50_ms == pytest.approx(np.quantile(latencies, 0.5, method="inverted_cdf"), abs=0.026)
    assert yesterday.latency_p95_ms == pytest.approx(np.quantile(latencies, 0.95, method="inverted_cdf"), abs=0.026)
    assert yesterday.mean_probability == pytest.approx(np.mean([row["probability"] for row in rows]))
    assert yesterday.positive_rate == pytest.approx(np.mean([row["churn"] for row in rows]))
    assert (today.predictions, today.customers, today.positive_rate) == (1, 0, 0.0)


def test_the_days_are_found_by_the_index(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("a planner that knows its statistics reads a small table whole")
    plans = []

    def note(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "prediction_log" in statement:
            plans.append(connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall())

    log(engine, {"answered_s": float(TODAY_S)})
    sa.event.listen(engine, "before_cursor_execute", note)
    prediction_days(engine, now_s=NOW_S, days=1)
    assert len(plans) == 2
    assert all("USING INDEX ix_prediction_log_answered_s" in str(plan) for plan in plans)


def test_requests_that_were_refused_and_that_failed_are_counted_on_their_day_by_every_worker(watched: Service) -> None:
    for _ in range(3):
        watched.post("/predict", {"customer_id": "c0", "attributes": ONLINE_ROWS[0]})
    watched.post("/predict", b"{")
    watched.get("/predict/nobody")
    watched.get("/model/info")
    watched.until(lambda: timeline(watched, 1)["days"][0]["requests"] == 5)
    with watched.installation.serve() as second:
        second.get("/predict/c1")
        watched.until(lambda: timeline(watched, 1)["days"][0]["predictions"] == 4)
    [day] = timeline(watched, 1)["days"]
    assert (day["requests"], day["refused"], day["failed"], day["customers"]) == (6, 2, 0, 2)
    tomorrow = datetime.fromtimestamp(NOW_S, UTC) + timedelta(days=1)
    watched.installation.config.clock.fix(tomorrow)
    watched.until(lambda: timeline(watched, 2)["last"] == tomorrow.date().isoformat())
    watched.get("/predict/c1")
    watched.until(lambda: [day["requests"] for day in timeline(watched, 2)["days"]] == [6, 1])


def test_the_series_of_the_graph_are_dated_by_snapshot(watched: Service) -> None:
    assert timeline(watched, 90)["state"] == "unknown"
    own = watched.installation.bundle().digest
    windows = [window(own, window=day) for day in ("2025-11-01", "2026-01-01", "2026-02-01")]
    entries = [performance(own, snapshot=day) for day in ("2025-11-01", "2025-12-01")]
    publish_facts(watched.installation.files, facts(own, drift=windows, performance=entries))
    watched.until(lambda: timeline(watched, 90)["state"] == "attention")
    found = timeline(watched, 90)
    assert (found["first"], found["last"], len(found["days"])) == ("2025-11-05", "2026-02-02", 90)
    assert [one["snapshot"] for one in found["drift"]] == ["2026-01-01", "2026-02-01"]
    assert [one["snapshot"] for one in found["performance"]] == ["2025-12-01"]
    assert found["drift"][0]["largest"] == 0.31
    assert found["performance"][0]["measures"]["auc"]["value"] == 0.71


def test_a_log_that_is_too_long_to_be_read_in_time_is_said(watched: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "LONGEST_S", -1.0)
    told = watched.get("/dashboard/metrics/timeline?days=2")
    assert "ask for fewer days" in problem(told, 503)["detail"]
    assert told.headers["retry-after"]


def test_while_the_database_is_away_the_timeline_and_a_flush_say_so(watched: Service) -> None:
    file = Path(str(watched.installation.engine.url.database))
    file.rename(file.with_name("away.db"))
    assert "does not answer" in problem(watched.get("/dashboard/metrics/timeline"), 503)["detail"]
    watched.get("/predict/c1")
    told = problem(watched.post("/monitoring/flush-logs", b"", key="admin"), 503)
    assert "stay in the spool" in told["detail"]
    file.with_name("away.db").rename(file)
    watched.until(lambda: len(watched.installation.logged()) == 1)
    watched.until(lambda: ("/monitoring/flush-logs", 503) in _audited(watched))


def _audited(watched: Service) -> list[tuple[str, int]]:
    return [(row["route"], row["status"]) for row in watched.get("/admin/audit", key="admin").json()["rows"]]


def test_what_waits_in_the_spool_is_shipped_when_it_is_asked_for(tmp_path: Path, candidate: Candidate) -> None:
    with Installation.make(tmp_path, ship_s=60.0) as installed:
        installed.make_key("admin", "admin")
        installed.release(candidate)
        installed.put_online()
        with installed.serve() as service:
            time.sleep(0.2)  # the first look of the shipper, which would ship them, is over
            service.get("/predict/c1")
            service.post("/predict/batch", {"customer_ids": ["c1", "c2"]})
            assert installed.logged() == []
            problem(service.post("/monitoring/flush-logs", b""), 403)
            first = service.post("/monitoring/flush-logs", b"", key="admin").json()
            assert first == {"worker": 1, "shipped": 3, "waiting_bytes": 0, "notes": []}
            assert len(installed.logged()) == 3
            assert service.post("/monitoring/flush-logs", b"", key="admin").json()["shipped"] == 0
