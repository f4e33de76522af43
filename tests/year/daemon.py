"""The daemon and its workers, one iteration at a time, by Dagster's own functions.

A worker executes its run event by event, so that runs can take turns, be cancelled in the middle, and die at any boundary. Belongs here:
what Dagster does by itself. Does not belong here: what a person asks for (``people``).
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run_iterator
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.launcher import WorkerStatus
from dagster._core.scheduler.instigation import InstigatorTick
from dagster._core.test_utils import freeze_time
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster._utils.hosted_user_process import recon_job_from_origin

from tests.automation.installation import in_process, load_anew
from tests.year.dagster_storage import HEALTH, LAUNCHED, OTHERS, TERMINATE
from tests.year.machine import MACHINE, Died, Process

BETWEEN_TICKS = dt.timedelta(minutes=1)
QUIET = logging.getLogger("year")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


@dataclass
class Worker:
    """A process that executes one run."""

    run_id: str
    job: str
    process: Process
    events: Iterator[dg.DagsterEvent]
    is_interrupted: bool = False
    is_working: bool = False


@dataclass
class Daemon:
    """The daemon of an instance and the workers of its runs.

    Attributes:
        instance: instance on disk.
        now: wall time, which moves by a minute with every look of the daemon.
        data: folder of the company's files.
        workers: processes of the runs that are under way.
        ended: ids of runs in the order in which their workers ended.
        crashed: what was thrown at a worker or the daemon when a part of the machine was away.
        tick_errors: errors of schedules, sensors and the daemon's other parts that Dagster has caught.
        looks: number of times that dead workers were looked for.
        looked_in_quiet: whether the daemon has looked, with everything there, since this was last asked.
    """

    instance: dg.DagsterInstance
    now: dt.datetime
    data: Path
    workers: list[Worker] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    tick_errors: list[str] = field(default_factory=list)
    looked_in_quiet: bool = False
    looks: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)
    _loaded_with: object = None
    _iterations: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Begin anew, as after a restart: nothing is remembered but what the instance holds."""
        self._stack.close()
        TERMINATE[:] = [self.interrupt]
        OTHERS[:] = [self._others_go_on]
        self.context = self._stack.enter_context(in_process(self.instance))
        self._iterations = {}

    def stop(self) -> None:
        """End the daemon, and its workers with it."""
        self._stack.close()
        for worker in list(self.workers):
            self._gone(worker, WorkerStatus.FAILED)
        LAUNCHED.clear()

    def let_look(self, *jobs: str) -> None:
        """Stop every sensor but those that ask for some jobs, as a person does in the UI."""
        for location in self.context.create_request_context().code_locations:
            for repository in location.get_repositories().values():
                for sensor in repository.get_sensors():
                    if sensor.name.removesuffix("_when_due") not in jobs:
                        self.instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)

    def look(self, *, dies_after: int | None = None) -> str | None:
        """One iteration of everything but the workers.

        Args:
            dies_after: number of boundaries after which the daemon dies; `None` if it lives.

        Returns:
            The boundary at which it died, if it did; it is started anew then.
        """
        self.now += BETWEEN_TICKS
        process = Process("the daemon", dies_after)
        parts: tuple[Callable[[], Any], ...] = (
            self._schedules,
            self._sensors,
            self._backfills,
            self._dequeue,
            self._monitor,
        )
        with MACHINE.runs(process), freeze_time(self.now):
            for part in parts:
                try:
                    part()
                except Died:
                    break
                except Exception as error:
                    if not MACHINE.away:
                        raise
                    self.crashed.append(f"{type(error).__name__}: {error}")
        self.looked_in_quiet = process.died_at is None and not MACHINE.away
        if process.died_at is not None:
            self.start()
        return process.died_at

    def ask(self) -> None:
        """Let schedules and sensors ask, and launch nothing."""
        self.now += BETWEEN_TICKS
        with MACHINE.runs(Process("the daemon")), freeze_time(self.now):
            for part in (self._schedules, self._sensors):
                try:
                    part()
                except Exception as error:
                    if not MACHINE.away:
                        raise
                    self.crashed.append(f"{type(error).__name__}: {error}")

    def _schedules(self) -> None:
        self._note(launch_scheduled_runs(self.context, QUIET, self.now, self._iterations))

    def _sensors(self) -> None:
        self._note(execute_sensor_iteration(self.context, QUIET, None, None))

    def _backfills(self) -> None:
        self._note(execute_backfill_iteration(self.context, QUIET))

    def _dequeue(self) -> None:
        self._note(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(self.context))
        self._hire()

    def _monitor(self) -> None:
        """Find dead workers, and let Dagster retry what has failed: threads of the daemon, of which either may be the first."""
        self.looks += 1
        parts = (
            lambda: execute_run_monitoring_iteration(self.context, QUIET),
            lambda: EventLogConsumerDaemon(interval_seconds=1).run_iteration(self.context),
        )
        for part in parts if self.looks % 2 else reversed(parts):
            self._note(part())

    def _note(self, errors: Any) -> None:
        self.tick_errors += [error.to_string() for error in errors if error is not None and hasattr(error, "to_string")]

    def _hire(self) -> None:
        """Give every launched run a worker, which sees the company's files as a process of its own would."""
        files = [(file.name, file.stat().st_mtime_ns) for file in sorted(self.data.iterdir())]
        if LAUNCHED and files != self._loaded_with:
            load_anew()
            self._loaded_with = files
        while LAUNCHED:
            run_id, origin = LAUNCHED.pop(0)
            with MACHINE.observed():
                run = self.instance.get_run_by_id(run_id)
                assert run is not None
                events = execute_run_iterator(recon_job_from_origin(origin), run, self.instance)
            self.workers.append(Worker(run_id, run.job_name, Process(f"the worker of {run.job_name}"), events))

    def work(self, worker: Worker, *, events: int | None = None, dies_after: int | None = None) -> str | None:
        """Let a worker go on.

        Args:
            worker: worker that is under way.
            events: number of events after which another one has its turn; default: to the end.
            dies_after: number of boundaries after which it dies; `None` if it lives.

        Returns:
            The boundary at which it died, if it did.
        """
        process, done = worker.process, 0
        if dies_after is not None:
            process.dies_after = process.passed + dies_after
        worker.is_working = True
        with MACHINE.runs(process), freeze_time(self.now):
            try:
                while events is None or done < events:
                    if worker.is_interrupted and hasattr(worker.events, "throw"):
                        worker.is_interrupted = False
                        worker.events.throw(DagsterExecutionInterruptedError())
                    else:
                        next(worker.events)
                    done += 1
                process.dies_after = None
            except StopIteration:
                self._gone(worker, WorkerStatus.SUCCESS)
            except (Died, DagsterExecutionInterruptedError):  # the second of a run that was cancelled before it had begun
                self._gone(worker, WorkerStatus.FAILED)
            except Exception as error:
                self.crashed.append(f"{type(error).__name__}: {error}")
                self._gone(worker, WorkerStatus.FAILED)
            finally:
                worker.is_working = False
        return process.died_at

    def _others_go_on(self) -> bool:
        """Let every worker that does nothing now come to its end, and dead ones be found; whether that changed anything."""
        before = len(self.instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED)))
        for worker in [worker for worker in self.workers if not worker.is_working]:
            self.work(worker)
        with MACHINE.runs(Process("the daemon")):
            self._monitor()
        return len(self.instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED))) < before

    def _gone(self, worker: Worker, health: WorkerStatus) -> None:
        """What is left of a worker whose process has ended: nothing in this process of the operating system either."""
        HEALTH[worker.run_id] = health
        self.workers.remove(worker)
        self.ended.append(worker.run_id)
        if health == WorkerStatus.FAILED:
            worker.process.died_at = worker.process.died_at or "the end of the machine"
            with MACHINE.runs(worker.process), suppress(Died, Exception):
                worker.events.close()  # type: ignore[attr-defined]
        with MACHINE.observed():
            while mlflow.active_run() is not None:
                mlflow.end_run()

    def interrupt(self, run_id: str) -> bool:
        """Cancel a run that was launched, as the button of the UI does."""
        run = self.instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        with freeze_time(self.now):
            self.instance.report_run_canceling(run)
        for worker in self.workers:
            if worker.run_id == run_id:
                worker.is_interrupted = True
        return True

    def minute(self) -> None:
        """One iteration, and every worker to its end, one after the other."""
        self.look()
        for worker in list(self.workers):
            self.work(worker)

    def take_turns(self, events: int) -> None:
        """Every worker to its end, some events each in turn."""
        while self.workers:
            for worker in list(self.workers):
                self.work(worker, events=events)

    def ticks(self) -> list[InstigatorTick]:
        """The newest tick of each schedule and sensor."""
        states = self.instance.all_instigator_state()
        newest = [self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) for state in states]
        return [tick for ticks in newest for tick in ticks]

    def is_at_rest(self) -> bool:
        """Whether no run and no backfill is queued or under way."""
        asked = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
        return (
            not self.workers
            and not self.instance.get_backfills(asked)
            and not self.instance.get_runs(dg.RunsFilter(statuses=NOT_ENDED), limit=1)
        )


NOT_ENDED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
    dg.DagsterRunStatus.NOT_STARTED,
]
