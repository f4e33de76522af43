"""Dagster's own SQLite storages, with connections that stay open and with a machine whose processes die and whose databases go.

The SQL is Dagster's. By default Dagster opens an engine for each query and a database for each run: a tick costs a second of CPU
then, and a tenth of it here. Belongs here: the connections, the boundaries before and after each event, and the launcher.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._serdes import ConfigurableClassData

from tests.automation.bare_launcher import BareLauncher
from tests.year.machine import MACHINE

_ENGINES: dict[str, sa.Engine] = {}


def engine_of(url: str) -> sa.Engine:
    """The engine of a database, which is made once."""
    if url not in _ENGINES:
        _ENGINES[url] = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})

        @sa.event.listens_for(_ENGINES[url], "connect")
        def tune(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")

    return _ENGINES[url]


def close_all() -> None:
    """Close every connection, so that the files can be copied or taken away."""
    for engine in _ENGINES.values():
        engine.dispose()
    _ENGINES.clear()


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """A connection in a transaction."""
    MACHINE.answers("Dagster's database")
    with engine_of(url).connect() as connection, connection.begin():
        yield connection


class Runs(SqliteRunStorage):
    """Runs and daemon cursors."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Made from the instance's file; a database that is there is not migrated again."""
        file = Path(config_value["base_dir"]) / "runs.db"
        return cls(f"sqlite:///{file}", inst_data) if file.exists() else cls.from_local(**config_value, inst_data=inst_data)

    def connect(self) -> Any:
        """A connection in a transaction."""
        return connected(self._conn_string)


class Events(ConsolidatedSqliteEventLogStorage):
    """Events."""

    def _connect(self) -> Any:
        return connected(self._conn_string)

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, between two boundaries."""
        name = event.dagster_event.event_type_value if event.dagster_event is not None else "log line"
        MACHINE.boundary(f"before Dagster has stored {name}")
        super().store_event(event)
        MACHINE.boundary(f"after Dagster has stored {name}")


class Schedules(SqliteScheduleStorage):
    """Ticks and states of schedules and sensors."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "Schedules":
        """Made from the instance's file; a database that is there is not migrated again."""
        file = Path(config_value["base_dir"]) / "schedules.db"
        if not file.exists():
            cls.from_local(**config_value, inst_data=inst_data)
        return cls(f"sqlite:///{file}", inst_data)

    def connect(self) -> Any:
        """A connection in a transaction."""
        return connected(self._conn_string)


LAUNCHED: list[tuple[str, Any]] = []
"""The runs that were launched and have no worker yet, each with the origin of its job."""

HEALTH: dict[str, WorkerStatus] = {}
"""What is known of the workers of launched runs."""

TERMINATE: list[Callable[[str], bool]] = []
"""What happens when a person cancels a launched run: set by the daemon of the simulation."""


OTHERS: list[Callable[[], bool]] = []
"""What happens while a run waits for another one: the others go on; `False` where none can. Set like ``TERMINATE``."""


class Workers(BareLauncher):
    """Notes a launched run; the simulation works on it."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Note the run."""
        MACHINE.boundary("before a run's worker is started")
        LAUNCHED.append((context.dagster_run.run_id, context.job_code_origin))
        HEALTH[context.dagster_run.run_id] = WorkerStatus.RUNNING
        MACHINE.boundary("after a run's worker was started")

    def terminate(self, run_id: str) -> bool:
        """Interrupt the worker."""
        return TERMINATE[-1](run_id)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether a dead worker is found, as Dagster's default launcher finds it."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """What is known of a run's worker."""
        return CheckRunHealthResult(HEALTH.get(run.run_id, WorkerStatus.NOT_FOUND))
