"""Runs of a command are in the Dagster UI where a person looks for them, and the daemon does not repeat a killed one.

Real: a code location in a process of its own, the UI's GraphQL schema, the daemon's monitoring and retries, a killed process.
"""

import asyncio
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster_graphql.schema import create_schema

from churn_assets.orchestration.in_process import LOCATION, REPOSITORY, execute

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
DEFINITIONS = """
import os, signal
import dagster as dg

@dg.asset
def raw():
    if os.environ.get("DIES"):
        os.kill(os.getpid(), signal.SIGKILL)

defs = dg.Definitions(
    assets=[raw], jobs=[dg.define_asset_job("ingest", selection=dg.AssetSelection.assets("raw"))], executor=dg.in_process_executor
)
"""
COMMAND = """
import dagster as dg
from company import defs
from churn_assets.orchestration.in_process import execute

with dg.DagsterInstance.from_config(".", "dagster.yaml") as instance:
    execute(defs.resolve_job_def("ingest"), instance, tags={}, run_config={})
"""
RUN_LIST = """query ($job: String!, $label: String!, $repository: String!, $location: String!) {
  pipelineOrError(params: {pipelineName: $job, repositoryName: $repository, repositoryLocationName: $location}) {
    ... on Pipeline { runs { runId status } }
  }
  runsOrError(filter: {pipelineName: $job, tags: [{key: ".dagster/repository", value: $label}]}) {
    ... on Runs { results { runId status } }
  }
}"""
TIMELINE = """query ($statuses: [RunStatus!]) {
  runsOrError(filter: {statuses: $statuses}) {
    ... on Runs { results { runId pipelineName repositoryOrigin { repositoryName repositoryLocationName } } }
  }
}"""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkspaceProcessContext]:
    """What the daemon and the webserver of an installation hold; runs are taken for stuck after a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shipped = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert shipped["run_retries"]["enabled"]
    shipped["run_monitoring"]["max_runtime_seconds"] = 1
    Path("dagster.yaml").write_text(yaml.safe_dump(shipped))
    Path("company.py").write_text(DEFINITIONS)
    location = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    location["load_from"][0]["python_module"] |= {"module_name": "company", "working_directory": str(tmp_path)}
    Path("workspace.yaml").write_text(yaml.safe_dump(location))
    with (
        dg.DagsterInstance.from_config(str(tmp_path), "dagster.yaml") as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget(["workspace.yaml"])) as context,
    ):
        yield context
    sys.modules.pop("company", None)


def asked(daemon: WorkspaceProcessContext, query: str, **variables: Any) -> Any:
    context = daemon.create_request_context()
    result = asyncio.run(create_schema().execute_async(query, context_value=context, variables=variables))
    assert not result.errors
    return result.data


def run_list(daemon: WorkspaceProcessContext, job: str) -> list[list[dict[str, str]]]:
    """The runs of a job as its own page lists them, by either of the page's queries."""
    names = {"job": job, "repository": REPOSITORY, "location": LOCATION, "label": f"{REPOSITORY}@{LOCATION}"}
    found = asked(daemon, RUN_LIST, **names)
    return [found["pipelineOrError"]["runs"], found["runsOrError"]["results"]]


def timeline(daemon: WorkspaceProcessContext, status: str) -> list[tuple[str, str, str]]:
    """What the timeline draws: runs that have an origin, in the row of its location and job."""
    return [
        (run["runId"], run["repositoryOrigin"]["repositoryLocationName"], run["pipelineName"])
        for run in asked(daemon, TIMELINE, statuses=[status])["runsOrError"]["results"]
        if run["repositoryOrigin"] and run["repositoryOrigin"]["repositoryName"] == REPOSITORY
    ]


def runs_of(job: dg.JobDefinition, instance: dg.DagsterInstance) -> str:
    result = execute(job, instance, tags={"churn/reason": "asked for by hand"}, run_config={})
    assert result.success
    assert instance.get_run_by_id(result.run_id).tags["churn/reason"] == "asked for by hand"
    return result.run_id


def killed(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run whose process died in the middle of a step."""
    command = [sys.executable, "-c", COMMAND]
    died = subprocess.run(command, env={"DIES": "1", "PYTHONPATH": f".:{ROOT}"}, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    [run] = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.STARTED
    return run


def ticked(daemon: WorkspaceProcessContext) -> None:
    """The daemon gives up what is stuck, and repeats what may be repeated."""
    consumer = EventLogConsumerDaemon()
    list(consumer.run_iteration(daemon))  # notes where the log ends
    until = time.monotonic() + PATIENCE_S
    while daemon.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) and time.monotonic() < until:
        assert [error for error in execute_run_monitoring_iteration(daemon, logging.getLogger()) if error] == []
        time.sleep(0.1)  # a run is stuck once it is older than a second
    list(consumer.run_iteration(daemon))


def test_a_run_of_a_command_is_in_its_jobs_list_and_on_the_timeline(daemon: WorkspaceProcessContext) -> None:
    import company  # type: ignore[import-not-found]  # noqa: PLC0415

    run_id = runs_of(company.defs.resolve_job_def("ingest"), daemon.instance)
    assert run_list(daemon, "ingest") == [[{"runId": run_id, "status": "SUCCESS"}]] * 2
    assert timeline(daemon, "SUCCESS") == [(run_id, LOCATION, "ingest")]
    create = company.defs.resolve_implicit_global_asset_job_def()
    of_assets = execute(create, daemon.instance, tags={}, run_config={}, assets=["raw"])
    assert run_list(daemon, create.name)[0] == [{"runId": of_assets.run_id, "status": "SUCCESS"}]
    foreign = company.defs.resolve_job_def("ingest").execute_in_process(instance=daemon.instance)
    assert foreign.run_id not in {run for run, *_ in timeline(daemon, "SUCCESS")}, "others' runs are left as they are"


def test_a_killed_command_is_shown_and_the_daemon_does_not_repeat_it(daemon: WorkspaceProcessContext) -> None:
    run = killed(daemon.instance)
    assert timeline(daemon, "STARTED") == [(run.run_id, LOCATION, "ingest")]
    ticked(daemon)
    assert [(run.run_id, run.status) for run in daemon.instance.get_runs()] == [(run.run_id, dg.DagsterRunStatus.FAILURE)]
    assert run_list(daemon, "ingest") == [[{"runId": run.run_id, "status": "FAILURE"}]] * 2


def test_the_daemon_would_repeat_a_run_that_may_be_repeated(daemon: WorkspaceProcessContext) -> None:
    run = killed(daemon.instance)
    daemon.instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "1"})
    ticked(daemon)
    again = [found for found in daemon.instance.get_runs() if found.run_id != run.run_id]
    assert [found.parent_run_id for found in again] == [run.run_id]


@pytest.mark.parametrize(
    "file", [*ROOT.glob("workspace.yaml"), *ROOT.glob("*/workspace.yaml"), *ROOT.glob("examples/*/workspace.yaml")]
)
def test_every_workspace_calls_the_code_location_by_the_same_name(file: Path) -> None:
    [location] = yaml.safe_load(file.read_text())["load_from"]
    [described] = location.values()
    assert described["location_name"] == LOCATION
