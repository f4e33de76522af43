"""The daemon, the code server and the worker of a run are killed in the middle of each job's run; each period is made once, as without."""

import datetime as dt
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
import yaml

from churn_assets.automation.jobs import BACKTEST, FEATURES, INGEST, LABELS, MONITOR, RETRAIN, SCORE
from churn_assets.automation.runner import QUIET
from churn_assets.build import build_defs
from churn_assets.orchestration.lost_periods import lost
from churn_assets.orchestration.run_history import _periods as periods_of
from churn_assets.orchestration.run_history import data_versions
from churn_assets.settings.company import Settings
from churn_store.releases.log import history
from tests.automation.company import CONFIGURATION, START, TABLES, write_company
from tests.fault_table import Fault
from tests.night.installation import Night, kill, night, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

PATIENCE_S = 420.0
CLOCK = "2024-11-01"
FIRST_SNAPSHOT = "2024-03-01"
MADE = ("customer_features", "churn_labels")
JOBS = (INGEST, FEATURES, LABELS, RETRAIN, SCORE, MONITOR, BACKTEST)
SETTINGS = {
    **CONFIGURATION,
    "training": {**CONFIGURATION["training"], "trials": 1},
    "evaluation": {"folds": 2},
    "retraining": {"cooldown_days": 400},
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Night]:
    write_company(tmp_path, customers=1_000, until=dt.date.fromisoformat(CLOCK))
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    with night(tmp_path, hurried=True) as made:
        made.set_clock(CLOCK)
        yield made


@dataclass(frozen=True)
class AtWork:
    """A run of which a step has begun, and the process that works on it."""

    run: dg.DagsterRun
    worker: int


def in_the_middle(shop: Night, jobs: Collection[str]) -> AtWork:
    """A run of one of some jobs whose first step has just begun."""
    found: list[AtWork] = []

    def is_there() -> bool:
        found.extend(one for one in at_work(shop) if one.run.job_name in jobs)
        return bool(found)

    said = f"a run of {' or '.join(jobs)} is under way; {shop.tail('daemon.log')}"
    wait_until(is_there, within_s=PATIENCE_S, said=said, poll_s=0.02)
    return found[0]


def at_work(shop: Night) -> list[AtWork]:
    """The runs of which a step has begun and whose process lives."""
    found = [AtWork(run, worker) for run in said_to_work(shop) if (worker := shop.worker_of(run)) is not None]
    return [one for one in found if is_alive(one.worker)]


def said_to_work(shop: Night) -> list[dg.DagsterRun]:
    """The runs of which a step has begun and no end is known: Dagster learns only later that a process has died."""
    return [
        run for run in shop.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) if begun(shop, run)
    ]


def begun(shop: Night, run: dg.DagsterRun) -> bool:
    return bool(shop.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START))


def succeeded(shop: Night, job: str) -> bool:
    return any(run.status == dg.DagsterRunStatus.SUCCESS for run in shop.runs(job))


def untroubled(folder: Path) -> dict[str, dict[str, str]]:
    """What the lake holds where nothing is killed: the digests of each table's periods."""
    settings = Settings.load().model_copy(update={"home": folder})
    settings.clock.fix(dt.datetime.fromisoformat(CLOCK).replace(tzinfo=dt.UTC))
    defs = build_defs(settings)
    spans = {
        INGEST: (START.isoformat(), "2024-10-01"),
        FEATURES: (FIRST_SNAPSHOT, CLOCK),
        LABELS: (FIRST_SNAPSHOT, "2024-09-01"),
    }
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        for job, (first, last) in spans.items():
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            done = defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, run_config=QUIET)
            assert done.success
        return {table: data_versions(instance, table) for table in (*TABLES, *MADE)}


