"""Acknowledged outcomes and treatments under attack: the service is killed and its database taken away while they are sent."""

import http.client
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from churn_store.database.schema import outcomes, treatments
from tests.api.conftest import Installation
from tests.api.processes import Process, serving
from tests.fault_table import Fault
from tests.store.servers import Postgres

pytestmark = pytest.mark.faults

ROWS = 40
"""Statements in a request."""

Batch = dict[str, list[dict[str, Any]]]

TABLES = {"outcomes": outcomes, "treatments": treatments}
SAID: dict[str, dict[str, Any]] = {
    "outcomes": {"churned": True},
    "treatments": {"assigned": "2026-01-01", "propensity": 0.9},
}


class Sender(threading.Thread):
    """Sends requests one after the other, each under an idempotency key, and notes which were acknowledged.

    Args:
        process: where to.
        key: API key.
        name: begins the customers' ids and the idempotency keys.
        kind: what is sent.
    """

    def __init__(self, process: Process, key: str, name: str, kind: str = "outcomes") -> None:
        super().__init__(daemon=True)
        self._kind = kind
        self._connection = process.connect()
        self._key = key
        self._name = name
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self.unknown: list[str] = []

    def run(self) -> None:
        """Until the connection is cut."""
        for number in range(100_000):
            name = f"{self._name}-{number}"
            self.unknown = [name]
            try:
                status = post(self._connection, self._key, name, self._kind)[0]
            except (OSError, http.client.HTTPException):
                return
            self.unknown = []
            (self.acknowledged if status == 200 else self.refused).append(name if status == 200 else status)  # type: ignore[arg-type]


def post(connection: http.client.HTTPConnection, key: str, name: str, kind: str = "outcomes") -> tuple[int, Any]:
    """Status and answer of one request."""
    body: Batch = {kind: [{"customer_id": f"{name}-{row}", **SAID[kind]} for row in range(ROWS)]}
    connection.request("POST", f"/{kind}", msgspec.json.encode(body), {"X-API-Key": key, "Idempotency-Key": name})
    answer = connection.getresponse()
    return answer.status, msgspec.json.decode(answer.read())


def saved(engine: sa.Engine, kind: str = "outcomes") -> dict[str, int]:
    """Rows by request."""
    found: dict[str, int] = {}
    with engine.connect() as connection:
        for customer_id in connection.execute(sa.select(TABLES[kind].c.customer_id)).scalars():
            name = customer_id.rpartition("-")[0]
            found[name] = found.get(name, 0) + 1
    return found


@pytest.mark.parametrize(
    ("kind", "database"), [("outcomes", "sqlite"), ("outcomes", "postgresql"), ("treatments", "sqlite")]
)
def test_killed_while_statements_are_sent_it_has_lost_none_that_it_acknowledged(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, database: str, fault: Fault
) -> None:
    fault.names(
        f"service killed while {kind} are sent ({database})", done="kill -9 three times, 4 senders, then sent again"
    )
    store = {} if database == "sqlite" else {"database_url": request.getfixturevalue("postgres_server").new_database()}
    with Installation.make(tmp_path, store=store) as installed:
        key = installed.make_key("act", "act").key
        acknowledged, unknown = [], []
        for life in range(3):
            with serving(tmp_path) as process:
                senders = [Sender(process, key, f"{life}-{number}", kind) for number in range(4)]
                for sender in senders:
                    sender.start()
                time.sleep(1.0 + 0.37 * life)
                process.kill()
                for sender in senders:
                    sender.join(10)
                    acknowledged += sender.acknowledged
                    unknown += sender.unknown
                    assert sender.refused == []
        if len(acknowledged) < 20 or not unknown:
            fault.inconclusive(f"{len(acknowledged)} requests were acknowledged, {len(unknown)} under way at a kill")
        found = saved(installed.engine, kind)
        assert set(acknowledged) <= set(found)
        assert set(found) <= {*acknowledged, *unknown}
        assert set(found.values()) == {ROWS}
        with serving(tmp_path) as process:
            for name in [*unknown, *acknowledged[:20]]:
                status, answer = post(process.connect(), key, name, kind)
                assert (status, answer["added"], answer["replayed"]) == (200, ROWS, name in found)
        found = saved(installed.engine, kind)
        assert found == dict.fromkeys([*acknowledged, *unknown], ROWS)
    fault.held(f"all of {len(acknowledged)} acknowledged requests, none in part; {len(unknown)} sent again, each once")


def test_a_postgresql_that_goes_away_acknowledges_nothing_meanwhile_and_loses_nothing(
    tmp_path: Path, postgres_server: Postgres, fault: Fault
) -> None:
    fault.names("PostgreSQL stopped while outcomes are sent", done="stopped, 503 awaited, started again; 2 senders")
    with Installation.make(tmp_path, store={"database_url": postgres_server.new_database()}) as installed:
        key = installed.make_key("act", "act").key
        installed.engine.dispose()
        with serving(tmp_path) as process:
            senders = [Sender(process, key, f"s{number}") for number in range(2)]
            for sender in senders:
                sender.start()
            time.sleep(1.0)
            postgres_server.stop()
            try:
                end = time.monotonic() + 30
                while not all(sender.refused for sender in senders) and time.monotonic() < end:
                    time.sleep(0.1)
                while_away = sum(len(sender.acknowledged) for sender in senders)
                time.sleep(1.0)
                assert sum(len(sender.acknowledged) for sender in senders) == while_away
            finally:
                postgres_server.start()
            began = time.monotonic()
            while sum(len(sender.acknowledged) for sender in senders) < while_away + 4:
                assert time.monotonic() - began < 30
                time.sleep(0.05)
            recovered_s = time.monotonic() - began
            process.kill()
            for sender in senders:
                sender.join(10)
        acknowledged = [name for sender in senders for name in sender.acknowledged]
        refused = {status for sender in senders for status in sender.refused}
        if not refused:
            fault.inconclusive("nothing was refused while PostgreSQL was away")
        assert refused == {503}
        found = saved(installed.engine)
        assert set(acknowledged) <= set(found)
        assert set(found.values()) == {ROWS}
    fault.degraded("503 while it was away, every acknowledged outcome is there", recovered_after_s=recovered_s)
