"""A fresh installation of the platform in a folder of its own, and the daemon that ticks when a test says so.

Real: the repository's ``dagster.yaml`` and ``workspace.yaml``, the instance on disk, the code location in a process of its own,
the daemon's functions for schedules, sensors and the queue, the runs. Only the time of a tick is the test's; what is due
follows from the platform's clock, the file ``as_of``.
"""

import datetime as dt
import importlib
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.execution.api import execute_run
from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick
from dagster._core.test_utils import freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget, WorkspaceFileTarget
from dagster._daemon.controller import create_daemon_grpc_server_registry
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster._utils.hosted_user_process import recon_job_from_origin

from churn_assets.orchestration.in_process import LOCATION as NAME
from churn_assets.settings.company import Settings
from churn_store.database.migrate import migrate
from tests.automation.bare_launcher import BareLauncher
from tests.automation.company_at_home import CompanyAtHome

REPOSITORY = Path(__file__).parents[2]
LOCATION = "churn_assets.definitions"
QUICK = "quick.yaml"
SENSOR = "retrain_when_due"
STAGES = (
    "ingest_when_due",
    "build_features_when_due",
    "build_labels_when_due",
    "publish_labels_when_due",
    "score_when_due",
    "monitor_when_due",
    "backtest_when_due",
    "judge_performance_when_due",
)
MOST_RUNS = 12
BETWEEN_TICKS = dt.timedelta(minutes=1)


class RunsHere(BareLauncher):
    """Executes a run at once and in this process, from definitions that are loaded anew, as a process of its own would.

    Saves the 8 CPU seconds of imports that a process of its own costs; the tests of a real process use the default launcher.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Execute the run; it has ended when this returns."""
        load_anew()
        assert context.job_code_origin is not None
        with open("runs.log", "a", encoding="utf-8") as log, redirect_stderr(log):
            execute_run(recon_job_from_origin(context.job_code_origin), context.dagster_run, self._instance)

    def terminate(self, run_id: str) -> bool:
        """Never asked for: no run is under way while a test does something else."""
        raise NotImplementedError


@dataclass
class Daemon:
    """The daemon of an instance, one iteration at a time; each a minute after the last."""

    context: WorkspaceProcessContext
    now: list[dt.datetime]
    iterations: dict[str, Any] = field(default_factory=dict)

    @property
    def instance(self) -> dg.DagsterInstance:
        """What it works on."""
        return self.context.instance

    def tick(self) -> dict[str, InstigatorTick]:
        """Let the schedule tick once, then every sensor; the ticks by name."""
        self.now[0] += BETWEEN_TICKS
        schedules = launch_scheduled_runs(self.context, logging.getLogger("scheduler"), self.now[0], self.iterations)
        errors = [*schedules, *self._tick_sensors()]
        assert [str(error) for error in errors if error is not None] == []
        return self.ticks()

    def tick_sensor(self) -> InstigatorTick:
        """Let every sensor tick, and no schedule; the tick of the retraining's."""
        self.now[0] += BETWEEN_TICKS
        assert [str(error) for error in self._tick_sensors() if error is not None] == []
        return self.ticks()[SENSOR]

    def requested(self) -> list[dg.DagsterRun]:
        """Tick once; the runs that were asked for."""
        before = {run.run_id for run in self.instance.get_runs()}
        self.tick()
        return [run for run in reversed(self.instance.get_runs()) if run.run_id not in before]

    def tick_until_quiet(self) -> list[dg.DagsterRun]:
        """Tick until nothing more is asked for; the runs in the order in which they were."""
        found: list[dg.DagsterRun] = []
        while runs := self.requested():
            found += runs
            assert len(found) <= MOST_RUNS, f"the automation does not come to rest: {[run.job_name for run in found]}"
        return found

    def ticks(self) -> dict[str, InstigatorTick]:
        """The newest tick of the schedule and of each sensor, by name."""
        return {
            tick.instigator_name: tick
            for state in self.instance.all_instigator_state()
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        }

    def dequeue(self) -> None:
        """Launch what is queued."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        for _ in daemon.run_iteration(self.context):
            pass

    def _tick_sensors(self) -> list[object]:
        with freeze_time(self.now[0]):
            return list(execute_sensor_iteration(self.context, logging.getLogger("sensor"), None, None))


@dataclass
class Installation(CompanyAtHome):
    """What a person has after cloning, writing a ``churn.yaml`` and starting the daemon.

    Attributes:
        folder: all of it.
        daemon: of the repository's own ``dagster.yaml``: runs are queued, and each is a process of its own.
        quick: of the same storage and code location, with runs executed at once in this process.
    """

    folder: Path
    settings: Settings
    daemon: Daemon
    quick: Daemon

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance on disk."""
        return self.daemon.instance

    def periods(self, asset: str) -> list[str]:
        """The periods of an asset that were materialized."""
        return sorted(self.instance.get_materialized_partitions(dg.AssetKey(asset)))

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, oldest first."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(job_name=job))))

    def checks(self, run: dg.DagsterRun) -> dict[tuple[str, str, str | None], bool]:
        """Whether each check of a run passed, by table, check and period."""
        found = {}
        for entry in self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            assert entry.dagster_event is not None
            said = entry.dagster_event.asset_check_evaluation_data
            found[said.asset_key.to_user_string(), said.check_name, said.partition] = said.passed
        return found

    def failure(self, run: dg.DagsterRun) -> str:
        """What a failed step of a run said."""
        [entry] = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert entry.dagster_event is not None
        data = entry.dagster_event.step_failure_data
        assert data.user_failure_data is not None
        return str(data.user_failure_data.description)


