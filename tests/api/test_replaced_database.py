"""The serving database is replaced under a running service: noticed, said, followed, and no answered prediction goes with it."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from churn_store.clock import wall_s
from churn_store.database.migrate import migrate
from churn_store.database.schema import api_keys, connect, prediction_log
from churn_store.database.watch import DatabaseWatch
from tests.api.conftest import Installation
from tests.api.processes import Process, ask, serving
from tests.fault_table import Fault
from tests.release_factory import Candidate
from tests.store.servers import Postgres

ANOTHER = "the serving database is another one"
NOTICED_WITHIN_S = 1.0


class Load:
    """Clients that ask all the time and note what was answered when."""

    def __init__(self, process: Process, key: str) -> None:
        self.answered: list[tuple[float, str]] = []
        self._process, self._key = process, key
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def _ask(self) -> None:
        with closing(self._process.connect()) as connection:
            while not self._stop.is_set():
                asked = time.monotonic()
                status, body = ask(connection, "/predict/c1", key=self._key)
                if status == 200:
                    self.answered.append((asked, body["prediction_id"]))
                time.sleep(0.002)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(20)


def ids_in(url: str) -> set[str]:
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return set(connection.execute(sa.select(prediction_log.c.request_id)).scalars())
    finally:
        engine.dispose()


def until(reached: Callable[[], Any], within_s: float) -> float:
    """Seconds until something holds."""
    begun = time.monotonic()
    while not reached():
        assert time.monotonic() - begun < within_s, f"not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - begun


def copy_of(installation: Installation, name: str) -> Path:
    """A backup of the database in which one key is revoked."""
    copy = installation.home / "copy.db"
    with (
        closing(sqlite3.connect(installation.home / "serving.db")) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("UPDATE api_keys SET revoked_s = 1 WHERE name = ?", (name,))
        target.commit()
    return copy


def rename_over(database: Path, copy: Path) -> None:
    copy.replace(database)


def remove_all_first(database: Path, copy: Path) -> None:
    for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
        database.with_name(name).unlink(missing_ok=True)
    copy.rename(database)


def words(process: Process) -> str:
    return " ".join(process.ask("/health")[1]["degraded"])


@pytest.mark.faults
@pytest.mark.parametrize("replace", [rename_over, remove_all_first], ids=["renamed over", "removed with WAL and SHM"])
def test_a_file_replaced_under_load_is_noticed_within_a_second_and_no_answered_prediction_goes_with_it(
    installation: Installation, candidate: Candidate, fault: Fault, replace: Callable[[Path, Path], None]
) -> None:
    fault.names("serving.db replaced under a running service", done=f"{replace.__name__}, under 4 connections")
    installation.release(candidate)
    installation.put_online()
    gone = installation.make_key("gone", "predict").key
    database, former = installation.home / "serving.db", installation.home / "former.db"
    with serving(installation.home, CHURN_SERVICE__SHIP_S="0.1", CHURN_SERVICE__POLL_S="0.2") as process:
        process.until("/health/ready", 200)
        load = Load(process, installation.keys["both"].key)
        with load.running():
            until(lambda: ids_in(f"sqlite:///{database}"), 30)
            assert process.ask("/predict/c1", key=gone)[0] == 200
            copy = copy_of(installation, "gone")
            os.link(database, former)
            replaced = time.monotonic()
            replace(database, copy)
            seconds = until(lambda: ANOTHER in words(process), 10)
            refused = until(lambda: process.ask("/predict/c1", key=gone)[0] == 401, 10)
            time.sleep(1.0)
            assert process.ask("/health/ready")[0] == 200
        process.stop()
    after = {one for asked, one in load.answered if asked > replaced}
    if not after or len(after) == len(load.answered):
        fault.inconclusive(f"{len(after)} of {len(load.answered)} predictions were answered after the replacement")
    in_new = ids_in(f"sqlite:///{database}")
    assert after <= in_new
    assert {one for _, one in load.answered} <= in_new | ids_in(f"sqlite:///{former}")
    assert installation.spooled() == []
    assert seconds < NOTICED_WITHIN_S
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    fault.degraded(
        f"all {len(after)} predictions answered afterwards are in the new file; a revoked key was refused after {refused:.1f} s",
        recovered_after_s=seconds,
    )


@pytest.mark.faults
def test_while_the_file_is_gone_predictions_wait_and_health_says_so(
    installation: Installation, candidate: Candidate, fault: Fault
) -> None:
    fault.names("serving.db removed under a running service", done="moved away; an unmigrated one; moved back")
    installation.release(candidate)
    installation.put_online()
    database, key = installation.home / "serving.db", installation.keys["both"].key
    with serving(installation.home, CHURN_SERVICE__SHIP_S="0.1", CHURN_SERVICE__POLL_S="0.2") as process:
        process.until("/health/ready", 200)
        database.rename(installation.home / "away.db")
        seconds = until(lambda: "the file of the serving database is gone" in words(process), 10)
        answered = [process.ask("/predict/c1", key=key)[1]["prediction_id"] for _ in range(20)]
        time.sleep(1.0)
        assert {line["request_id"] for line in installation.spooled()} == set(answered)
        database.touch()
        until(lambda: "has lost its tables: bring it back from a backup" in words(process), 10)
        assert {line["request_id"] for line in installation.spooled()} == set(answered)
        (installation.home / "away.db").replace(database)
        until(lambda: set(answered) <= ids_in(f"sqlite:///{database}"), 20)
        assert installation.spooled() == []
        process.stop()
    assert seconds < NOTICED_WITHIN_S
    fault.degraded("20 predictions waited in the spool, and were shipped once the file was back", recovered_after_s=seconds)


@pytest.mark.faults
def test_a_postgresql_database_made_anew_under_load_is_noticed_and_used_once_it_is_migrated(
    tmp_path: Path, candidate: Candidate, postgres_server: Postgres, fault: Fault
) -> None:
    fault.names("PostgreSQL database dropped and made anew", done="under 4 connections; migrated a second later")
    url = postgres_server.new_database()
    with Installation.make(tmp_path, store={"database_url": url}) as installation:
        row = installation.release(candidate)
        installation.put_online()
        with installation.engine.connect() as connection:
            keys = [dict(one._mapping) for one in connection.execute(sa.select(api_keys))]
        with serving(tmp_path, CHURN_SERVICE__SHIP_S="0.1", CHURN_SERVICE__POLL_S="0.2") as process:
            process.until("/health/ready", 200)
            load = Load(process, installation.keys["both"].key)
            with load.running():
                until(lambda: ids_in(url), 30)
                name = sa.make_url(url).database
                with psycopg.connect(postgres_server.new_database(), autocommit=True) as admin:
                    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
                    replaced = time.monotonic()
                    admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
                seconds = until(
                    lambda: (
                        ANOTHER in words(process) and "has lost its tables: bring it back from a backup" in words(process)
                    ),
                    10,
                )
                migrate(url)
                with installation.engine.begin() as connection:
                    connection.execute(api_keys.insert(), keys)
                until(lambda: ids_in(url), 20)
            assert (
                process.ask("/health/detailed", key=installation.keys["both"].key)[1]["release"]["serving"] == row.champion
            )
            process.stop()
        after = {one for asked, one in load.answered if asked > replaced}
        assert after
        assert after <= ids_in(url)
        assert installation.spooled() == []
    fault.degraded(f"all {len(after)} predictions answered afterwards are in the new database", recovered_after_s=seconds)


@pytest.mark.parametrize("replace", ["file", "log"])
def test_a_write_into_a_file_that_was_replaced_is_not_taken_for_done(installation: Installation, replace: str) -> None:
    database, copy = installation.home / "serving.db", copy_of(installation, "nobody")
    with installation.engine.connect() as connection:
        connection.execute(api_keys.update().values(revoked_s=int(wall_s())))
        if replace == "file":
            copy.replace(database)
        else:
            database.with_name("serving.db-wal").unlink()
        with pytest.raises(sa.exc.OperationalError, match="replaced while it was written"):
            connection.commit()
    if replace == "file":
        with installation.engine.connect() as connection:
            assert connection.execute(sa.select(api_keys.c.revoked_s)).scalars().all() == [None]


def test_the_log_of_a_replaced_file_does_not_become_the_new_files(installation: Installation) -> None:
    database = installation.home / "serving.db"
    copy = copy_of(installation, "nobody")
    connection = installation.engine.connect()
    connection.execute(api_keys.update().values(name="only in the log"))
    connection.commit()
    copy.replace(database)
    connection.close()
    with installation.engine.connect() as fresh:
        assert fresh.execute(sa.select(api_keys.c.name)).scalars().all() == ["both"]
    assert [file.name for file in installation.home.glob("*-wal.of-a-former-file-*")]


def test_a_database_that_stays_is_never_called_another_one(installation: Installation) -> None:
    watch = DatabaseWatch(installation.engine)
    for _ in range(3):
        assert not watch.look()
        installation.make_key(f"k{time.monotonic_ns()}", "read")
    assert watch.words() == []
    watch.close()