def test_all_that_runs_is_killed_in_the_middle_of_each_jobs_run(
    shop: Night, tmp_path_factory: pytest.TempPathFactory, fault: Fault
) -> None:
    fault.names(
        "daemon, code server and run workers killed by -9",
        done=f"at once, until a run of each of {len(JOBS)} jobs was killed in its middle",
    )
    server, daemon = shop.start_code_server(), shop.start_daemon()
    killed: set[str] = set()
    while missing := [job for job in JOBS if job not in killed]:
        in_the_middle(shop, missing)
        for process in (*(one.worker for one in at_work(shop)), server.pid, daemon.pid):
            with suppress(ProcessLookupError):  # a run that has come to its end meanwhile
                os.kill(process, signal.SIGKILL)
        server.wait(10)
        daemon.wait(10)
        killed |= {run.job_name for run in said_to_work(shop)}  # a run that had just begun ends with its code server
        for job in missing:
            if job not in killed and succeeded(shop, job):
                fault.inconclusive(f"{job} had succeeded before it was killed")
        server, daemon = shop.start_code_server(), shop.start_daemon()
    for job in JOBS:
        wait_until(partial(succeeded, shop, job), within_s=PATIENCE_S, said=f"{job} succeeds; {shop.tail('daemon.log')}")
    shop.wait_until_quiet(within_s=PATIENCE_S)

    expected = untroubled(tmp_path_factory.mktemp("untroubled"))
    assert {table: data_versions(shop.instance, table) for table in (*TABLES, *MADE)} == expected
    assert {table: lost(shop.instance, shop.lake, table) for table in (*TABLES, *MADE)} == {
        key: {} for key in (*TABLES, *MADE)
    }
    for job in JOBS:
        done = [run for run in shop.runs(job) if run.status == dg.DagsterRunStatus.SUCCESS]
        periods = [period for run in done for period in periods_of(run, shop.settings.calendar) or ["all"]]
        assert len(periods) == len(set(periods)), f"{job} was done again: {periods}"
    assert len(history(shop.serving.engine)) == 1, "the first model was released once"
    fault.held(
        f"each job was done once, {sum(map(len, expected.values()))} periods equal those of an untroubled lake",
        recovered_after_s=max(end_of(shop, job) for job in JOBS),
    )


def end_of(shop: Night, job: str) -> float:
    """The seconds from the end of a job's first run, which was killed, to the end of the run that succeeded."""
    records = shop.instance.get_run_records(dg.RunsFilter(job_name=job))
    ends = sorted(record.end_time for record in records if record.end_time is not None)
    return ends[-1] - ends[0]


def test_a_run_whose_process_dies_is_repeated_once(shop: Night, fault: Fault) -> None:
    fault.names(
        "a run's worker, then the code server killed by -9; all else goes on",
        done="in the middle of the ingest of 10 periods, and of the features of 9 snapshots",
    )
    server = shop.start_code_server()
    shop.start_daemon()
    worker = in_the_middle(shop, [INGEST]).worker
    killed = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: succeeded(shop, INGEST), within_s=PATIENCE_S, said=f"ingest succeeds; {shop.tail('daemon.log')}")
    took = time.monotonic() - killed

    worker = in_the_middle(shop, [FEATURES]).worker
    killed = time.monotonic()
    kill(server)
    wait_until(
        lambda: not is_alive(worker), within_s=10, said="a run without its code server ends, as another one takes its place"
    )
    shop.start_code_server()
    wait_until(lambda: succeeded(shop, FEATURES), within_s=PATIENCE_S, said=f"features succeed; {shop.tail('daemon.log')}")
    took = max(took, time.monotonic() - killed)
    time.sleep(6)  # a round of the sensors
    for job in (INGEST, FEATURES):
        statuses = [one.status for one in shop.runs(job)]
        assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS], f"{job}: {statuses}"
    assert {table: lost(shop.instance, shop.lake, table) for table in (*TABLES, "customer_features")} == {
        key: {} for key in (*TABLES, "customer_features")
    }
    fault.held(
        "each run was repeated once, by Dagster or by the sensor and never by both; no period is lost",
        recovered_after_s=took,
    )


def is_alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