def write_quick(folder: Path) -> None:
    """Write the file of an instance that executes each run at once and in this process; its storage is that of ``dagster.yaml``."""
    shipped = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    at_once = {
        **{name: shipped[name] for name in ("storage", "local_artifact_storage", "compute_logs", "telemetry")},
        "run_launcher": {"module": __name__, "class": RunsHere.__name__},
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    }
    (folder / QUICK).write_text(yaml.safe_dump(at_once), encoding="utf-8")


def in_process(instance: dg.DagsterInstance) -> WorkspaceProcessContext:
    """The code location in this process, where a test can move what it sees of the wall clock."""
    definitions = LoadableTargetOrigin(executable_path=sys.executable, module_name=LOCATION)
    origin = InProcessCodeLocationOrigin(definitions, location_name=NAME)
    return WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin))


@contextmanager
def installed(folder: Path, configuration: dict[str, Any]) -> Iterator[Installation]:
    """An installation in a folder, with its code location running; gone at the end."""
    for file in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(REPOSITORY / file, folder)
    (folder / "churn.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    write_quick(folder)
    with ExitStack() as stack:
        stack.enter_context(chdir(folder))
        settings = Settings.load()
        migrate(settings.database_url)
        # Far from the hour of the daily verification, whatever the time of the test.
        now = [dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=1, microsecond=0)]
        daemons = []
        registry = None
        for file in ("dagster.yaml", QUICK):
            instance = stack.enter_context(dg.DagsterInstance.from_config(str(folder), file))
            registry = registry or stack.enter_context(create_daemon_grpc_server_registry(instance))
            target = WorkspaceFileTarget(["workspace.yaml"])
            context = WorkspaceProcessContext(instance, target, grpc_server_registry=registry)
            daemons.append(Daemon(stack.enter_context(context), now))
        yield Installation(folder, settings, *daemons)
    load_anew()  # what other tests import from it is theirs again


def load_anew() -> None:
    """Load the definitions anew in this process, and let Dagster forget those that it holds."""
    importlib.reload(importlib.import_module(LOCATION))
    ReconstructableJob.get_definition.cache_clear()
    ReconstructableJob.get_repository_definition.cache_clear()
